/** What a job does by the book, in plain code: the reference the model test compares an engine with. */

import type { AttemptOutcome } from '../jobs.ts';

/** @internal A claim of a job by the book. */
export interface ReferenceAttempt {
  readonly token: number;
  readonly outcome: AttemptOutcome;
}

/** @internal A job by the book. */
export interface ReferenceJob {
  status: 'pending' | 'running' | 'done' | 'error' | 'cancelled';
  input: number;
  claimed: number;
  success: number;
  cancelledUpTo: number;
  dueAtMs: number;
  retryAtMs: number | undefined;
  maxRetries: number;
  failed: number;
  attempt: number;
  token: number | undefined;
  leaseUntilMs: number;
  attempts: readonly ReferenceAttempt[];
}

/** @internal */
export function raise(
  job: ReferenceJob | undefined,
  request: { readonly watermark: number | undefined; readonly retries: number | undefined },
  nowMs: number,
): ReferenceJob {
  if (job === undefined) return freshJob(request.watermark ?? 1, request.retries, nowMs);
  const watermark = request.watermark ?? job.input + 1;
  if (watermark <= job.input) return job;
  const isWaiting = job.status === 'pending' || (job.status === 'running' && job.input > job.claimed);
  const isRunning = job.status === 'running';
  return {
    ...job,
    input: watermark,
    status: isRunning ? 'running' : 'pending',
    dueAtMs: isWaiting ? Math.min(job.dueAtMs, nowMs) : nowMs,
    retryAtMs: undefined,
    failed: isRunning ? job.failed : 0,
    maxRetries: request.retries ?? job.maxRetries,
  };
}

/** @internal */
export function freshJob(watermark: number, retries: number | undefined, nowMs: number): ReferenceJob {
  return {
    status: 'pending',
    input: watermark,
    claimed: 0,
    success: 0,
    cancelledUpTo: 0,
    dueAtMs: nowMs,
    retryAtMs: undefined,
    maxRetries: retries ?? 2,
    failed: 0,
    attempt: 0,
    token: undefined,
    leaseUntilMs: 0,
    attempts: [],
  };
}

/** @internal Whether a worker may have it now. */
export function isClaimable(job: ReferenceJob, nowMs: number): boolean {
  if (job.status === 'pending') return job.dueAtMs <= nowMs;
  return job.status === 'error' && job.retryAtMs !== undefined && job.retryAtMs <= nowMs;
}

/** @internal */
export function start(job: ReferenceJob, token: number, leaseUntilMs: number): ReferenceJob {
  return {
    ...job,
    status: 'running',
    claimed: job.input,
    attempt: job.attempt + 1,
    retryAtMs: undefined,
    token,
    leaseUntilMs,
    attempts: [...job.attempts, { token, outcome: 'running' }],
  };
}

/** @internal */
export function finish(job: ReferenceJob): ReferenceJob {
  const success = Math.max(job.success, job.claimed);
  const isClean = job.input <= success;
  const isCancelled = job.cancelledUpTo >= job.input;
  return {
    ...job,
    status: isClean ? 'done' : isCancelled ? 'cancelled' : 'pending',
    success,
    failed: 0,
    ...end(job, 'succeeded'),
  };
}

/** @internal A lost lease does the same as a failure, with a retry at once. */
export function breakDown(job: ReferenceJob, outcome: 'failed' | 'lost', retryAtMs: number): ReferenceJob {
  const isRaised = job.input > job.claimed;
  const isCancelled = job.cancelledUpTo >= job.input;
  const isExhausted = job.failed >= job.maxRetries;
  return {
    ...job,
    status: isCancelled ? 'cancelled' : isRaised ? 'pending' : 'error',
    retryAtMs: isRaised || isCancelled || isExhausted ? undefined : retryAtMs,
    failed: isRaised ? 0 : job.failed + 1,
    ...end(job, outcome),
  };
}

/** @internal */
export function giveBack(job: ReferenceJob): ReferenceJob {
  const status = job.cancelledUpTo >= job.input ? 'cancelled' : 'pending';
  // Newer input has not failed yet.
  return { ...job, status, failed: job.input > job.claimed ? 0 : job.failed, ...end(job, 'released') };
}

/** @internal */
export function callOff(job: ReferenceJob): ReferenceJob {
  if (job.status === 'done' || job.status === 'cancelled') return job;
  const status = job.status === 'running' ? 'running' : 'cancelled';
  return { ...job, status, cancelledUpTo: job.input, retryAtMs: undefined };
}

/** @internal */
export function tryAgain(job: ReferenceJob, nowMs: number): ReferenceJob {
  if (job.status === 'done' || job.status === 'running') return job;
  return {
    ...job,
    status: 'pending',
    dueAtMs: Math.min(job.dueAtMs, nowMs),
    retryAtMs: undefined,
    failed: 0,
    cancelledUpTo: 0,
  };
}

function end(job: ReferenceJob, outcome: AttemptOutcome): Pick<ReferenceJob, 'token' | 'attempts'> {
  const attempts = job.attempts.map((each) => (each.token === job.token ? { ...each, outcome } : each));
  return { token: undefined, attempts };
}
