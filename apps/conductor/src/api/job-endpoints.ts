/** Routes of jobs. */
import { z } from 'zod';

import {
  attemptListView,
  enqueueView,
  jobDetailView,
  jobListView,
  jobOutcomeView,
  JOB_STATUSES,
  pauseView,
} from '../views/job-views.ts';
import { whyView } from '../views/slot-views.ts';
import type {
  AttemptListView,
  EnqueueView,
  JobDetailView,
  JobListView,
  JobOutcomeView,
  PauseView,
  WhyView,
  JobView,
} from '../views/types.ts';
import {
  type Endpoint,
  type JobParams,
  jobParams,
  keyPageQuery,
  type KeyQuery,
  keyQuery,
  line,
  type Nothing,
  nothing,
  type PageQuery,
  pageShape,
  wholeNumber,
  yesOrNo,
} from './endpoint.ts';

/** Which jobs. */
export interface JobListQuery extends PageQuery {
  /** Only this job. */
  readonly job?: string | undefined;
  /** Only jobs that stand there. */
  readonly status?: JobView['status'] | undefined;
  /** Only keys that begin so. */
  readonly keyPrefix?: string | undefined;
  /** Only jobs whose input is newer than their last success, or only the others. */
  readonly isDirty?: boolean | undefined;
}

/** `GET /v1/jobs`. */
export const listJobs: Endpoint<Nothing, JobListQuery, undefined, JobListView> = {
  operationId: 'listJobs',
  method: 'GET',
  path: '/v1/jobs',
  summary: 'Jobs of the store, one page',
  params: nothing,
  query: z.strictObject({
    ...pageShape,
    job: line.optional().describe('Only this job'),
    status: z.enum(JOB_STATUSES).optional().describe('Only jobs that stand there'),
    keyPrefix: line.optional().describe('Only keys that begin so'),
    isDirty: yesOrNo.optional().describe('Whether the input is newer than the last success'),
  }),
  body: undefined,
  view: jobListView,
  errors: ['usage'],
};

/** `GET /v1/jobs/:job`. */
export const showJob: Endpoint<JobParams, KeyQuery, undefined, JobDetailView> = {
  operationId: 'showJob',
  method: 'GET',
  path: '/v1/jobs/:job',
  summary: 'One job',
  params: jobParams,
  query: keyQuery,
  body: undefined,
  view: jobDetailView,
  errors: ['job-unknown'],
};

/** `GET /v1/jobs/:job/attempts`. */
export const listAttempts: Endpoint<JobParams, KeyQuery & PageQuery, undefined, AttemptListView> = {
  operationId: 'listAttempts',
  method: 'GET',
  path: '/v1/jobs/:job/attempts',
  summary: 'Attempts of a job, oldest first, one page',
  params: jobParams,
  query: keyPageQuery,
  body: undefined,
  view: attemptListView,
  errors: ['job-unknown', 'usage'],
};

/** Which one, and which slot of it. */
export interface WhyQuery extends KeyQuery {
  /** Explain the one slot at this instant, too: UTC milliseconds. */
  readonly atMs?: number | undefined;
}

/** `GET /v1/jobs/:job/why`. */
export const explainJob: Endpoint<JobParams, WhyQuery, undefined, WhyView> = {
  operationId: 'explainJob',
  method: 'GET',
  path: '/v1/jobs/:job/why',
  summary: 'Why a job ran, did not run, or waits',
  params: jobParams,
  query: z.strictObject({
    key: line.optional().describe('Which one of its kind; default: default'),
    atMs: wholeNumber(0, 8.64e15).optional().describe('Explain the slot at this instant, UTC milliseconds'),
  }),
  body: undefined,
  view: whyView,
  errors: ['job-unknown', 'usage'],
};

/** What to enqueue. */
export interface EnqueueBody extends KeyQuery {
  /** How new the input is, at least 1; the next integer when left out. */
  readonly watermark?: number | undefined;
  /** Any JSON: each step gets it as a line on its standard input. */
  readonly input?: unknown;
}

/** `POST /v1/jobs/:job/enqueue`. */
export const enqueueJob: Endpoint<JobParams, Nothing, EnqueueBody, EnqueueView> = {
  operationId: 'enqueueJob',
  method: 'POST',
  path: '/v1/jobs/:job/enqueue',
  summary: "Raise a job's watermark so that a daemon runs it",
  params: jobParams,
  query: nothing,
  body: z.strictObject({
    key: line.optional().describe('Which one of its kind; default: default'),
    watermark: z
      .int()
      .min(1)
      .max(Number.MAX_SAFE_INTEGER)
      .optional()
      .describe('How new the input is; default: the next integer'),
    input: z.unknown().optional().describe('Any JSON, handed to each step on its standard input'),
  }),
  view: enqueueView,
  errors: ['job-unknown'],
};

/** `POST /v1/jobs/:job/cancel`. */
export const cancelJob: Endpoint<JobParams, KeyQuery, undefined, JobOutcomeView> = steer(
  'cancel',
  'Call a waiting job off, or ask the owner of a running one to stop',
);
/** `POST /v1/jobs/:job/retry`. */
export const retryJob: Endpoint<JobParams, KeyQuery, undefined, JobOutcomeView> = steer(
  'retry',
  'Make a failed or exhausted job due again, with its retries reset',
);
/** `POST /v1/jobs/:job/remove`. */
export const removeJob: Endpoint<JobParams, KeyQuery, undefined, JobOutcomeView> = steer(
  'remove',
  'Forget a job that is not running, with its attempts',
);

/** `POST /v1/jobs/:job/pause`. */
export const pauseJob: Endpoint<JobParams, Nothing, undefined, PauseView> = {
  operationId: 'pauseJob',
  method: 'POST',
  path: '/v1/jobs/:job/pause',
  summary: 'Start nothing new of one job',
  params: jobParams,
  query: nothing,
  body: undefined,
  view: pauseView,
  errors: ['job-unknown'],
};

/** `POST /v1/jobs/:job/resume`. */
export const resumeJob: Endpoint<JobParams, Nothing, undefined, PauseView> = {
  ...pauseJob,
  operationId: 'resumeJob',
  path: '/v1/jobs/:job/resume',
  summary: 'Start a job again',
};

function steer(
  verb: 'cancel' | 'retry' | 'remove',
  summary: string,
): Endpoint<JobParams, KeyQuery, undefined, JobOutcomeView> {
  return {
    operationId: `${verb}Job`,
    method: 'POST',
    path: `/v1/jobs/:job/${verb}`,
    summary,
    params: jobParams,
    query: keyQuery,
    body: undefined,
    view: jobOutcomeView,
    errors: ['job-unknown'],
  };
}
