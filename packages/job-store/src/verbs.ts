/**
 * The writing calls of the store as data: a verb and its checked request. The three ways to run them (grouped, one by
 * one, inside a caller's transaction) then cannot differ in what they do.
 */
import {
  claimNamed,
  claimNext,
  isAnythingDue,
  requireClaim,
  requireClaimNext,
  type ClaimContext,
} from './claim.ts';
import {
  enqueueBatch,
  enqueueOne,
  prepareEnqueue,
  type EnqueueContext,
  type PreparedEnqueue,
} from './enqueue.ts';
import {
  failOne,
  heartbeatOne,
  noteRun,
  prepareSuccess,
  releaseOne,
  requireFail,
  requireLease,
  requireRelease,
  requireRun,
  succeedMany,
  succeedOne,
  type FinishContext,
} from './finish.ts';
import type { Lease } from './jobs.ts';
import { MAX_KIND_LENGTH, requireMs, requireText } from './options.ts';
import type { ReadStatements } from './read-statements.ts';
import type { AttemptRun, ClaimNextRequest, FailOptions, SucceedOptions } from './requests.ts';
import type { CancelResult, RemoveResult, RetryResult } from './results.ts';
import { parseJobRow } from './rows.ts';
import { decideSlot, requireSlot, type SlotContext } from './slots.ts';
import type { WriteStatements } from './statements.ts';
import type { JobWrites } from './job-store.ts';

/** @internal One writing operation; `run` answers each request, in order, inside an open write transaction. */
export interface Verb<Request, Result> {
  /** What waiting workers should hear of: new work, room that became free under a limit, or nothing. */
  readonly wakes: 'for-work' | 'for-room' | 'nobody';
  run(requests: readonly Request[], nowMs: number): Result[];
  /** The answer when nothing needs to be written; undefined when something may. */
  answerIdle?(nowMs: number): Result | undefined;
}

/** @internal Any verb. */
export type AnyVerb = Verb<unknown, unknown>;

/** @internal A verb and what to do. */
export interface Call<Result> {
  readonly verb: Verb<unknown, Result>;
  readonly request: unknown;
}

/** @internal Runs one call inside an open write transaction. */
export function runCall<Result>(call: Call<Result>, nowMs: number): Result {
  for (const result of call.verb.run([call.request], nowMs)) return result;
  throw new Error('Cannot run call: its verb gave no answer, expected one');
}

/** @internal For each writing call, how its arguments become a call. */
export type Calls = {
  readonly [Name in keyof JobWrites]: (
    ...args: Parameters<JobWrites[Name]>
  ) => Call<ReturnType<JobWrites[Name]>>;
};

/** @internal What the verbs need of their connection. */
export interface VerbContext {
  readonly writes: WriteStatements;
  readonly reads: ReadStatements;
  readonly enqueue: EnqueueContext;
  readonly claim: ClaimContext;
  readonly finish: FinishContext;
  readonly slots: SlotContext;
}

/** @internal */
export function createCalls(context: VerbContext): Calls {
  const { writes, reads, enqueue, claim, finish, slots } = context;
  return {
    enqueue: verb('for-work', prepareEnqueue, (request, nowMs) => enqueueOne(enqueue, request, nowMs)),
    enqueueMany: verb(
      'for-work',
      (requests) => requests.map(prepareEnqueue),
      (requests: readonly PreparedEnqueue[], nowMs) => ({ raised: enqueueBatch(enqueue, requests, nowMs) }),
    ),
    claim: verb('nobody', requireClaim, (request, nowMs) => claimNamed(claim, request, nowMs)),
    claimNext: claimNextVerb(claim),
    heartbeat: verb(
      'nobody',
      (lease: Lease, leaseMs: number) => ({
        lease: requireLease(lease),
        leaseMs: requireMs('leaseMs', leaseMs, 1),
      }),
      ({ lease, leaseMs }, nowMs) => heartbeatOne(finish, lease, leaseMs, nowMs),
    ),
    heartbeatMany: verb(
      'nobody',
      (leases: readonly Lease[], leaseMs: number) => ({
        leases: leases.map(requireLease),
        leaseMs: requireMs('leaseMs', leaseMs, 1),
      }),
      ({ leases, leaseMs }, nowMs) => leases.map((lease) => heartbeatOne(finish, lease, leaseMs, nowMs)),
    ),
    setAttemptRun: verb(
      'nobody',
      (lease: Lease, run: AttemptRun) => ({ lease: requireLease(lease), run: requireRun(run) }),
      ({ lease, run }) => noteRun(finish, lease, run),
    ),
    succeed: setVerb('for-room', prepareSuccess, (requests, nowMs) => succeedMany(finish, requests, nowMs)),
    fail: verb(
      'for-work',
      (lease: Lease, options: FailOptions) => ({ lease: requireLease(lease), options: requireFail(options) }),
      ({ lease, options }, nowMs) => failOne(finish, lease, options, nowMs),
    ),
    release: verb('for-work', requireRelease, ({ lease, options }, nowMs) =>
      releaseOne(finish, lease, options, nowMs),
    ),
    completeAndClaim: verb(
      'for-room',
      (lease: Lease, options: SucceedOptions, next: ClaimNextRequest) => ({
        success: prepareSuccess(lease, options),
        next: requireClaimNext(next),
      }),
      ({ success, next }, nowMs) => {
        const completed = succeedOne(finish, success, nowMs);
        return { completed, leases: claimNext(claim, next, next.limit ?? 1, nowMs) };
      },
    ),
    cancel: verb('nobody', requireRef, (ref, nowMs) => cancelOne(writes, reads, ref, nowMs)),
    retry: verb('for-work', requireRef, (ref, nowMs) => retryOne(writes, reads, ref, nowMs)),
    remove: verb('for-room', requireRef, (ref) => removeOne(writes, reads, ref)),
    pause: verb('nobody', kindOrAll, (kind, nowMs) => writes.pause.run({ kind, nowMs }).changes > 0),
    resume: verb('for-work', kindOrAll, (kind) => writes.resume.run({ kind }).changes > 0),
    decideSlot: verb('for-work', requireSlot, (slot, nowMs) => decideSlot(slots, slot, nowMs)),
  };
}

/** A verb that works on one request at a time. */
function verb<Args extends unknown[], Request, Result>(
  wakes: Verb<Request, Result>['wakes'],
  check: (...args: Args) => Request,
  runOne: (request: Request, nowMs: number) => Result,
): (...args: Args) => Call<Result> {
  return setVerb(wakes, check, (requests, nowMs) => requests.map((request) => runOne(request, nowMs)));
}

/** A verb that answers many requests with one set of statements. */
function setVerb<Args extends unknown[], Request, Result>(
  wakes: Verb<Request, Result>['wakes'],
  check: (...args: Args) => Request,
  run: (requests: readonly Request[], nowMs: number) => Result[],
): (...args: Args) => Call<Result> {
  const made: Verb<Request, Result> = { wakes, run };
  return (...args) => ({ verb: made, request: check(...args) });
}

function claimNextVerb(claim: ClaimContext): (request: ClaimNextRequest) => Call<readonly Lease[]> {
  const made: Verb<ClaimNextRequest, readonly Lease[]> = {
    wakes: 'nobody',
    run(requests, nowMs) {
      const answers: (readonly Lease[])[] = [];
      let start = 0;
      for (let end = 1; end <= requests.length; end += 1) {
        const first = requests[start];
        const next = requests[end];
        if (first === undefined || (next !== undefined && isSameClaim(first, next))) continue;
        answers.push(...claimTogether(claim, first, requests.slice(start, end), nowMs));
        start = end;
      }
      return answers;
    },
    answerIdle: (nowMs) => (isAnythingDue(claim, nowMs) ? undefined : []),
  };
  return (request) => ({ verb: made, request: requireClaimNext(request) });
}

/** Takes jobs for several equal requests at once and shares them out in the order of the calls. */
function claimTogether(
  claim: ClaimContext,
  first: ClaimNextRequest,
  requests: readonly ClaimNextRequest[],
  nowMs: number,
): Lease[][] {
  const wanted = requests.map(({ limit }) => limit ?? 1);
  const leases = claimNext(
    claim,
    first,
    wanted.reduce((sum, count) => sum + count, 0),
    nowMs,
  );
  return wanted.map((count) => leases.splice(0, count));
}

/** Whether one claim may stand for both: all but the number of jobs must be the same. */
function isSameClaim(a: ClaimNextRequest, b: ClaimNextRequest): boolean {
  return (
    a.workerId === b.workerId &&
    a.leaseMs === b.leaseMs &&
    a.node === b.node &&
    isSameJson(a.kinds, b.kinds) &&
    isSameJson(a.limits, b.limits)
  );
}

function isSameJson(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

interface Ref {
  readonly kind: string;
  readonly key: string;
}

function requireRef(kind: string, key: string): Ref {
  return { kind: requireText('kind', kind, MAX_KIND_LENGTH), key: requireText('key', key) };
}

/** The kind `''` stands for all of them. */
function kindOrAll(kind?: string): string {
  return kind === undefined ? '' : requireText('kind', kind, MAX_KIND_LENGTH);
}

function cancelOne(writes: WriteStatements, reads: ReadStatements, ref: Ref, nowMs: number): CancelResult {
  writes.cancel.run({ ...ref, nowMs });
  const row = reads.job.get({ ...ref });
  if (row === undefined) return 'not_found';
  const { status } = parseJobRow(row);
  if (status === 'running') return 'requested';
  return status === 'cancelled' ? 'cancelled' : 'up_to_date';
}

function retryOne(writes: WriteStatements, reads: ReadStatements, ref: Ref, nowMs: number): RetryResult {
  if (writes.retry.run({ ...ref, nowMs }).changes > 0) return 'due';
  const row = reads.job.get({ ...ref });
  if (row === undefined) return 'not_found';
  return parseJobRow(row).status === 'running' ? 'already_running' : 'up_to_date';
}

function removeOne(writes: WriteStatements, reads: ReadStatements, ref: Ref): RemoveResult {
  if (writes.remove.run({ ...ref }).changes > 0) return 'removed';
  return reads.job.get({ ...ref }) === undefined ? 'not_found' : 'already_running';
}
