/**
 * Forgetting jobs that came once: each one submitted over ARCP or run by `conductor exec` has a key of its own.
 * Invariant: a job that somebody may ask for again stays, because its watermark would go with it.
 */
import type { Job, JobStatus, JobStore } from '@conductor-run/job-store';
import { isValid as isUlid } from 'ulid';

import { allJobs } from './all-jobs.ts';
import { arcpRows } from './arcp/job-rows.ts';

/** The kind of the jobs of `conductor exec`; their keys are ULIDs. */
export const EXEC_KIND = 'exec';

/**
 * Forgets those that ended long ago.
 *
 * @param store - the job store
 * @param beforeMs - when they ended at the latest, UTC milliseconds
 * @returns how many
 */
export async function forgetJobs(store: JobStore, beforeMs: number): Promise<number> {
  let count = 0;
  const forget = async (row: Job): Promise<void> => {
    const isOver = row.status !== 'error' || row.isExhausted;
    if (!isOver || row.finishedAtMs === undefined || row.finishedAtMs >= beforeMs) return;
    if ((await store.remove(row.kind, row.key)) === 'removed') count += 1;
  };
  for await (const { row } of arcpRows(store, ENDED)) await forget(row);
  for (const status of ENDED) {
    const rows = await allJobs(store, { kind: EXEC_KIND, status });
    for (const row of rows.filter(({ key }) => isUlid(key))) await forget(row);
  }
  return count;
}

const ENDED: readonly JobStatus[] = ['done', 'cancelled', 'error'];
