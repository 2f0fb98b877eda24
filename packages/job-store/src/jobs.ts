/**
 * What a job, a lease and an attempt are. Plain data: everything here survives `JSON.stringify`.
 * Invariant: `lastSuccessWatermark <= inputWatermark`; a job is dirty exactly when it is smaller.
 */

/** A value that JSON can hold. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue };

/**
 * Where a job stands. `pending` waits for its due time or a worker, `running` has an owner, `done` is up to date,
 * `error` failed and waits for its retry or is exhausted, `cancelled` was called off.
 */
export type JobStatus = 'pending' | 'running' | 'done' | 'error' | 'cancelled';

/** The name of a job. */
export interface JobRef {
  /** What sort of work it is; limits, pauses and fairness count by kind. 1 to 200 characters. */
  readonly kind: string;
  /** Which one of its kind. 1 to 1,000 characters. */
  readonly key: string;
}

/** A job as it stands in the store. */
export interface Job extends JobRef {
  /** The store's own number of the job while it exists; once the job is removed, another may get the number. */
  readonly jobId: number;
  /** Where it stands. */
  readonly status: JobStatus;
  /** How new the input is; only ever grows. */
  readonly inputWatermark: number;
  /** The input watermark at the last claim. */
  readonly claimedWatermark: number | undefined;
  /** How new the input was that the last success covered; 0 before the first. Only ever grows. */
  readonly lastSuccessWatermark: number;
  /** True while there is input that no success has covered. */
  readonly isDirty: boolean;
  /** The fencing number of the owner, while running. */
  readonly token: number | undefined;
  /** Who runs it, while running. */
  readonly workerId: string | undefined;
  /** The node of the last attempt, if its owner said so. */
  readonly node: string | undefined;
  /** The run directory of the last attempt, if its owner said so. */
  readonly runDir: string | undefined;
  /** Until when the owner has it, UTC ms, while running. */
  readonly leaseUntilMs: number | undefined;
  /** When the last attempt started, UTC ms. */
  readonly startedAtMs: number | undefined;
  /** When the last attempt ended, UTC ms; unset while running. */
  readonly finishedAtMs: number | undefined;
  /** When it is or was due, UTC ms. */
  readonly dueAtMs: number;
  /** Higher goes first within its kind. */
  readonly priority: number;
  /** Jobs that share it can be limited together, across kinds. */
  readonly concurrencyKey: string | undefined;
  /** When the next attempt is allowed after a failure, UTC ms. */
  readonly retryAtMs: number | undefined;
  /** How many retries a fresh input gets. */
  readonly maxRetries: number;
  /** Retries that are left; 0 when exhausted too, see `isExhausted`. */
  readonly retriesLeft: number;
  /** Failed or expired attempts since the retries were last reset. */
  readonly failedAttempts: number;
  /** True when it failed and no retry is left. */
  readonly isExhausted: boolean;
  /** How often it was claimed. */
  readonly attempt: number;
  /** True when `cancel` asked the running owner to stop. */
  readonly isCancelRequested: boolean;
  /** What the last failure said; gone after a success. */
  readonly lastError: string | undefined;
  /** What the enqueuer wants the worker to know. */
  readonly payload: JsonValue | undefined;
  /** What the last success left. */
  readonly result: JsonValue | undefined;
  /** When it was created, UTC ms. */
  readonly createdAtMs: number;
  /** When its row last changed, UTC ms. */
  readonly updatedAtMs: number;
}

/**
 * The time-limited right to run a job. Plain JSON: another process may hold it, renew it and end it.
 * Writes check `jobId` and `token` only; the rest is for the reader.
 */
export interface Lease extends JobRef {
  /** The store's own number of the job. */
  readonly jobId: number;
  /** The fencing number; grows over the whole life of the store. */
  readonly token: number;
  /** Who holds it. */
  readonly workerId: string;
  /** On which node, if the claim said so. */
  readonly node?: string;
  /** Which claim of the job this is, from 1. */
  readonly attempt: number;
  /** The input watermark this attempt covers; a success writes this one. */
  readonly watermark: number;
  /** When it ends unless renewed, UTC ms. */
  readonly leaseUntilMs: number;
  /** When it was claimed, UTC ms. */
  readonly startedAtMs: number;
  /** What the enqueuer wants the worker to know. */
  readonly payload?: JsonValue;
}

/** How an attempt ended; `running` while it has not, `lost` when its lease expired. */
export type AttemptOutcome = 'running' | 'succeeded' | 'failed' | 'lost' | 'released';

/** One claim of a job and what became of it. */
export interface Attempt {
  /** Number of the claim, from 1. */
  readonly attempt: number;
  /** Its fencing number. */
  readonly token: number;
  /** Who claimed. */
  readonly workerId: string;
  /** On which node, if the claim said so. */
  readonly node: string | undefined;
  /** Where its files are, if the owner said so. */
  readonly runDir: string | undefined;
  /** The input watermark it covered. */
  readonly watermark: number;
  /** When it was claimed, UTC ms. */
  readonly startedAtMs: number;
  /** When it ended, UTC ms; unset while running. */
  readonly finishedAtMs: number | undefined;
  /** How it ended. */
  readonly outcome: AttemptOutcome;
  /** What the failure said. */
  readonly error: string | undefined;
}
