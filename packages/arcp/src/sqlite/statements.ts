/** Every SQL statement of the store, prepared once. */
import type { Database, Statement } from 'better-sqlite3';

/** The statements. Parameters are positional on the hot path: binding by name costs a third of an insert. */
export interface Statements {
  readonly putSession: Statement;
  readonly sessionNo: Statement;
  readonly deleteSession: Statement;
  readonly sessions: Statement;
  readonly putJob: Statement;
  readonly job: Statement;
  readonly jobByKey: Statement;
  readonly unfinishedJobs: Statement;
  readonly listJobs: Statement;
  readonly pruneJobs: Statement;
  readonly putEvent: Statement;
  readonly evictEvents: Statement;
  readonly events: Statement;
  readonly jobEvents: Statement;
  readonly putCredential: Statement;
  readonly deleteCredential: Statement;
  readonly credentials: Statement;
}

/** Prepares them. */
export function prepareStatements(db: Database): Statements {
  return {
    putSession: db.prepare(`
      insert into sessions (session_id, principal, features, token_hash, previous_token_hash, last_seq, evicted_seq,
                            acked_seq, created_at_ms, detached_at_ms, is_closed, subscriptions)
      values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      on conflict (session_id) do update
         set features            = excluded.features,
             token_hash          = excluded.token_hash,
             previous_token_hash = excluded.previous_token_hash,
             last_seq            = excluded.last_seq,
             evicted_seq         = excluded.evicted_seq,
             acked_seq           = excluded.acked_seq,
             detached_at_ms      = excluded.detached_at_ms,
             is_closed           = excluded.is_closed,
             subscriptions       = excluded.subscriptions`),
    sessionNo: db.prepare('select session_no from sessions where session_id = ?').pluck(),
    deleteSession: db.prepare('delete from sessions where session_id = ?'),
    sessions: db.prepare(`
      select s.*,
             coalesce((select sum(length(e.payload)) from events e where e.session_no = s.session_no), 0) as buffered_bytes
        from sessions s
       order by s.session_no`),
    putJob: db.prepare(`
      insert into jobs (job_id, session_id, principal, agent, status, created_at_ms, finished_at_ms, last_event_seq,
                        parent_job_id, trace_id, idempotency_key, request_hash, accepted, submit, budget,
                        expires_at_ms, deadline_at_ms, position, stream)
      values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      on conflict (job_id) do update
         set status         = excluded.status,
             finished_at_ms = excluded.finished_at_ms,
             last_event_seq = excluded.last_event_seq,
             accepted       = excluded.accepted,
             budget         = excluded.budget,
             position       = excluded.position,
             stream         = excluded.stream`),
    job: db.prepare('select * from jobs where job_id = ?'),
    jobByKey: db.prepare('select * from jobs where principal = ? and idempotency_key = ?'),
    unfinishedJobs: db.prepare(
      'select * from jobs where finished_at_ms is null order by created_at_ms, job_id',
    ),
    listJobs: db.prepare(`
      select *
        from jobs
       where (:principals is null or principal in (select value from json_each(:principals)))
         and (:statuses is null or status in (select value from json_each(:statuses)))
         and (:agent is null or agent = :agent or substr(agent, 1, length(:agent) + 1) = :agent || '@')
         and (:createdAfterMs is null or created_at_ms > :createdAfterMs)
         and (:createdBeforeMs is null or created_at_ms < :createdBeforeMs)
         and (:afterMs is null or (created_at_ms, job_id) > (:afterMs, :afterJobId))
       order by created_at_ms, job_id
       limit :limit`),
    pruneJobs: db.prepare(`
      delete from jobs
       where job_id in (select job_id
                          from jobs
                         where finished_at_ms < iif(idempotency_key is null, :finishedBeforeMs, :keyedBeforeMs)
                         limit 1000)`),
    putEvent: db.prepare(
      'insert into events (session_no, seq, job_id, type, trace_id, payload) values (?, ?, ?, ?, ?, ?)',
    ),
    evictEvents: db.prepare('delete from events where session_no = ? and seq <= ?'),
    events: db.prepare('select * from events where session_no = ? and seq > ? order by seq limit ?'),
    jobEvents: db.prepare(
      'select * from events where session_no = ? and seq > ? and job_id = ? order by seq limit ?',
    ),
    putCredential: db.prepare(`
      insert into credentials (handle, job_id, credential_id, failed_revocations)
      values (?, ?, ?, ?)
      on conflict (handle) do update set failed_revocations = excluded.failed_revocations`),
    deleteCredential: db.prepare('delete from credentials where handle = ?'),
    credentials: db.prepare('select * from credentials order by handle'),
  };
}
