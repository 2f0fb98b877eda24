/** The life of a job (section 7.3). Invariant: a terminal state is final, and only the edges below exist. */
import { ArcpError } from './errors.ts';

/** Where a job stands. */
export type JobStatus = 'pending' | 'running' | 'success' | 'error' | 'cancelled' | 'timed_out';

/** How a job can end. */
export type FinalStatus = 'success' | 'error' | 'cancelled' | 'timed_out';

/** Every status, first to last. */
export const JOB_STATUSES: readonly JobStatus[] = [
  'pending',
  'running',
  'success',
  'error',
  'cancelled',
  'timed_out',
];

/** The edges. A pending job starts, or ends without having started; it cannot succeed without having run. */
export const JOB_TRANSITIONS: Readonly<Record<JobStatus, readonly JobStatus[]>> = {
  pending: ['running', 'error', 'cancelled', 'timed_out'],
  running: ['success', 'error', 'cancelled', 'timed_out'],
  success: [],
  error: [],
  cancelled: [],
  timed_out: [],
};

/** Whether nothing can happen to the job any more. */
export function isFinal(status: JobStatus): status is FinalStatus {
  return JOB_TRANSITIONS[status].length === 0;
}

/**
 * Takes an edge.
 *
 * @param jobId - for the message
 * @param from - where the job stands
 * @param to - where it should go
 * @returns `to`
 * @throws ArcpError with code illegal-transition, naming both ends and the job
 */
export function transition(jobId: string, from: JobStatus, to: JobStatus): JobStatus {
  if (JOB_TRANSITIONS[from].includes(to)) return to;
  throw new ArcpError(
    'illegal-transition',
    `Cannot move job "${jobId}" to "${to}": it is "${from}", expected a state that leads there`,
    { details: { job_id: jobId, from, to } },
  );
}
