/** Forgetting what ended long ago, a window of rows at a time, so that neither writers nor the event loop wait long. */
import type { Database } from 'better-sqlite3';
import { z } from 'zod';
import { requireInteger } from './options.ts';
import type { PruneRequest } from './requests.ts';
import type { PruneResult } from './results.ts';
import { nextTurn } from './retry-busy.ts';
import { parseInteger } from './rows.ts';
import type { Prepared } from './statements.ts';
import type { Transactions } from './transactions.ts';

/** @internal What pruning needs of its store. */
export interface PruneContext {
  readonly db: Database;
  readonly transactions: Transactions;
}

/** @internal Forgets ended jobs and attempts. */
export async function prune(context: PruneContext, request: PruneRequest): Promise<PruneResult> {
  const { db, transactions } = context;
  const beforeMs = requireInteger('finishedBeforeMs', request.finishedBeforeMs, 0);
  const { attemptWindow, attempts, jobWindow, lastAttempts, largeValues, jobs } = preparePrune(db);
  const pruned = { jobs: 0, attempts: 0 };
  // By rows, not by jobs: one job may have had any number of attempts.
  let last = { job_id: 0, token: 0 };
  for (let window = attemptWindow.get(last); window !== undefined; window = attemptWindow.get(last)) {
    const to = attemptKey.parse(window);
    const bounds = {
      afterId: last.job_id,
      afterToken: last.token,
      toId: to.job_id,
      toToken: to.token,
      beforeMs,
    };
    await transactions.whenFree(() => {
      pruned.attempts += attempts.run(bounds).changes;
    });
    last = to;
    await nextTurn();
  }
  let after = 0;
  for (let window = jobWindow.get({ after }); window !== undefined; window = jobWindow.get({ after })) {
    const to = parseInteger(window);
    const bounds = { after, to, beforeMs };
    await transactions.whenFree(() => {
      pruned.attempts += lastAttempts.run(bounds).changes;
      largeValues.run({ after, to });
      if (request.jobs !== false) pruned.jobs += jobs.run(bounds).changes;
    });
    after = to;
    await nextTurn();
  }
  return pruned;
}

/** @internal Forgets decided slots; the cursor remembers up to where. */
export async function pruneSlots({ db, transactions }: PruneContext, beforeMs: number): Promise<number> {
  requireInteger('beforeMs', beforeMs, 0);
  const { slotWindow, slots } = prepareSlotPrune(db);
  let pruned = 0;
  let last = { schedule: '', slot_ms: -1 };
  for (let window = slotWindow.get(last); window !== undefined; window = slotWindow.get(last)) {
    const to = slotKey.parse(window);
    const bounds = {
      after: last.schedule,
      afterMs: last.slot_ms,
      to: to.schedule,
      toMs: to.slot_ms,
      beforeMs,
    };
    await transactions.whenFree(() => {
      pruned += slots.run(bounds).changes;
    });
    last = to;
    await nextTurn();
  }
  return pruned;
}

function prepareSlotPrune(db: Database): Record<'slotWindow' | 'slots', Prepared> {
  return {
    slotWindow: db.prepare(`
select schedule, slot_ms
from (select schedule, slot_ms from schedule_slots
      where (schedule, slot_ms) > (@schedule, @slot_ms)
      order by schedule, slot_ms
      limit ${WINDOW})
order by schedule desc, slot_ms desc
limit 1`),
    slots: db.prepare(`
delete from schedule_slots
where (schedule, slot_ms) > (@after, @afterMs) and (schedule, slot_ms) <= (@to, @toMs)
  and decided_at_ms < @beforeMs`),
  };
}

/** Windows end at a row that is there, however far apart the numbers are; the last one is smaller. */
function preparePrune(
  db: Database,
): Record<'attemptWindow' | 'attempts' | 'jobWindow' | 'lastAttempts' | 'largeValues' | 'jobs', Prepared> {
  return {
    attemptWindow: db.prepare(`
select job_id, token
from (select job_id, token from job_attempts
      where (job_id, token) > (@job_id, @token)
      order by job_id, token
      limit ${WINDOW})
order by job_id desc, token desc
limit 1`),
    attempts: db.prepare(`
delete from job_attempts
where (job_id, token) > (@afterId, @afterToken) and (job_id, token) <= (@toId, @toToken)
  and finished_at_ms < @beforeMs`),
    jobWindow: db
      .prepare(
        `
select job_id from (select job_id from jobs where job_id > @after order by job_id limit ${WINDOW})
order by job_id desc
limit 1`,
      )
      .pluck(),
    // Those whose record is still in their job's row.
    lastAttempts: db.prepare(`
update jobs set ended_token = null, ended_outcome = null, worker_id = null
where job_id > @after and job_id <= @to and ended_token is not null and finished_at_ms < @beforeMs`),
    // A small value that replaced a large one leaves the large one behind.
    largeValues: db.prepare(`
delete from job_large_values
where job_id > @after and job_id <= @to
  and not exists (select 1 from jobs j
                  where j.job_id = job_large_values.job_id
                    and j.large_values & case name when 'payload' then 1 else 2 end)`),
    // A cancellation is no attempt: it leaves finished_at_ms, and may never have had one.
    jobs: db.prepare(`
delete from jobs
where job_id > @after and job_id <= @to
  and case when status = 'cancelled' then updated_at_ms
           when status = 'done' or (status = 'error' and queue = 0) then finished_at_ms end < @beforeMs`),
  };
}

const slotKey = z.strictObject({ schedule: z.string(), slot_ms: z.int() });
const attemptKey = z.strictObject({ job_id: z.int(), token: z.int() });
/** Rows in one transaction: a millisecond or two. */
const WINDOW = 500;
