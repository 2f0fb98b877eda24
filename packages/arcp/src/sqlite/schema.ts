/** The tables of the SQLite event store. Invariant: a released version is never edited, only followed by another. */

/** What `pragma user_version` says of a file this code wrote. */
export const SCHEMA_VERSION = 1;

/** Every statement of version 1. */
export const SCHEMA_SQL = `
create table sessions (
  session_no          integer primary key,
  session_id          text    not null unique,
  principal           text    not null,
  features            text    not null check (json_valid(features)),
  token_hash          text    not null,
  previous_token_hash text,
  last_seq            integer not null check (last_seq >= 0),
  evicted_seq         integer not null check (evicted_seq between 0 and last_seq),
  acked_seq           integer not null check (acked_seq between 0 and last_seq),
  created_at_ms       integer not null,
  detached_at_ms      integer,
  is_closed           integer not null check (is_closed in (0, 1)),
  subscriptions       text    not null check (json_valid(subscriptions))
) strict;

create table jobs (
  job_id          text    primary key,
  session_id      text    not null,
  principal       text    not null,
  agent           text    not null,
  status          text    not null check (status in ('pending', 'running', 'success', 'error', 'cancelled', 'timed_out')),
  created_at_ms   integer not null,
  finished_at_ms  integer,
  last_event_seq  integer not null,
  parent_job_id   text,
  trace_id        text    not null,
  idempotency_key text,
  request_hash    text    not null,
  accepted        text    not null,
  submit          text    not null,
  budget          text    not null,
  expires_at_ms   integer,
  deadline_at_ms  real,
  position        text,
  stream          text,
  check ((finished_at_ms is null) = (status in ('pending', 'running')))
) strict, without rowid;

create unique index jobs_by_key on jobs (principal, idempotency_key) where idempotency_key is not null;
create index jobs_by_age on jobs (principal, created_at_ms, job_id);
create index jobs_unfinished on jobs (created_at_ms) where finished_at_ms is null;
create index jobs_finished on jobs (finished_at_ms) where finished_at_ms is not null;

create table events (
  session_no integer not null references sessions (session_no) on delete cascade,
  seq        integer not null,
  job_id     text    not null,
  type       integer not null check (type in (0, 1, 2)),
  trace_id   text    not null,
  payload    text    not null,
  primary key (session_no, seq)
) strict, without rowid;

create table credentials (
  handle             text    primary key,
  job_id             text    not null,
  credential_id      text    not null,
  failed_revocations integer not null
) strict, without rowid;
`;
