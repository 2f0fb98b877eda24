/** Main file, migration 2. Never edited after release: its checksum is stored in every database. */

/**
 * @internal The record of an attempt stays in its job's row until the next claim moves it to `job_attempts`: ending one
 * then writes a page less. `attempts` shows them all, wherever they are.
 */
export const LAST_ATTEMPTS_0002: string = `
-- The fencing number of the attempt that ended last, while its record is in this row; the rest of it are the job's columns.
-- Written so that the checks of a row without one are over at once: an "in" builds its list for every row that is written.
alter table jobs add column ended_token integer
  check (ended_token is null
         or (token is null and worker_id is not null and claimed_watermark is not null
             and started_at_ms is not null and finished_at_ms is not null));
alter table jobs add column ended_outcome text
  check (case when ended_token is null then ended_outcome is null
              else coalesce(ended_outcome = 'succeeded' or ended_outcome = 'failed'
                            or ended_outcome = 'lost' or ended_outcome = 'released', 0) end);

-- The types of both halves are alike: SQLite then merges their orders instead of sorting.
create view attempts as
select job_id, token, attempt, worker_id, node, run_dir, watermark, started_at_ms, finished_at_ms, outcome, error
from job_attempts
union all
select job_id, cast(coalesce(token, ended_token) as integer), attempt, worker_id, node, run_dir, claimed_watermark,
       started_at_ms, finished_at_ms, cast(coalesce(ended_outcome, 'running') as text),
       cast(iif(ended_outcome = 'failed', last_error, null) as text)
from jobs
where token is not null or ended_token is not null;
`;
