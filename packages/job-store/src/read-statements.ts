/** Every SQL statement over jobs that only reads, prepared once per connection. */
import type { Database } from 'better-sqlite3';
import type { Params, Prepared } from './statements.ts';

/** Kinds with queued jobs, found by jumping from one to the next in the index: the cost grows with kinds, not jobs. */
const KINDS_IN = (queue: 1 | 2, index: string): string => `
with recursive queued (kind) as (
  select min(kind) from jobs indexed by ${index} where queue = ${queue}
  union all
  select (select min(kind) from jobs indexed by ${index} where queue = ${queue} and kind > queued.kind)
  from queued where kind is not null
)
select kind from queued where kind is not null`;

/**
 * SQLite looks at the values of parameters when it plans, and then plans again each time they are bound: 5 of the 6
 * microseconds of the claim's query. Inside an expression it leaves them alone, and the index serves just as well.
 */
const HIDDEN_KIND = `@kind || ''`;
const HIDDEN_LIMIT = '@limit + 0';

/** What a claim needs to know of a job. */
const CLAIMABLE = 'job_id, kind, key, attempt, ended_token, input_watermark, payload, large_values';

/** A page by kind and key. The unary plus keeps the planner from choosing an index for that term. */
const LIST = (source: string): string => `
select * from ${source}
where (kind, key) > (@afterKind, @afterKey)
  and (@kind is null or kind = @kind)
  and (@status is null or status = @status)
  and (@isDirty is null or (input_watermark > last_success_watermark) = @isDirty)
  and (@prefix is null or substr(key, 1, length(@prefix)) = @prefix)
order by kind, key
limit @limit`;

/**
 * Counts by kind from indexes alone, without a look at the jobs that are done: those are what remains of the total.
 * Every job is in exactly one of these groups, see the checks of the table.
 */
const COUNTS = `
select kind, 'total' as what, count(*) as count from jobs group by kind
union all
select kind, 'ready', count(*) from jobs indexed by jobs_ready where queue = 1 group by kind
union all
select kind, 'waiting', count(*) from jobs indexed by jobs_waiting where queue = 2 group by kind
union all
select kind, 'running', count(*) from jobs indexed by jobs_running where status = 'running' group by kind
union all
select kind, iif(status = 'cancelled', 'cancelled', 'exhausted'), count(*)
from jobs indexed by jobs_unwell
where status in ('error', 'cancelled') and queue = 0
group by kind, status
order by kind`;

const NEXT_INSTANT = `
select min(instant) from (
  select min(coalesce(retry_at_ms, due_at_ms)) as instant from jobs where queue = 2
  union all
  select min(lease_until_ms) from jobs where status = 'running'
)`;

/** @internal The prepared statements that read jobs. */
export interface ReadStatements {
  readonly job: Prepared;
  readonly watermark: Prepared;
  readonly failures: Prepared;
  readonly largeValue: Prepared;
  readonly readyKinds: Prepared;
  readonly waitingKinds: Prepared;
  readonly hasReadyOfKind: Prepared;
  readonly hasReady: Prepared;
  readonly readyOfKind: Prepared;
  readonly readyInTurn: Prepared;
  readonly readyKeysOfKind: Prepared;
  readonly claimable: Prepared;
  readonly runningByKind: Prepared;
  readonly runningByConcurrencyKey: Prepared;
  readonly runningOfKind: Prepared;
  readonly pausedKinds: Prepared;
  readonly attemptsAfter: Prepared;
  readonly latestAttempts: Prepared;
  readonly list: Prepared;
  readonly listRunning: Prepared;
  readonly listUnwell: Prepared;
  readonly nextInstant: Prepared;
  readonly counts: Prepared;
  readonly oldestReady: Prepared;
  readonly foreignChanges: Prepared;
  readonly ownChanges: Prepared;
}

/** @internal Prepares what reads jobs. */
export function prepareReads(db: Database): ReadStatements {
  const prepare = (sql: string): Prepared => db.prepare<[Params]>(sql);
  return {
    job: prepare('select * from jobs where kind = @kind and key = @key'),
    watermark: prepare('select job_id, input_watermark from jobs where kind = @kind and key = @key'),
    failures: prepare('select failed_attempts from jobs where job_id = @jobId and token = @token').pluck(),
    largeValue: prepare('select value from job_large_values where job_id = @jobId and name = @name').pluck(),
    readyKinds: prepare(KINDS_IN(1, 'jobs_ready')).pluck(),
    waitingKinds: prepare(KINDS_IN(2, 'jobs_waiting_by_kind')).pluck(),
    hasReadyOfKind: prepare('select 1 from jobs where queue = 1 and kind = @kind limit 1').pluck(),
    hasReady: prepare('select 1 from jobs where queue = 1 limit 1').pluck(),
    readyOfKind: prepare(`
select ${CLAIMABLE} from jobs
where queue = 1 and kind = ${HIDDEN_KIND}
order by priority desc, due_at_ms, key
limit ${HIDDEN_LIMIT}`),
    readyInTurn: prepare(`
select ${CLAIMABLE} from jobs
where queue = 1
  and kind = coalesce((select min(kind) from jobs where queue = 1 and kind > @lastKind || ''),
                      (select min(kind) from jobs where queue = 1))
order by priority desc, due_at_ms, key
limit 1`),
    readyKeysOfKind: prepare(`
select job_id, concurrency_key from jobs
where queue = 1 and kind = ${HIDDEN_KIND}
order by priority desc, due_at_ms, key`),
    claimable: prepare(`
select ${CLAIMABLE} from jobs
where job_id = @jobId`),
    runningByKind: prepare(
      `select kind as name, count(*) as count from jobs indexed by jobs_running where status = 'running' group by kind`,
    ),
    runningByConcurrencyKey: prepare(`
select concurrency_key as name, count(*) as count from jobs
where status = 'running' and concurrency_key is not null
group by concurrency_key`),
    runningOfKind: prepare(
      `select count(*) from jobs indexed by jobs_running where status = 'running' and kind = @kind`,
    ).pluck(),
    pausedKinds: prepare('select kind from paused_kinds').pluck(),
    attemptsAfter: prepare(`
select * from attempts
where job_id = (select job_id from jobs where kind = @kind and key = @key) and token > @afterToken
order by token
limit @limit`),
    latestAttempts: prepare(`
select * from attempts
where job_id = (select job_id from jobs where kind = @kind and key = @key)
order by token desc
limit @limit`),
    list: prepare(LIST('jobs')),
    listRunning: prepare(LIST(`(select * from jobs indexed by jobs_running where status = 'running')`)),
    listUnwell: prepare(
      LIST(`(select * from jobs indexed by jobs_unwell where status in ('error', 'cancelled'))`),
    ),
    nextInstant: prepare(NEXT_INSTANT).pluck(),
    counts: prepare(COUNTS),
    // Differs once another connection has committed.
    foreignChanges: prepare('pragma data_version').pluck(),
    // Grows with every row this connection changes.
    ownChanges: prepare('select total_changes()').pluck(),
    oldestReady: prepare('select min(due_at_ms) from jobs where queue = 1 and kind = @kind').pluck(),
  };
}
