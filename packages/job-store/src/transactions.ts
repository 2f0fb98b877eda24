/** Write transactions of one connection. Invariant: a transaction ends in the turn it began; nothing is awaited inside. */
import type { Clock } from '@conductor-run/clock';
import type { Database, Statement } from 'better-sqlite3';
import { JobStoreError } from './errors.ts';
import { retryBusy } from './retry-busy.ts';
import { toJobStoreError } from './sqlite-errors.ts';

/** @internal Runs write transactions on a connection. */
export interface Transactions {
  /** Runs `work` now; throws with code `busy` when another process is writing. */
  now<Result>(work: () => Result): Result;
  /** Runs `work` once, as soon as no other process is writing; what it throws passes unchanged. */
  whenFree<Result>(work: () => Result): Promise<Result>;
}

/** @internal What transactions need of their connection. */
export interface TransactionOptions {
  readonly db: Database;
  readonly path: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly busyTimeoutMs: number;
}

/** @internal */
export function createTransactions(options: TransactionOptions): Transactions {
  const { db, path, clock, random, busyTimeoutMs } = options;
  const statements = prepareTransaction(db);
  return {
    now(work) {
      try {
        statements.begin.run();
        return finishTransaction(db, statements, work);
      } catch (error) {
        throw toJobStoreError('write', path, error);
      }
    },
    async whenFree(work) {
      // The work must not run again when it is the work that throws, so its failure travels as a value.
      const outcome = await retryBusy(clock, busyTimeoutMs, random, () => {
        if (!db.open) {
          throw new JobStoreError('closed', `Cannot write job store "${path}": closed, expected an open one`);
        }
        statements.begin.run();
        return settle(() => finishTransaction(db, statements, work));
      }).catch((error: unknown) => {
        throw toJobStoreError('write', path, error);
      });
      if ('error' in outcome) throw outcome.error;
      return outcome.value;
    },
  };
}

/** @internal The statements around a write transaction. */
export interface TransactionStatements {
  readonly begin: Statement;
  readonly commit: Statement;
  readonly rollback: Statement;
}

/** @internal */
export function prepareTransaction(db: Database): TransactionStatements {
  return {
    begin: db.prepare('begin immediate'),
    commit: db.prepare('commit'),
    rollback: db.prepare('rollback'),
  };
}

/** @internal Runs `work` in the open transaction and commits; rolls back when it throws. */
export function finishTransaction<Result>(
  db: Database,
  statements: TransactionStatements,
  work: () => Result,
): Result {
  try {
    const result = work();
    if (result instanceof Promise) {
      // It goes on and will fail, since its transaction has ended; this refusal is all there is to say about it.
      result.catch(() => undefined);
      throw new TypeError(
        'Cannot commit transaction: its function returned a promise, expected it to be done',
      );
    }
    statements.commit.run();
    return result;
  } catch (error) {
    // A full disk or a broken file has rolled back already.
    if (db.inTransaction) statements.rollback.run();
    throw error;
  }
}

function settle<Result>(work: () => Result): { readonly value: Result } | { readonly error: unknown } {
  try {
    return { value: work() };
  } catch (error) {
    return { error };
  }
}
