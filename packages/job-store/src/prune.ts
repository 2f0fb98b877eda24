/** Forgetting what ended long ago, a window of jobs at a time, so that neither writers nor the event loop wait long. */
import type { Database } from 'better-sqlite3';
import { requireInteger } from './options.ts';
import type { PruneRequest } from './requests.ts';
import type { PruneResult } from './results.ts';
import { nextTurn } from './retry-busy.ts';
import { parseInteger } from './rows.ts';
import type { SlotStatements } from './slot-statements.ts';
import type { Prepared } from './statements.ts';
import type { Transactions } from './transactions.ts';

/** @internal What pruning needs of its store. */
export interface PruneContext {
  readonly db: Database;
  readonly transactions: Transactions;
  readonly slots: SlotStatements;
}

/** @internal Forgets ended jobs and attempts. */
export async function prune(context: PruneContext, request: PruneRequest): Promise<PruneResult> {
  const { db, transactions } = context;
  const beforeMs = requireInteger('finishedBeforeMs', request.finishedBeforeMs, 0);
  const statements = preparePrune(db);
  const lastJobId = parseInteger(statements.lastJobId.get({}));
  let jobs = 0;
  let attempts = 0;
  for (let from = 0; from <= lastJobId; from += WINDOW) {
    const window = { from, to: from + WINDOW, beforeMs };
    await transactions.whenFree(() => {
      attempts += statements.attempts.run(window).changes + statements.lastAttempts.run(window).changes;
      statements.largeValues.run({ from: window.from, to: window.to });
      if (request.jobs !== false) jobs += statements.jobs.run(window).changes;
    });
    await nextTurn();
  }
  return { jobs, attempts };
}

/** @internal Forgets decided slots; the cursor remembers up to where. */
export function pruneSlots({ transactions, slots }: PruneContext, beforeMs: number): Promise<number> {
  requireInteger('beforeMs', beforeMs, 0);
  return transactions.whenFree(() => {
    return slots.deleteSlots.run({ beforeMs }).changes;
  });
}

function preparePrune(
  db: Database,
): Record<'lastJobId' | 'attempts' | 'lastAttempts' | 'largeValues' | 'jobs', Prepared> {
  return {
    lastJobId: db.prepare('select coalesce(max(job_id), 0) from jobs').pluck(),
    attempts: db.prepare(`
delete from job_attempts
where job_id >= @from and job_id < @to and finished_at_ms < @beforeMs`),
    // Those whose record is still in their job's row.
    lastAttempts: db.prepare(`
update jobs set ended_token = null, ended_outcome = null, worker_id = null
where job_id >= @from and job_id < @to and ended_token is not null and finished_at_ms < @beforeMs`),
    // A small value that replaced a large one leaves the large one behind.
    largeValues: db.prepare(`
delete from job_large_values
where job_id >= @from and job_id < @to
  and not exists (select 1 from jobs j
                  where j.job_id = job_large_values.job_id
                    and j.large_values & case name when 'payload' then 1 else 2 end)`),
    jobs: db.prepare(`
delete from jobs
where job_id >= @from and job_id < @to and finished_at_ms < @beforeMs
  and (status in ('done', 'cancelled') or (status = 'error' and queue = 0))`),
  };
}

const WINDOW = 500;
