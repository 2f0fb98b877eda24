/** Routes of runs, their output and their checkpoints. */
import { z } from 'zod';

import {
  checkpointDetailView,
  checkpointDiffView,
  checkpointListView,
  runDiffView,
} from '../views/checkpoint-views.ts';
import { jobOutcomeView } from '../views/job-views.ts';
import {
  outputTailView,
  pruneRunsView,
  RUN_STATUSES,
  runDetailView,
  runEventListView,
  runListView,
} from '../views/run-views.ts';
import type {
  CheckpointDetailView,
  CheckpointDiffView,
  CheckpointListView,
  JobOutcomeView,
  OutputTailView,
  PruneRunsView,
  RunDetailView,
  RunDiffView,
  RunEventListView,
  RunListView,
  RunView,
} from '../views/types.ts';
import {
  type Endpoint,
  line,
  type Nothing,
  nothing,
  type PageQuery,
  pageQuery,
  pageShape,
  runName,
  type RunParams,
  runParams,
  wholeNumber,
  yesOrNo,
} from './endpoint.ts';

/** Which runs. */
export interface RunListQuery extends PageQuery {
  /** Only runs of this job. */
  readonly job?: string | undefined;
  /** Only runs that stand there. */
  readonly status?: RunView['status'] | undefined;
}

/** `GET /v1/runs`. */
export const listRuns: Endpoint<Nothing, RunListQuery, undefined, RunListView> = {
  operationId: 'listRuns',
  method: 'GET',
  path: '/v1/runs',
  summary: 'Runs, newest first, one page',
  params: nothing,
  query: z.strictObject({
    ...pageShape,
    job: line.optional().describe('Only runs of this job'),
    status: z.enum(RUN_STATUSES).optional().describe('Only runs that stand there'),
  }),
  body: undefined,
  view: runListView,
  errors: ['usage'],
};

/** `GET /v1/runs/:run`. */
export const showRun: Endpoint<RunParams, Nothing, undefined, RunDetailView> = ofRun(
  'showRun',
  '',
  'One run',
  runDetailView,
);

/** `GET /v1/runs/:run/events`. */
export const listRunEvents: Endpoint<RunParams, PageQuery, undefined, RunEventListView> = {
  ...ofRun('listRunEvents', '/events', 'Lifecycle events of a run, oldest first, one page', runEventListView),
  query: pageQuery,
  errors: ['run-unknown', 'usage'],
};

/** Which lines. */
export interface TailQuery {
  /**
   * Whose output.
   *
   * @defaultValue 'combined'
   */
  readonly channel?: 'stdout' | 'stderr' | 'combined' | undefined;
  /**
   * How many lines at most, 1 to 10,000.
   *
   * @defaultValue 100
   */
  readonly lines?: number | undefined;
}

const channel = z.enum(['stdout', 'stderr', 'combined']).optional();

/** `GET /v1/runs/:run/tail`. */
export const tailRun: Endpoint<RunParams, TailQuery, undefined, OutputTailView> = {
  ...ofRun('tailRun', '/tail', 'The last lines of a run', outputTailView),
  query: z.strictObject({
    channel: channel.describe('Whose output; default: combined'),
    lines: wholeNumber(1, 10_000).optional().describe('How many lines at most; default: 100'),
  }),
};

/** `GET /v1/runs/:run/diff`. */
export const diffRun: Endpoint<RunParams, Nothing, undefined, RunDiffView> = {
  ...ofRun('diffRun', '/diff', 'What a run changed in its work tree', runDiffView),
  errors: ['run-unknown', 'checkpoint-unknown'],
};

/** `POST /v1/runs/:run/cancel`. */
export const cancelRun: Endpoint<RunParams, Nothing, undefined, JobOutcomeView> = {
  ...ofRun(
    'cancelRun',
    '/cancel',
    'Ask the owner of the job that a run belongs to to stop it',
    jobOutcomeView,
  ),
  method: 'POST',
  errors: ['run-unknown', 'run-ended'],
};

/** Which ended runs go; at least one limit. */
export interface PruneRunsBody {
  /** Those that ended longer ago than this, in milliseconds. */
  readonly maxAgeMs?: number | undefined;
  /** How many stay. */
  readonly maxRuns?: number | undefined;
  /** How many bytes they may take together. */
  readonly maxBytes?: number | undefined;
  /** Only say what would go. @defaultValue false */
  readonly isDryRun?: boolean | undefined;
}

const limit = z.int().min(0).optional();

/** `POST /v1/runs/prune`. */
export const pruneRuns: Endpoint<Nothing, Nothing, PruneRunsBody, PruneRunsView> = {
  operationId: 'pruneRuns',
  method: 'POST',
  path: '/v1/runs/prune',
  summary: 'Remove ended runs that are over a limit, oldest first; live ones are never touched',
  params: nothing,
  query: nothing,
  body: z
    .strictObject({
      maxAgeMs: limit.describe('Those that ended longer ago than this, milliseconds'),
      maxRuns: limit.describe('How many stay'),
      maxBytes: limit.describe('How many bytes they may take together'),
      isDryRun: z.boolean().optional().describe('Only say what would go'),
    })
    .refine((body) => [body.maxAgeMs, body.maxRuns, body.maxBytes].some((each) => each !== undefined), {
      error: 'expected maxAgeMs, maxRuns or maxBytes',
    }),
  view: pruneRunsView,
  errors: [],
};

/** `GET /v1/runs/:run/checkpoints`. */
export const listCheckpoints: Endpoint<RunParams, PageQuery, undefined, CheckpointListView> = {
  ...ofRun(
    'listCheckpoints',
    '/checkpoints',
    'Checkpoints of a run, oldest first, one page',
    checkpointListView,
  ),
  query: pageQuery,
  errors: ['run-unknown', 'usage'],
};

/** Names a checkpoint. */
export interface CheckpointParams extends RunParams {
  /** Its number, from 1. */
  readonly seq: number;
}

const checkpointSeq = wholeNumber(1, Number.MAX_SAFE_INTEGER);

/** `GET /v1/runs/:run/checkpoints/:seq`. */
export const showCheckpoint: Endpoint<CheckpointParams, Nothing, undefined, CheckpointDetailView> = {
  operationId: 'showCheckpoint',
  method: 'GET',
  path: '/v1/runs/:run/checkpoints/:seq',
  summary: 'One checkpoint',
  params: z.strictObject({ run: runName, seq: checkpointSeq.describe('Its number, from 1') }),
  query: nothing,
  body: undefined,
  view: checkpointDetailView,
  errors: ['run-unknown', 'checkpoint-unknown'],
};

/** With what to compare. */
export interface CheckpointDiffQuery {
  /** The older git checkpoint; what the run began with when left out. */
  readonly fromSeq?: number | undefined;
}

/** `GET /v1/runs/:run/checkpoints/:seq/diff`. */
export const diffCheckpoint: Endpoint<CheckpointParams, CheckpointDiffQuery, undefined, CheckpointDiffView> =
  {
    ...showCheckpoint,
    operationId: 'diffCheckpoint',
    path: '/v1/runs/:run/checkpoints/:seq/diff',
    summary: 'Files that differ between a git checkpoint and an older one',
    query: z.strictObject({
      fromSeq: checkpointSeq.optional().describe('The older one; default: what the run began with'),
    }),
    view: checkpointDiffView,
  };

/** Which bytes. */
export interface OutputQuery {
  /** The first byte wanted. @defaultValue 0 */
  readonly offset?: number | undefined;
  /** How many at most, up to 1 MiB. @defaultValue 1 MiB */
  readonly length?: number | undefined;
}

/** Names one output stream of a run. */
export interface OutputParams extends RunParams {
  /** Whose output. */
  readonly channel: 'stdout' | 'stderr';
}

/** What `/output/:channel` takes; it answers with bytes. */
export const outputParams: z.ZodType<OutputParams> = z.strictObject({
  run: runName,
  channel: z.enum(['stdout', 'stderr']).describe('Whose output'),
});

/** Bytes an answer carries at most. */
export const MAX_OUTPUT_BYTES = 1_048_576;

/** What `/output/:channel` takes. */
export const outputQuery: z.ZodType<OutputQuery> = z.strictObject({
  offset: wholeNumber(0, Number.MAX_SAFE_INTEGER).optional().describe('The first byte wanted; default: 0'),
  length: wholeNumber(1, MAX_OUTPUT_BYTES)
    .optional()
    .describe(`How many at most; default: ${MAX_OUTPUT_BYTES}`),
});

/** What to follow. */
export interface FollowQuery {
  /** Whose output; events come with each. @defaultValue 'combined' */
  readonly channel?: 'stdout' | 'stderr' | 'combined' | undefined;
  /** Whether to wait for more until the run has ended. @defaultValue true */
  readonly live?: boolean | undefined;
  /** Begin with so many last lines, 0 to 10,000. @defaultValue the whole output */
  readonly tail?: number | undefined;
}

/** What `/stream` takes; it answers with server-sent events. */
export const followQuery: z.ZodType<FollowQuery> = z.strictObject({
  channel: channel.describe('Whose output; events come with each; default: combined'),
  live: yesOrNo.optional().describe('Whether to wait for more until the run has ended; default: true'),
  tail: wholeNumber(0, 10_000)
    .optional()
    .describe('Begin with so many last lines; default: the whole output'),
});

function ofRun<View>(
  operationId: string,
  suffix: string,
  summary: string,
  view: z.ZodType<View>,
): Endpoint<RunParams, Nothing, undefined, View> {
  return {
    operationId,
    method: 'GET',
    path: `/v1/runs/:run${suffix}`,
    summary,
    params: runParams,
    query: nothing,
    body: undefined,
    view,
    errors: ['run-unknown'],
  };
}
