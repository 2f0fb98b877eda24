/** What a job does by the book, in plain code: the reference the model test compares an engine with. */

import type { AttemptOutcome } from '../jobs.ts';

/** @internal A claim of a job by the book. */
export interface ReferenceAttempt {
  readonly token: number;
  readonly outcome: AttemptOutcome;
  readonly finishedAtMs: number | undefined;
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
  updatedAtMs: number;
  concurrencyKey: string | undefined;
  payload: string | undefined;
  result: string | undefined;
  attempts: readonly ReferenceAttempt[];
}

/** @internal */
export function raise(
  job: ReferenceJob | undefined,
  request: {
    readonly watermark?: number;
    readonly retries?: number;
    readonly dueAtMs?: number;
    readonly payload?: string;
    readonly concurrencyKey?: string;
  },
  nowMs: number,
): ReferenceJob {
  const { dueAtMs = nowMs, payload, concurrencyKey } = request;
  if (job === undefined) {
    const fresh = freshJob(request.watermark ?? 1, request.retries, nowMs);
    return { ...fresh, dueAtMs, payload, concurrencyKey };
  }
  const watermark = request.watermark ?? job.input + 1;
  if (watermark <= job.input) return job;
  const isWaiting = job.status === 'pending' || (job.status === 'running' && job.input > job.claimed);
  const isRunning = job.status === 'running';
  return {
    ...job,
    input: watermark,
    status: isRunning ? 'running' : 'pending',
    dueAtMs: isWaiting ? Math.min(job.dueAtMs, dueAtMs) : dueAtMs,
    retryAtMs: undefined,
    failed: isRunning ? job.failed : 0,
    maxRetries: request.retries ?? job.maxRetries,
    concurrencyKey: isRunning ? job.concurrencyKey : (concurrencyKey ?? job.concurrencyKey),
    payload: payload ?? job.payload,
    updatedAtMs: nowMs,
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
    updatedAtMs: nowMs,
    concurrencyKey: undefined,
    payload: undefined,
    result: undefined,
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
    attempts: [...job.attempts, { token, outcome: 'running', finishedAtMs: undefined }],
  };
}

/** @internal */
export function finish(job: ReferenceJob, result: string | undefined, nowMs: number): ReferenceJob {
  const success = Math.max(job.success, job.claimed);
  const isClean = job.input <= success;
  const isCancelled = job.cancelledUpTo >= job.input;
  return {
    ...job,
    status: isClean ? 'done' : isCancelled ? 'cancelled' : 'pending',
    success,
    failed: 0,
    result,
    ...end(job, 'succeeded', nowMs),
  };
}

/** @internal A lost lease does the same as a failure, with a retry at once. */
export function breakDown(
  job: ReferenceJob,
  outcome: 'failed' | 'lost',
  retryAtMs: number,
  nowMs: number,
): ReferenceJob {
  const isRaised = job.input > job.claimed;
  const isCancelled = job.cancelledUpTo >= job.input;
  const isExhausted = job.failed >= job.maxRetries;
  return {
    ...job,
    status: isCancelled ? 'cancelled' : isRaised ? 'pending' : 'error',
    retryAtMs: isRaised || isCancelled || isExhausted ? undefined : retryAtMs,
    failed: isRaised ? 0 : job.failed + 1,
    ...end(job, outcome, nowMs),
  };
}

/** @internal */
export function giveBack(job: ReferenceJob, nowMs: number): ReferenceJob {
  const status = job.cancelledUpTo >= job.input ? 'cancelled' : 'pending';
  // Newer input has not failed yet.
  return { ...job, status, failed: job.input > job.claimed ? 0 : job.failed, ...end(job, 'released', nowMs) };
}

/** @internal */
export function callOff(job: ReferenceJob, nowMs: number): ReferenceJob {
  if (job.status === 'done' || job.status === 'cancelled') return job;
  const status = job.status === 'running' ? 'running' : 'cancelled';
  return { ...job, status, cancelledUpTo: job.input, retryAtMs: undefined, updatedAtMs: nowMs };
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
    updatedAtMs: nowMs,
  };
}

/** @internal What is left of it; undefined when nothing is. Forgotten attempts keep their place, without a token. */
export function prune(job: ReferenceJob, beforeMs: number): ReferenceJob | undefined {
  const last = job.attempts.at(-1)?.finishedAtMs;
  const isExhausted = job.status === 'error' && job.retryAtMs === undefined;
  const endedAtMs =
    job.status === 'cancelled' ? job.updatedAtMs : job.status === 'done' || isExhausted ? last : undefined;
  if (endedAtMs !== undefined && endedAtMs < beforeMs) return undefined;
  const attempts = job.attempts.map((each) =>
    each.finishedAtMs !== undefined && each.finishedAtMs < beforeMs ? { ...each, token: 0 } : each,
  );
  return { ...job, attempts };
}

function end(
  job: ReferenceJob,
  outcome: AttemptOutcome,
  nowMs: number,
): Pick<ReferenceJob, 'token' | 'attempts' | 'updatedAtMs'> {
  const attempts = job.attempts.map((each) =>
    each.token === job.token ? { ...each, outcome, finishedAtMs: nowMs } : each,
  );
  return { token: undefined, attempts, updatedAtMs: nowMs };
}
