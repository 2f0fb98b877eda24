/** The store inside a caller's transaction. Invariant: unusable once the transaction has ended. */
import type { Clock } from '@conductor-run/clock';
import type { Database } from 'better-sqlite3';
import type { Engine } from './engine.ts';
import { createImmediateWrites } from './facades.ts';
import { guardReads } from './job-reads.ts';
import type { JobStoreTransaction, SqlValue } from './sqlite-job-store.ts';
import { runCall, type AnyVerb } from './verbs.ts';

/** @internal A transaction's calls, which verbs it has run, and how to make it unusable. */
export interface OpenStoreTransaction {
  readonly tx: JobStoreTransaction;
  readonly verbs: ReadonlySet<AnyVerb>;
  readonly end: () => void;
}

/** @internal */
export function createStoreTransaction(
  db: Database,
  engine: Engine,
  clock: Clock,
  toError: (error: unknown) => unknown,
): OpenStoreTransaction {
  const verbs = new Set<AnyVerb>();
  let isEnded = false;
  const requireOpen = (): void => {
    if (isEnded) throw new TypeError('Cannot use transaction: ended, expected an open one');
  };
  const prepare = (sql: string): ReturnType<typeof db.prepare<[Readonly<Record<string, SqlValue>>]>> => {
    requireOpen();
    return db.prepare<[Readonly<Record<string, SqlValue>>]>(sql);
  };
  return {
    tx: {
      ...createImmediateWrites(engine.calls, (call) => {
        requireOpen();
        verbs.add(call.verb);
        // A savepoint: what a call wrote before it failed must not stay when the caller goes on.
        return db.transaction(() => runCall(call, clock.nowMs()))();
      }),
      ...guardReads(engine.reads, requireOpen, toError),
      execute: (sql, parameters = {}) => prepare(sql).run(parameters).changes,
      query: (sql, parameters = {}) => prepare(sql).all(parameters),
    },
    verbs,
    end() {
      isEnded = true;
    },
  };
}
