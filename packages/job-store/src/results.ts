/** What calls answer. Losing a race is a value, never an exception. */
import type { Job, JobStatus, Lease } from './jobs.ts';

/** What an enqueue came to. */
export interface EnqueueResult {
  /** The store's own number of the job. */
  readonly jobId: number;
  /** The job's watermark after the call. */
  readonly watermark: number;
  /** False when the job already had this watermark or a higher one. */
  readonly isRaised: boolean;
}

/** What a batch of enqueues came to. */
export interface EnqueueManyResult {
  /** How many jobs were created or raised. */
  readonly raised: number;
}

/** Why a named job was not handed out. */
export type ClaimRefusal =
  | 'already_running'
  | 'up_to_date'
  | 'retry_pending'
  | 'retry_exhausted'
  | 'concurrency_limit'
  | 'not_due'
  | 'paused'
  | 'cancelled'
  | 'not_found';

/** What a claim of a named job came to. */
export type ClaimResult =
  | { readonly outcome: 'claimed'; readonly lease: Lease }
  | {
      readonly outcome: 'refused';
      readonly reason: ClaimRefusal;
      /** For `retry_pending`, `not_due` and `already_running`: the instant to look again, UTC ms. */
      readonly untilMs?: number;
    };

/** The token is not current: somebody else owns the job, or nobody does. Nothing was written. */
export interface LeaseLost {
  readonly outcome: 'lease-lost';
}

/** What a renewal came to. */
export type HeartbeatResult =
  | {
      readonly outcome: 'extended';
      /** The new end of the lease, UTC ms. */
      readonly leaseUntilMs: number;
      /** True when `cancel` asked the owner to stop. */
      readonly isCancelRequested: boolean;
    }
  | LeaseLost;

/** What a success came to. */
export type SucceedResult =
  | {
      readonly outcome: 'succeeded';
      /** `done`, `pending` when newer input came meanwhile, or `cancelled`. */
      readonly status: JobStatus;
    }
  | LeaseLost;

/** What a failure came to. */
export type FailResult =
  | {
      readonly outcome: 'failed';
      /** `error`, `pending` when newer input came meanwhile, or `cancelled`. */
      readonly status: JobStatus;
      /** When the next attempt is allowed, UTC ms; unset when exhausted, cancelled or due again anyway. */
      readonly retryAtMs: number | undefined;
      /** True when no retry is left. */
      readonly isExhausted: boolean;
    }
  | LeaseLost;

/** What giving back came to. */
export type ReleaseResult = { readonly outcome: 'released'; readonly status: JobStatus } | LeaseLost;

/** What noting the run came to. */
export type AttemptRunResult = { readonly outcome: 'noted' } | LeaseLost;

/** What a cancellation came to: done at once, asked of the owner, or nothing to cancel. */
export type CancelResult = 'cancelled' | 'requested' | 'up_to_date' | 'not_found';

/** What asking for a retry came to. */
export type RetryResult = 'due' | 'already_running' | 'up_to_date' | 'not_found';

/** What a removal came to. */
export type RemoveResult = 'removed' | 'already_running' | 'not_found';

/** What ending one attempt and taking the next jobs came to. */
export interface CompleteAndClaimResult {
  /** What became of the ended one. */
  readonly completed: SucceedResult;
  /** The next ones. */
  readonly leases: readonly Lease[];
}

/** One page of jobs. */
export interface JobPage {
  /** The jobs, by kind and key. */
  readonly jobs: readonly Job[];
  /** Pass it as `cursor` for the next page; unset on the last one. */
  readonly nextCursor: string | undefined;
}

/** How many jobs of one kind stand where. */
export interface KindStats {
  /** The kind. */
  readonly kind: string;
  /** Jobs that wait for a worker. */
  readonly ready: number;
  /** Jobs that wait for their due time or retry. */
  readonly waiting: number;
  /** Jobs with an owner, also those whose lease has expired and nobody has noticed yet. */
  readonly running: number;
  /** Jobs that are up to date. */
  readonly done: number;
  /** Jobs that failed and have no retry left. */
  readonly exhausted: number;
  /** Jobs that were called off. */
  readonly cancelled: number;
  /** The due time of the job that has waited longest, UTC ms. */
  readonly oldestReadyDueAtMs: number | undefined;
  /** Whether the kind is paused. */
  readonly isPaused: boolean;
}

/** How many jobs stand where. */
export interface StoreStats {
  /** Per kind, in the order of the names. */
  readonly kinds: readonly KindStats[];
  /** Whether the whole store is paused. */
  readonly isPaused: boolean;
}

/** What was forgotten. */
export interface PruneResult {
  /** Jobs removed. */
  readonly jobs: number;
  /** Attempts removed. */
  readonly attempts: number;
}

/** What deciding a slot came to. */
export type SlotResult =
  | { readonly outcome: 'decided' }
  | { readonly outcome: 'stale-term'; /** The highest term known. */ readonly currentTerm: number }
  | {
      readonly outcome: 'already-decided';
      /** What was decided before; unset when the record was pruned. */
      readonly decision: string | undefined;
    };

/** One decided slot. */
export interface Slot {
  /** Whose slot it is. */
  readonly schedule: string;
  /** The planned instant, UTC ms. */
  readonly slotMs: number;
  /** What was decided. */
  readonly decision: string;
  /** Why. */
  readonly reason: string | undefined;
  /** Under which term. */
  readonly term: number;
  /** When, UTC ms. */
  readonly decidedAtMs: number;
}
