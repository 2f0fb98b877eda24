/**
 * Every SQL statement over jobs that writes, prepared once per connection.
 * Invariant: each transition names the state it starts from (a token, a status), so that a lost race changes no row.
 */
import type { Database, Statement } from 'better-sqlite3';
import { MAX_NUMBER } from './options.ts';
import type { TokenStatements } from './tokens.ts';

/** @internal Named parameters of a statement. */
export type Params = Readonly<Record<string, string | number | null>>;
/** @internal A prepared statement with named parameters. */
export type Prepared = Statement<[Params]>;

/** Few parameters on purpose: binding one by name costs as much as writing a column. */
const ENQUEUE = `
insert into jobs (kind, key, queue, priority, concurrency_key, input_watermark, due_at_ms, max_retries, payload,
                  created_at_ms, updated_at_ms)
values (@kind, @key, case when @dueAtMs <= @nowMs then 1 else 2 end, coalesce(@priority, 0), @concurrencyKey,
        coalesce(@watermark, 1), @dueAtMs, coalesce(@retries, @defaultRetries), @payload, @nowMs, @nowMs)
on conflict (kind, key) do update set
  input_watermark = coalesce(@watermark, input_watermark + 1),
  status          = case when status = 'running' then 'running' else 'pending' end,
  queue           = case when status = 'running' then 0
                         when status = 'pending' and queue = 1 then 1
                         else excluded.queue end,
  due_at_ms       = case when status = 'pending' or (status = 'running' and input_watermark > claimed_watermark)
                         then min(due_at_ms, @dueAtMs)
                         else @dueAtMs end,
  retry_at_ms     = null,
  failed_attempts = case when status = 'running' then failed_attempts else 0 end,
  max_retries     = coalesce(@retries, max_retries),
  priority        = coalesce(@priority, priority),
  concurrency_key = case when status = 'running' then concurrency_key
                         else coalesce(@concurrencyKey, concurrency_key) end,
  payload         = coalesce(@payload, payload),
  large_values    = case when @payload is null then large_values else large_values & 2 end,
  updated_at_ms   = @nowMs
where case when @watermark is null then input_watermark < ${MAX_NUMBER} else @watermark > input_watermark end`;

/** What a claim has to see to before it hands out: one look instead of three. */
const GATE = `
select exists (select 1 from jobs where status = 'running' and lease_until_ms <= @nowMs) as has_expired,
       exists (select 1 from jobs where queue = 2 and coalesce(retry_at_ms, due_at_ms) <= @nowMs) as has_waiting,
       exists (select 1 from paused_kinds) as has_paused`;

/** Moves jobs of a kind from waiting to ready once their instant has come, a bounded number at a time. */
const PROMOTE = `
update jobs set queue = 1
where job_id in (select job_id from jobs indexed by jobs_waiting_by_kind
                 where queue = 2 and kind = @kind and coalesce(retry_at_ms, due_at_ms) <= @nowMs
                 order by coalesce(retry_at_ms, due_at_ms)
                 limit @limit)`;

const CLAIM = `
update jobs set
  status            = 'running',
  token             = @token,
  queue             = 0,
  claimed_watermark = input_watermark,
  worker_id         = @workerId,
  node              = @node,
  run_dir           = @runDir,
  lease_until_ms    = @leaseUntilMs,
  started_at_ms     = @nowMs,
  finished_at_ms    = null,
  retry_at_ms       = null,
  attempt           = attempt + 1,
  ended_token       = null,
  ended_outcome     = null,
  updated_at_ms     = @nowMs
where job_id = @jobId and status <> 'running'`;

/** Goes before a claim, which takes the job's row for the next attempt: until then the row is the record of the last. */
const MOVE_ENDED = `
insert into job_attempts (job_id, token, attempt, worker_id, node, run_dir, watermark, started_at_ms, finished_at_ms,
                          outcome, error)
select job_id, ended_token, attempt, worker_id, node, run_dir, claimed_watermark, started_at_ms, finished_at_ms,
       ended_outcome, iif(ended_outcome = 'failed', last_error, null)
from jobs
where job_id = @jobId and ended_token is not null`;

/** What every end of an attempt sets: the owner loses its token, the row becomes the attempt's record. */
const endSet = (outcome: string): string => `
  ended_token    = token,
  ended_outcome  = '${outcome}',
  token          = null,
  lease_until_ms = null,
  finished_at_ms = @nowMs,
  updated_at_ms  = @nowMs`;

/** One row per lease; a token that is not current matches no row. */
const LEASES = `
(select value ->> 0 as lease_job_id, value ->> 1 as lease_token, value ->> 2 as success_watermark,
        value ->> 3 as new_result, value ->> 4 as large_result
 from json_each(@leases)) as lease`;

const COVERED = (watermark: string): string =>
  `max(last_success_watermark, coalesce(${watermark}, claimed_watermark))`;

const SUCCEED_SET = (covered: string, result: string, isLarge: string): string => `
  status = case when input_watermark <= ${covered} then 'done'
                when cancel_watermark >= input_watermark then 'cancelled'
                else 'pending' end,
  queue  = case when input_watermark <= ${covered} or cancel_watermark >= input_watermark then 0
                when due_at_ms <= @nowMs then 1
                else 2 end,
  last_success_watermark = ${covered},
  input_watermark        = max(input_watermark, ${covered}),
  result          = ${result},
  large_values    = (large_values & 1) | ${isLarge},
  failed_attempts = 0,
  last_error      = null,
  ${endSet('succeeded')}`;

const SUCCEED_ONE = `
update jobs set ${SUCCEED_SET(COVERED('@watermark'), '@result', '@largeResult')}
where job_id = @jobId and token = @token
returning status`;

const SUCCEED_MANY = `
update jobs set ${SUCCEED_SET(COVERED('success_watermark'), 'new_result', 'large_result')}
from ${LEASES}
where job_id = lease_job_id and token = lease_token
returning job_id, status`;

/** What a failed or lost attempt sets: newer input gives a fresh start, a cancellation ends it, else a retry is spent. */
const failSet = (outcome: 'failed' | 'lost'): string => `
  status = case when input_watermark > claimed_watermark and coalesce(cancel_watermark, 0) < input_watermark then 'pending'
                when cancel_watermark >= input_watermark then 'cancelled'
                else 'error' end,
  queue  = case when input_watermark > claimed_watermark and coalesce(cancel_watermark, 0) < input_watermark
                then case when due_at_ms <= @nowMs then 1 else 2 end
                when cancel_watermark >= input_watermark then 0
                when @retryAtMs is null or failed_attempts >= max_retries then 0
                when @retryAtMs <= @nowMs then 1
                else 2 end,
  retry_at_ms = case when input_watermark > claimed_watermark or cancel_watermark >= input_watermark then null
                     when failed_attempts >= max_retries then null
                     else @retryAtMs end,
  failed_attempts = case when input_watermark > claimed_watermark then 0 else failed_attempts + 1 end,
  ${endSet(outcome)}`;

const FAIL = `
update jobs set last_error = @error, ${failSet('failed')}
where job_id = @jobId and token = @token
returning job_id, status, retry_at_ms`;

const EXPIRE = `
update jobs set last_error = 'Lease expired: worker "' || worker_id || '" was lost', ${failSet('lost')}
where job_id in (select job_id from jobs
                 where status = 'running' and lease_until_ms <= @nowMs
                 order by lease_until_ms
                 limit @limit)`;

const EXPIRE_NAMED = `
update jobs set last_error = 'Lease expired: worker "' || worker_id || '" was lost', ${failSet('lost')}
where kind = @kind and key = @key and status = 'running' and lease_until_ms <= @nowMs`;

const RELEASE = `
update jobs set
  status         = case when cancel_watermark >= input_watermark then 'cancelled' else 'pending' end,
  queue          = case when cancel_watermark >= input_watermark then 0
                        when coalesce(@dueAtMs, due_at_ms) <= @nowMs then 1
                        else 2 end,
  due_at_ms      = coalesce(@dueAtMs, due_at_ms),
  failed_attempts = case when input_watermark > claimed_watermark then 0 else failed_attempts end,
  ${endSet('released')}
where job_id = @jobId and token = @token
returning job_id, status`;

const HEARTBEAT = `
update jobs set lease_until_ms = @leaseUntilMs
where job_id = @jobId and token = @token
returning lease_until_ms, coalesce(cancel_watermark >= claimed_watermark, 0) as is_cancel_requested`;

const SET_RUN = `
update jobs set run_dir = coalesce(@runDir, run_dir), node = coalesce(@node, node)
where job_id = @jobId and token = @token`;

const CANCEL = `
update jobs set
  cancel_watermark = input_watermark,
  status           = case when status = 'running' then 'running' else 'cancelled' end,
  queue            = 0,
  retry_at_ms      = null,
  updated_at_ms    = @nowMs
where kind = @kind and key = @key and status in ('pending', 'error', 'running')
returning status`;

const RETRY = `
update jobs set
  status           = 'pending',
  queue            = 1,
  due_at_ms        = min(due_at_ms, @nowMs),
  retry_at_ms      = null,
  failed_attempts  = 0,
  cancel_watermark = null,
  updated_at_ms    = @nowMs
where kind = @kind and key = @key and status in ('pending', 'error', 'cancelled')`;

/** @internal The prepared statements that change jobs. */
export interface WriteStatements extends TokenStatements {
  readonly enqueue: Prepared;
  readonly enqueueReturning: Prepared;
  readonly markLargePayload: Prepared;
  readonly putLargeValue: Prepared;
  readonly gate: Prepared;
  readonly promote: Prepared;
  readonly expire: Prepared;
  readonly expireNamed: Prepared;
  readonly moveEnded: Prepared;
  readonly claim: Prepared;
  readonly createForClaim: Prepared;
  readonly succeedOne: Prepared;
  readonly succeedMany: Prepared;
  readonly fail: Prepared;
  readonly release: Prepared;
  readonly heartbeat: Prepared;
  readonly setRun: Prepared;
  readonly cancel: Prepared;
  readonly retry: Prepared;
  readonly remove: Prepared;
  readonly pause: Prepared;
  readonly resume: Prepared;
}

/** @internal Prepares what changes jobs. */
export function prepareWrites(db: Database): WriteStatements {
  const prepare = (sql: string): Prepared => db.prepare<[Params]>(sql);
  return {
    enqueue: prepare(ENQUEUE),
    enqueueReturning: prepare(`${ENQUEUE} returning job_id, input_watermark`),
    markLargePayload: prepare(
      'update jobs set payload = null, large_values = large_values | 1 where job_id = @jobId',
    ),
    putLargeValue: prepare(`
insert into job_large_values (job_id, name, value) values (@jobId, @name, @value)
on conflict (job_id, name) do update set value = excluded.value`),
    gate: prepare(GATE),
    promote: prepare(PROMOTE),
    expire: prepare(EXPIRE),
    expireNamed: prepare(EXPIRE_NAMED),
    counter: prepare('select value, owner, last_kind from job_tokens'),
    raiseCounter: prepare(
      'update job_tokens set value = value + @size, owner = @owner, last_kind = @lastKind',
    ),
    moveEnded: prepare(MOVE_ENDED),
    claim: prepare(CLAIM),
    createForClaim: prepare(`
insert into jobs (kind, key, queue, priority, input_watermark, due_at_ms, max_retries, created_at_ms, updated_at_ms)
values (@kind, @key, 1, 0, 1, @nowMs, @defaultRetries, @nowMs, @nowMs)`),
    succeedOne: prepare(SUCCEED_ONE).pluck(),
    succeedMany: prepare(SUCCEED_MANY),
    fail: prepare(FAIL),
    release: prepare(RELEASE),
    heartbeat: prepare(HEARTBEAT),
    setRun: prepare(SET_RUN),
    cancel: prepare(CANCEL),
    retry: prepare(RETRY),
    remove: prepare(`delete from jobs where kind = @kind and key = @key and status <> 'running'`),
    pause: prepare(
      'insert into paused_kinds (kind, paused_at_ms) values (@kind, @nowMs) on conflict do nothing',
    ),
    resume: prepare('delete from paused_kinds where kind = @kind'),
  };
}
