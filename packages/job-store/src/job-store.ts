/**
 * The contract of a job store, whatever engine is behind it.
 * Invariant: a write with a token that is not current, or a term that is not the highest known, changes nothing.
 */
import type { Attempt, Job, Lease } from './jobs.ts';
import type { LeadershipStore } from './leadership.ts';
import type {
  AttemptRun,
  ClaimNextRequest,
  ClaimRequest,
  EnqueueRequest,
  FailOptions,
  ListRequest,
  PruneRequest,
  ReleaseOptions,
  SlotRequest,
  SucceedOptions,
} from './requests.ts';
import type {
  AttemptRunResult,
  CancelResult,
  ClaimResult,
  CompleteAndClaimResult,
  EnqueueManyResult,
  EnqueueResult,
  FailResult,
  HeartbeatResult,
  JobPage,
  PruneResult,
  ReleaseResult,
  RemoveResult,
  RetryResult,
  Slot,
  SlotResult,
  StoreStats,
  SucceedResult,
} from './results.ts';

/**
 * What changes jobs. Every call checks its arguments first (TypeError, RangeError) and then either happens in full,
 * durably, or throws {@link JobStoreError} and changes nothing.
 */
export interface JobWrites {
  /**
   * Creates a pending job or raises its watermark; never lowers it. A done, failed or cancelled job that becomes dirty
   * is due again with its retries reset; a running one stays with its owner and is due again when it ends.
   */
  enqueue(request: EnqueueRequest): EnqueueResult;
  /** The same for many jobs in one transaction: all or none. */
  enqueueMany(requests: readonly EnqueueRequest[]): EnqueueManyResult;
  /** Takes one named job, or says why not. */
  claim(request: ClaimRequest): ClaimResult;
  /**
   * Takes the next due jobs: within a kind by priority, due time and key; kinds take turns, so that a flood in one
   * never starves another. Ends expired leases first; each spends a retry.
   */
  claimNext(request: ClaimNextRequest): readonly Lease[];
  /**
   * Makes a lease end `leaseMs` from now. That is earlier than before when `leaseMs` is smaller than it was, or when the
   * wall clock was set back: otherwise a dead owner would keep the job for as long as the clock had been ahead.
   *
   * @param lease - the lease, also one that came from another process
   * @param leaseMs - in ms, at least 1
   */
  heartbeat(lease: Lease, leaseMs: number): HeartbeatResult;
  /** `heartbeat` for many leases in one transaction; the answers are in the same order. */
  heartbeatMany(leases: readonly Lease[], leaseMs: number): readonly HeartbeatResult[];
  /** Keeps the run directory or the node with the current attempt, so that others find it after a crash. */
  setAttemptRun(lease: Lease, run: AttemptRun): AttemptRunResult;
  /** Ends an attempt well: the last success becomes what was claimed. Newer input makes the job due again. */
  succeed(lease: Lease, options?: SucceedOptions): SucceedResult;
  /** Ends an attempt badly: a retry is spent, or the job is exhausted. Newer input makes it due again anyway. */
  fail(lease: Lease, options: FailOptions): FailResult;
  /** Gives an attempt back untouched: pending, no retry spent. */
  release(lease: Lease, options?: ReleaseOptions): ReleaseResult;
  /** `succeed` and `claimNext` in one transaction. Claims also when the lease was lost. */
  completeAndClaim(lease: Lease, options: SucceedOptions, next: ClaimNextRequest): CompleteAndClaimResult;
  /** Calls a job off for the input it has now; a running owner learns it at its next heartbeat. */
  cancel(kind: string, key: string): CancelResult;
  /** Makes a waiting, failed or cancelled job due now, with its retries reset. */
  retry(kind: string, key: string): RetryResult;
  /** Forgets a job that is not running, with its attempts and its watermark. */
  remove(kind: string, key: string): RemoveResult;
  /** Hands out no more jobs of this kind, or of any without one. Running jobs go on. False when it was paused already. */
  pause(kind?: string): boolean;
  /** Ends a pause of this kind, or of the whole store. False when there was none. */
  resume(kind?: string): boolean;
  /**
   * Decides one slot of a schedule: record, cursor and the raised watermarks in one transaction. Refused when a higher
   * term is known, or when this slot or a later one was decided before: slots left out in between count as decided with it.
   */
  decideSlot(request: SlotRequest): SlotResult;
}

/** Which decided slots to read. */
export interface SlotPage {
  /**
   * How many at most, 1 to 1,000.
   *
   * @defaultValue 100
   */
  readonly limit?: number;
  /**
   * Only slots before this instant, UTC ms: the last one of the page before.
   *
   * @defaultValue the newest
   */
  readonly beforeMs?: number;
}

/** Which attempts of a job. */
export interface AttemptPage {
  /**
   * How many at most, 1 to 1,000: the latest ones, or with `afterToken` those that come next.
   *
   * @defaultValue no limit
   */
  readonly limit?: number;
  /**
   * Only attempts after the one with this token; 0 begins with the first.
   *
   * @defaultValue unset
   */
  readonly afterToken?: number;
}

/** What only reads jobs. Never waits for writers. */
export interface JobReads {
  /** The job, or undefined. */
  get(kind: string, key: string): Job | undefined;
  /** A page of jobs by kind and key. */
  list(request?: ListRequest): JobPage;
  /**
   * One entry per claim, oldest first, the current one last. Empty for an unknown job.
   *
   * @param kind - of the job
   * @param key - of the job
   * @param page - which of them; without it all, however many there are
   */
  attempts(kind: string, key: string, page?: AttemptPage): readonly Attempt[];
  /** How many jobs stand where. Reads every job: about 0.1 s per million. */
  stats(): StoreStats;
  /** The latest slot of a schedule that was decided, UTC ms; undefined before the first. */
  slotCursor(schedule: string): number | undefined;
  /**
   * The latest decisions of a schedule, newest first.
   *
   * @param schedule - whose
   * @param page - how many at most (1 to 1,000, default 100), and only those before an instant (UTC ms)
   */
  slots(schedule: string, page?: SlotPage): readonly Slot[];
}

/** The calls of an interface, each answering with a promise. */
export type Asynchronous<Calls> = {
  readonly [Name in keyof Calls]: Calls[Name] extends (...args: infer Args) => infer Result
    ? (...args: Args) => Promise<Result>
    : never;
};

/** How to wait for work. */
export interface WaitForDueOptions {
  /** Ends the wait: the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /**
   * How long at most, in ms.
   *
   * @defaultValue no limit
   */
  readonly maxWaitMs?: number;
  /**
   * The kinds this loop claims, as in its `claimNext`. Tells apart several loops on one store: the claims of one do not
   * hide from another that something became due. Anything that becomes due still ends the wait.
   *
   * @defaultValue the loop that claims every kind
   */
  readonly kinds?: readonly string[];
}

/** Hearing about work. */
export interface DueSignals {
  /**
   * Calls `listener` whenever jobs may have become due, in this process or another; also now and then without reason.
   * Does not keep the process alive.
   *
   * @returns a function that stops it
   */
  onDue(listener: () => void): () => void;
  /**
   * Resolves true as soon as jobs may have become due since the last `claimNext` of this store began, false after
   * `maxWaitMs`. A loop of `claimNext` and `waitForDue` therefore never misses work and never spins.
   */
  waitForDue(options?: WaitForDueOptions): Promise<boolean>;
}

/** Keeping, moving and forgetting. */
export interface StoreUpkeep {
  /** Forgets what ended long ago, in small transactions. */
  prune(request: PruneRequest): Promise<PruneResult>;
  /** Forgets slots decided before an instant, UTC ms, whatever they stand for; they still count as decided. Answers how many. */
  pruneSlots(beforeMs: number): Promise<number>;
  /** Every record of the store as lines of JSON, from one moment in time; the last line counts them. */
  exportLines(): AsyncIterable<string>;
  /**
   * Takes in what `exportLines` gave, in one transaction. Answers the number of records.
   *
   * @throws JobStoreError with code `not-empty` when the store holds anything but pauses and nodes, `transfer-invalid`
   *   for lines it does not know, and for an export that was cut off: nothing is taken in then
   */
  importLines(lines: AsyncIterable<string> | Iterable<string>): Promise<number>;
}

/** A store of jobs. Open until `close`; safe to use from any number of processes at once. */
export interface JobStore
  extends
    Asynchronous<JobWrites>,
    Asynchronous<JobReads>,
    DueSignals,
    StoreUpkeep,
    LeadershipStore,
    AsyncDisposable {
  /** Waits for the calls under way, then lets go of everything. Later calls reject with code `closed`. Idempotent. */
  close(): Promise<void>;
}
