/** Jobs and their attempts, as `--json` and the HTTP API show them. */
import type { Attempt, EnqueueResult, Job } from '@conductor-run/job-store';
import type { z } from 'zod';

import { ownKey } from '../enqueue-request.ts';
import type { Waiting } from '../waiting.ts';
import type {
  AttemptListView,
  AttemptView,
  EnqueueView,
  JobDetailView,
  JobListView,
  JobOutcomeView,
  JobView,
  PauseView,
} from './types.ts';
import { anyJson, atMs, count, flag, listOf, nextCursor, oneOf, orNull, text, view, whole } from './view.ts';
import { toWaitingView, waitingView } from './waiting-view.ts';

/** The states of a job. */
export const JOB_STATUSES = ['pending', 'running', 'done', 'error', 'cancelled'] as const;

const job = text('The job: its kind in the store, its name in the config');
const key = text('Which one of its kind');

/** One job. */
const jobView: z.ZodType<JobView> = view<JobView>(
  'JobView',
  'What is to be kept up to date: a job and its key',
  {
    jobId: whole('Its number in the store'),
    job,
    key,
    status: oneOf(JOB_STATUSES, 'Where it stands'),
    isDirty: flag('Whether its input is newer than its last success'),
    inputWatermark: count('How new its input is'),
    lastSuccessWatermark: count('How new the input of its last success was; 0 before the first'),
    claimedWatermark: orNull(count('The watermark the running attempt was claimed with')),
    priority: whole('Jobs of a higher priority are claimed first'),
    concurrencyKey: orNull(text('What it may not run at the same time with')),
    attempt: count('The number of its last claim; 0 before the first'),
    failedAttempts: count('Failures since the last success'),
    retriesLeft: count('How often it is tried again after a failure'),
    maxRetries: count('How many retries it begins with'),
    isExhausted: flag('Whether it failed and has no retry left'),
    isCancelRequested: flag('Whether the owner was asked to stop'),
    dueAtMs: atMs('When it may be claimed'),
    retryAtMs: orNull(atMs('When it is tried again')),
    workerId: orNull(text('Who holds the lease')),
    node: orNull(text('The node it runs on')),
    token: orNull(whole('The fencing token of the lease')),
    leaseUntilMs: orNull(atMs('When the lease ends unless renewed')),
    runDir: orNull(text('The directory of its last task, absolute')),
    startedAtMs: orNull(atMs('When its last attempt began')),
    finishedAtMs: orNull(atMs('When its last attempt ended')),
    lastError: orNull(text('What its last failure said')),
    payload: anyJson('What was enqueued with it; null when nothing was'),
    result: anyJson('What its last success left; null when nothing was'),
    createdAtMs: atMs('When it was first asked for'),
    updatedAtMs: atMs('When it last changed'),
  },
);

/** `jobs list`. */
export const jobListView: z.ZodType<JobListView> = view<JobListView>('JobListView', 'Jobs, one page', {
  jobs: listOf(jobView, 'In the order of the store'),
  nextCursor,
});

/** `jobs show`. */
export const jobDetailView: z.ZodType<JobDetailView> = view<JobDetailView>('JobDetailView', 'One job', {
  job: jobView,
});

/** One attempt. */
export const attemptView: z.ZodType<AttemptView> = view<AttemptView>('AttemptView', 'One claim of a job', {
  attempt: whole('Its number, from 1'),
  token: whole('The fencing token of its lease'),
  outcome: oneOf(['running', 'succeeded', 'failed', 'lost', 'released'], 'What became of it'),
  watermark: count('How new the input was that it worked on'),
  workerId: text('Who claimed it'),
  node: orNull(text('On which node')),
  startedAtMs: atMs('When it was claimed'),
  finishedAtMs: orNull(atMs('When it ended')),
  runDir: orNull(text('The directory of its task, absolute')),
  error: orNull(text('Why it failed')),
});

/** `jobs attempts`. */
export const attemptListView: z.ZodType<AttemptListView> = view<AttemptListView>(
  'AttemptListView',
  'Attempts of a job, one page',
  { job, key, attempts: listOf(attemptView, 'Oldest first'), nextCursor },
);

/** `jobs pause` and `jobs resume`. */
export const pauseView: z.ZodType<PauseView> = view<PauseView>('PauseView', 'What was paused or resumed', {
  job: orNull(text('The job; null for everything')),
  isPaused: flag('Whether it is paused now'),
});

/** `jobs cancel`, `jobs retry` and `jobs remove`. */
export const jobOutcomeView: z.ZodType<JobOutcomeView> = view<JobOutcomeView>(
  'JobOutcomeView',
  'What became of a request to steer a job',
  {
    job,
    key,
    outcome: oneOf(
      ['cancelled', 'requested', 'due', 'removed', 'already_running', 'up_to_date', 'not_found'],
      'What was done, or why nothing was: cancelled, requested (of the owner), due, removed; already_running, up_to_date, not_found',
    ),
  },
);

/** `enqueue`. */
export const enqueueView: z.ZodType<EnqueueView> = view<EnqueueView>('EnqueueView', 'A raised watermark', {
  job,
  key,
  jobId: whole('Its number in the store'),
  isRaised: flag('Whether the watermark went up; it never goes down'),
  watermark: count('What it is now'),
  replacesInput: flag('Whether an input that waited is lost to this one; another key keeps both'),
  waiting: waitingView,
});

/** Shows a job. */
export function toJobView(job: Job): JobView {
  return {
    jobId: job.jobId,
    job: job.kind,
    key: job.key,
    status: job.status,
    isDirty: job.isDirty,
    inputWatermark: job.inputWatermark,
    lastSuccessWatermark: job.lastSuccessWatermark,
    claimedWatermark: job.claimedWatermark ?? null,
    priority: job.priority,
    concurrencyKey: job.concurrencyKey === ownKey(job.kind) ? null : (job.concurrencyKey ?? null),
    attempt: job.attempt,
    failedAttempts: job.failedAttempts,
    retriesLeft: job.retriesLeft,
    maxRetries: job.maxRetries,
    isExhausted: job.isExhausted,
    isCancelRequested: job.isCancelRequested,
    dueAtMs: job.dueAtMs,
    retryAtMs: job.retryAtMs ?? null,
    workerId: job.workerId ?? null,
    node: job.node ?? null,
    token: job.token ?? null,
    leaseUntilMs: job.leaseUntilMs ?? null,
    runDir: job.runDir ?? null,
    startedAtMs: job.startedAtMs ?? null,
    finishedAtMs: job.finishedAtMs ?? null,
    lastError: job.lastError ?? null,
    payload: job.payload ?? null,
    result: job.result ?? null,
    createdAtMs: job.createdAtMs,
    updatedAtMs: job.updatedAtMs,
  };
}

/** Shows an attempt. */
export function toAttemptView(attempt: Attempt): AttemptView {
  return {
    attempt: attempt.attempt,
    token: attempt.token,
    outcome: attempt.outcome,
    watermark: attempt.watermark,
    workerId: attempt.workerId,
    node: attempt.node ?? null,
    startedAtMs: attempt.startedAtMs,
    finishedAtMs: attempt.finishedAtMs ?? null,
    runDir: attempt.runDir ?? null,
    error: attempt.error ?? null,
  };
}

/** Shows what enqueuing did. */
export function toEnqueueView(
  name: string,
  keyOfJob: string,
  result: EnqueueResult & Pick<EnqueueView, 'replacesInput'>,
  waiting: Waiting,
): EnqueueView {
  return { job: name, key: keyOfJob, ...result, waiting: toWaitingView(waiting) };
}
