/** What the SQLite engine offers beyond the contract, and its options. */
import type { Clock } from '@conductor-run/clock';
import type { JobReads, JobStore, JobWrites } from './job-store.ts';
import type { Logger } from './logger.ts';
import type { RetryPolicy } from './retry-policy.ts';

/** How to open a job store on SQLite. */
export interface OpenJobStoreOptions {
  /**
   * The main file; created when missing, its directory is not. Beside it live `-wal`, `-shm`, `-bell`, and
   * `-leadership` with its own `-wal` and `-shm`. Must be on a local file system.
   */
  readonly path: string;
  /**
   * What a commit survives: `process` the death of any process, `power` also that of the machine.
   * Leadership records always survive both.
   *
   * @defaultValue 'process'
   */
  readonly durability?: 'process' | 'power';
  /**
   * When to try again after a failure.
   *
   * @defaultValue exponential, up to 1 s at first, doubling up to 5 minutes, full jitter
   */
  readonly retry?: RetryPolicy;
  /**
   * Retries of jobs that were enqueued without a number of their own.
   *
   * @defaultValue 3
   */
  readonly retries?: number;
  /**
   * How long a call waits for other writers before it throws with code `busy`, in ms.
   *
   * @defaultValue 5,000
   */
  readonly busyTimeoutMs?: number;
  /**
   * How often a waiting worker looks without having been woken, in ms.
   *
   * @defaultValue 1,000
   */
  readonly pollMs?: number;
  /**
   * Where time comes from.
   *
   * @defaultValue the real clock
   */
  readonly clock?: Clock;
  /**
   * A number from 0 up to, not including, 1: for jitter.
   *
   * @defaultValue the system's
   */
  readonly random?: () => number;
  /**
   * Where to tell what an operator may want to know.
   *
   * @defaultValue silence
   */
  readonly logger?: Logger;
}

/** A value that can be bound to a statement of the caller's own. */
export type SqlValue = string | number | bigint | null | Uint8Array;

/** The store inside a caller's transaction. Usable until the function given to `transaction` returns. */
export interface JobStoreTransaction extends JobWrites, JobReads {
  /**
   * Runs a statement of the caller's own in the same transaction, on tables of the caller's own.
   *
   * @param sql - one statement; named parameters as `@name`
   * @param parameters - their values
   * @returns how many rows changed
   */
  execute(sql: string, parameters?: Readonly<Record<string, SqlValue>>): number;
  /** Runs a query of the caller's own in the same transaction and answers its rows. */
  query(sql: string, parameters?: Readonly<Record<string, SqlValue>>): readonly unknown[];
}

/** The calls on jobs, each done when it returns. */
export interface SyncJobStore extends JobWrites, JobReads {}

/** A job store on SQLite. */
export interface SqliteJobStore extends JobStore {
  /**
   * The same calls, each in a transaction of its own, done when they return. They block the event loop for that long,
   * and throw at once with code `busy` while another process writes: the plain calls wait for their turn instead.
   */
  readonly sync: SyncJobStore;
  /**
   * Runs `work` in one transaction: everything in it happens, or nothing when it throws. Waits its turn while other
   * processes write; `work` then runs once, in one turn of the event loop, and must not return a promise.
   */
  transaction<Result>(work: (tx: JobStoreTransaction) => Result): Promise<Result>;
  /**
   * Copies the store to `path`, and its leadership file beside it, while it is in use. Each copy is read back and appears
   * whole or not at all, for its owner alone; reading back stops the event loop for as long as one table takes. A former
   * copy is replaced, unless it is open or its process was killed.
   *
   * @throws JobStoreError with code `io`, `disk-full` or `corrupt`; RangeError for a file of the store itself
   */
  backup(path: string): Promise<void>;
}
