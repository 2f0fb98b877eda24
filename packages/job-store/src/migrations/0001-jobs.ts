/** Main file, migration 1. Never edited after release: its checksum is stored in every database. */

/** @internal */
export const JOBS_0001: string = `
create table jobs (
  job_id                 integer primary key,
  kind                   text    not null,
  key                    text    not null,
  status                 text    not null default 'pending'
                         check (status in ('pending', 'running', 'done', 'error', 'cancelled')),
  -- 0 not queued, 1 ready for a worker, 2 waiting for its instant
  queue                  integer not null check (queue in (0, 1, 2)),
  priority               integer not null,
  concurrency_key        text,
  input_watermark        integer not null check (input_watermark >= 1),
  claimed_watermark      integer check (claimed_watermark <= input_watermark),
  last_success_watermark integer not null default 0 check (last_success_watermark <= input_watermark),
  -- covers every input up to it; input above it cancels the cancellation
  cancel_watermark       integer,
  due_at_ms              integer not null,
  retry_at_ms            integer,
  max_retries            integer not null check (max_retries >= 0),
  failed_attempts        integer not null default 0 check (failed_attempts >= 0),
  attempt                integer not null default 0,
  token                  integer,
  worker_id              text,
  node                   text,
  run_dir                text,
  lease_until_ms         integer,
  started_at_ms          integer,
  finished_at_ms         integer,
  last_error             text,
  payload                text,
  result                 text,
  -- bit 1: the payload, bit 2: the result is in job_large_values
  large_values           integer not null default 0,
  created_at_ms          integer not null,
  updated_at_ms          integer not null,
  unique (kind, key),
  check ((status = 'running') = (token is not null)),
  check ((status = 'running') = (lease_until_ms is not null)),
  check (status <> 'running' or (worker_id is not null and claimed_watermark is not null and started_at_ms is not null)),
  check (status <> 'pending' or queue > 0),
  check (status <> 'error' or (queue > 0) = (retry_at_ms is not null)),
  check (status in ('pending', 'error') or (queue = 0 and retry_at_ms is null)),
  check (status <> 'done' or input_watermark = last_success_watermark)
) strict;

create index jobs_ready   on jobs (kind, priority desc, due_at_ms, key, concurrency_key) where queue = 1;
create index jobs_waiting on jobs (coalesce(retry_at_ms, due_at_ms)) where queue = 2;
create index jobs_running on jobs (lease_until_ms, kind, concurrency_key) where status = 'running';
create index jobs_unwell  on jobs (kind, key) where status in ('error', 'cancelled');

create table job_large_values (
  job_id integer not null references jobs (job_id) on delete cascade,
  name   text    not null check (name in ('payload', 'result')),
  value  text    not null,
  primary key (job_id, name)
) strict, without rowid;

create table job_attempts (
  job_id         integer not null references jobs (job_id) on delete cascade,
  token          integer not null,
  attempt        integer not null,
  worker_id      text    not null,
  node           text,
  run_dir        text,
  watermark      integer not null,
  started_at_ms  integer not null,
  finished_at_ms integer not null,
  outcome        text    not null check (outcome in ('succeeded', 'failed', 'lost', 'released')),
  error          text,
  primary key (job_id, token)
) strict, without rowid;

-- One row: the last fencing number that was given out, and the connection that took the last block.
create table job_tokens (
  one   integer primary key check (one = 1),
  value integer not null,
  owner integer not null
) strict;
insert into job_tokens values (1, 0, 0);

-- The kind '' stands for all of them.
create table paused_kinds (
  kind         text    primary key,
  paused_at_ms integer not null
) strict, without rowid;

-- The highest term of each leadership that this file has seen; lower ones are refused.
create table leadership_fences (
  leadership text    primary key,
  term       integer not null
) strict, without rowid;

create table schedule_cursors (
  schedule        text    primary key,
  -- every slot up to here counts as decided, also one without a record
  cursor_slot_ms  integer not null
) strict, without rowid;

create table schedule_slots (
  schedule      text    not null,
  slot_ms       integer not null,
  leadership    text    not null,
  term          integer not null,
  decision      text    not null,
  reason        text,
  decided_at_ms integer not null,
  primary key (schedule, slot_ms)
) strict, without rowid;
`;
