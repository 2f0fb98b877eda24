/** What callers ask for. Every duration is in milliseconds, every instant integer UTC milliseconds. */
import type { JobRef, JobStatus, JsonValue } from './jobs.ts';
import type { RetryPolicy } from './retry-policy.ts';

/** Raises a job's watermark, creating the job when there is none. */
export interface EnqueueRequest extends JobRef {
  /**
   * How new the input is: an integer of at least 1. The job keeps the larger of this and its own.
   *
   * @defaultValue the job's watermark plus 1
   */
  readonly watermark?: number;
  /**
   * Not before this instant, UTC ms. A job that is waiting already keeps the earlier of the two.
   *
   * @defaultValue now
   */
  readonly dueAtMs?: number;
  /**
   * Higher goes first within its kind; an integer.
   *
   * @defaultValue the job's, or 0
   */
  readonly priority?: number;
  /** What the worker gets with the lease; replaces what was there. */
  readonly payload?: JsonValue;
  /**
   * Retries after the first failure, for this input and later ones; an integer of at least 0.
   *
   * @defaultValue the job's, or the store's `retries`
   */
  readonly retries?: number;
  /** Jobs that share it can be limited together. Ignored while the job is running. */
  readonly concurrencyKey?: string;
}

/** Takes one named job. */
export interface ClaimRequest extends JobRef {
  /** Who takes it. */
  readonly workerId: string;
  /** How long, in ms, at least 1. */
  readonly leaseMs: number;
  /** The node of the worker, kept with the attempt. */
  readonly node?: string;
  /** Where the attempt's files will be, kept with the attempt. */
  readonly runDir?: string;
  /**
   * How many of this kind may run at once, over all workers.
   *
   * @defaultValue no limit
   */
  readonly maxConcurrent?: number;
  /**
   * Whether a missing job is created running.
   *
   * @defaultValue true
   */
  readonly create?: boolean;
}

/** How many jobs may run at once, counted over all workers of the store. */
export interface ClaimLimits {
  /** Per kind, by name. */
  readonly kinds?: Readonly<Record<string, number>>;
  /** For every kind that `kinds` does not name. */
  readonly perKind?: number;
  /** Per concurrency key, by name. */
  readonly concurrencyKeys?: Readonly<Record<string, number>>;
  /** For every concurrency key that `concurrencyKeys` does not name. */
  readonly perConcurrencyKey?: number;
}

/** Takes the next due jobs. */
export interface ClaimNextRequest {
  /** Who takes them. */
  readonly workerId: string;
  /** How long, in ms, at least 1. */
  readonly leaseMs: number;
  /**
   * Only of these kinds.
   *
   * @defaultValue every kind with due jobs
   */
  readonly kinds?: readonly string[];
  /**
   * How many at most, 1 to 1,000.
   *
   * @defaultValue 1
   */
  readonly limit?: number;
  /** How many may run at once. */
  readonly limits?: ClaimLimits;
  /** The node of the worker, kept with the attempts. */
  readonly node?: string;
}

/** Ends an attempt well. */
export interface SucceedOptions {
  /**
   * What the success covered, when it is not what was claimed.
   *
   * @defaultValue the watermark at claim
   */
  readonly watermark?: number;
  /** What to keep as the job's result; without it the job has none. */
  readonly result?: JsonValue;
}

/** Ends an attempt badly. */
export interface FailOptions {
  /** What went wrong, for people; cut after 16,000 characters. */
  readonly error: string;
  /**
   * When to try again: a policy, or `false` to give up now whatever retries are left.
   *
   * @defaultValue the store's `retry`
   */
  readonly retry?: RetryPolicy | false;
}

/** Gives an attempt back untouched. */
export interface ReleaseOptions {
  /**
   * Not before this instant, UTC ms.
   *
   * @defaultValue unchanged: due again at once
   */
  readonly dueAtMs?: number;
}

/** What the owner wants kept with its attempt. */
export interface AttemptRun {
  /** Where the attempt's files are. */
  readonly runDir?: string;
  /** The node that runs it. */
  readonly node?: string;
}

/** Which jobs to list, in the order of kind and key. */
export interface ListRequest {
  /** Only this kind. */
  readonly kind?: string;
  /** Only this status. */
  readonly status?: JobStatus;
  /** Only dirty, or only clean ones. */
  readonly isDirty?: boolean;
  /** Only keys that start with this. */
  readonly keyPrefix?: string;
  /**
   * How many at most, 1 to 1,000.
   *
   * @defaultValue 100
   */
  readonly limit?: number;
  /** Where the last page ended: its `nextCursor`. */
  readonly cursor?: string;
}

/** What to forget. */
export interface PruneRequest {
  /**
   * Jobs that are done or exhausted, and attempts, that ended before this instant, UTC ms; cancelled jobs that were
   * cancelled before it.
   */
  readonly finishedBeforeMs: number;
  /**
   * Whether the jobs themselves go too, and not only their attempts. A job that goes takes its watermark with it.
   *
   * @defaultValue true
   */
  readonly jobs?: boolean;
}

/** Decides one planned instant of a schedule. */
export interface SlotRequest {
  /** Whose slot it is. */
  readonly schedule: string;
  /** The planned instant, UTC ms. */
  readonly slotMs: number;
  /**
   * Which leadership `term` belongs to.
   *
   * @defaultValue 'leader'
   */
  readonly leadership?: string;
  /** The leader's term; refused when a higher one is known. */
  readonly term: number;
  /** What was decided, for example `run`, `skip` or `missed`. */
  readonly decision: string;
  /** Why, for people. */
  readonly reason?: string;
  /** The jobs whose watermark the decision raises, in the same transaction. */
  readonly effect?: readonly EnqueueRequest[];
}
