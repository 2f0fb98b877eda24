/** Routes of nodes, leadership, slots, the store, the config and work trees. */
import { z } from 'zod';

import { pauseView } from '../views/job-views.ts';
import { leaderView, nodeListView, reloadView, statusView, storeStatsView } from '../views/node-views.ts';
import { forecastView, simulationView } from '../views/slot-views.ts';
import type {
  ConfigView,
  ForecastView,
  LeaderView,
  NodeListView,
  PauseView,
  PruneStoreView,
  PruneWorktreesView,
  ReloadView,
  SimulationView,
  StatusView,
  StoreStatsView,
  WorktreeListView,
} from '../views/types.ts';
import { configView, pruneStoreView, pruneWorktreesView, worktreeListView } from '../views/upkeep-views.ts';
import { type Endpoint, type Nothing, nothing, type PageQuery, pageQuery, wholeNumber } from './endpoint.ts';

/** `GET /v1/status`. */
export const readStatus: Endpoint<Nothing, Nothing, undefined, StatusView> = plain(
  'readStatus',
  '/v1/status',
  'Who leads, who lives, what runs',
  statusView,
);
/** `GET /v1/nodes`. */
export const listNodes: Endpoint<Nothing, Nothing, undefined, NodeListView> = plain(
  'listNodes',
  '/v1/nodes',
  'Daemons that gave a sign of life',
  nodeListView,
);
/** `GET /v1/leader`. */
export const readLeader: Endpoint<Nothing, Nothing, undefined, LeaderView> = plain(
  'readLeader',
  '/v1/leader',
  'Who leads and who led',
  leaderView,
);
/** `GET /v1/store`. */
export const readStore: Endpoint<Nothing, Nothing, undefined, StoreStatsView> = plain(
  'readStore',
  '/v1/store',
  'How many jobs stand where',
  storeStatsView,
);
/** `GET /v1/config`. */
export const readConfig: Endpoint<Nothing, Nothing, undefined, ConfigView> = plain(
  'readConfig',
  '/v1/config',
  'The settings of the daemon that answers, without secrets',
  configView,
);
/** `POST /v1/reload`. */
export const reloadConfig: Endpoint<Nothing, Nothing, undefined, ReloadView> = {
  ...plain(
    'reloadConfig',
    '/v1/reload',
    'Read the config file again and use it; a file that cannot be used changes nothing, and the answer says why',
    reloadView,
  ),
  method: 'POST',
};
/** `POST /v1/pause`. */
export const pauseAll: Endpoint<Nothing, Nothing, undefined, PauseView> = {
  ...plain('pauseAll', '/v1/pause', 'Start nothing new at all', pauseView),
  method: 'POST',
};
/** `POST /v1/resume`. */
export const resumeAll: Endpoint<Nothing, Nothing, undefined, PauseView> = {
  ...plain('resumeAll', '/v1/resume', 'Start again', pauseView),
  method: 'POST',
};

/** How far to look. */
export interface ForecastQuery {
  /** Hours from now, 1 to 8,784. @defaultValue 48 */
  readonly hours?: number | undefined;
  /** Slots of each schedule at most, 1 to 10,000. @defaultValue 1,000 */
  readonly limit?: number | undefined;
}

/** `GET /v1/forecast`. */
export const readForecast: Endpoint<Nothing, ForecastQuery, undefined, ForecastView> = {
  ...plain('readForecast', '/v1/forecast', 'Slots to come', forecastView),
  query: z.strictObject({
    hours: wholeNumber(1, 8_784).optional().describe('Hours from now; default: 48'),
    limit: wholeNumber(1, 10_000).optional().describe('Slots of each schedule at most; default: 1000'),
  }),
};

/** What to play through. */
export interface SimulateBody {
  /** Where to begin, UTC milliseconds. */
  readonly fromMs: number;
  /** Where to end, exclusive, UTC milliseconds. */
  readonly toMs: number;
  /** Stretches without any daemon. @defaultValue none */
  readonly down?: readonly { readonly fromMs: number; readonly untilMs: number }[] | undefined;
}

/** The longest span a request may play through. */
const MAX_SIMULATION_MS = 366 * 86_400_000;
const instant = z.int().min(0).max(8.64e15);

/** `POST /v1/simulate`. */
export const simulateSpan: Endpoint<Nothing, Nothing, SimulateBody, SimulationView> = {
  operationId: 'simulateSpan',
  method: 'POST',
  path: '/v1/simulate',
  summary: 'Play the schedules of the config through a span of time, at most a year',
  params: nothing,
  query: nothing,
  body: z
    .strictObject({
      fromMs: instant.describe('Where to begin, UTC milliseconds'),
      toMs: instant.describe('Where to end, exclusive, UTC milliseconds'),
      down: z
        .array(
          z
            .strictObject({
              fromMs: instant.describe('Where it begins, UTC milliseconds'),
              untilMs: instant.describe('Where it ends, UTC milliseconds'),
            })
            .refine((span) => span.fromMs < span.untilMs, { error: 'expected fromMs before untilMs' }),
        )
        .max(100)
        .optional()
        .describe('Stretches without any daemon'),
    })
    .refine((body) => body.toMs >= body.fromMs && body.toMs - body.fromMs <= MAX_SIMULATION_MS, {
      error: 'expected fromMs before toMs and at most a year between them',
    }),
  view: simulationView,
  errors: [],
};

/** Which attempts and jobs are forgotten. */
export interface PruneStoreBody {
  /** Those that ended longer ago than this, in milliseconds. */
  readonly maxAgeMs: number;
  /** Also the jobs; their watermarks go with them. @defaultValue false */
  readonly jobs?: boolean | undefined;
}

/** `POST /v1/store/prune`. */
export const pruneStore: Endpoint<Nothing, Nothing, PruneStoreBody, PruneStoreView> = {
  operationId: 'pruneStore',
  method: 'POST',
  path: '/v1/store/prune',
  summary: 'Forget attempts that ended long ago, and with jobs the jobs they belong to',
  params: nothing,
  query: nothing,
  body: z.strictObject({
    maxAgeMs: z.int().min(0).describe('Those that ended longer ago than this, milliseconds'),
    jobs: z.boolean().optional().describe('Also the jobs; their watermarks go with them'),
  }),
  view: pruneStoreView,
  errors: [],
};

/** `GET /v1/worktrees`. */
export const listWorktrees: Endpoint<Nothing, PageQuery, undefined, WorktreeListView> = {
  ...plain('listWorktrees', '/v1/worktrees', 'Work trees of tasks, oldest first, one page', worktreeListView),
  query: pageQuery,
  errors: ['not-a-repository', 'usage'],
};

/** Which work trees go. */
export interface PruneWorktreesBody {
  /** Those made longer ago than this, in milliseconds. @defaultValue 0 */
  readonly maxAgeMs?: number | undefined;
  /** Only say what would go. @defaultValue false */
  readonly isDryRun?: boolean | undefined;
}

/** `POST /v1/worktrees/prune`. */
export const pruneWorktrees: Endpoint<Nothing, Nothing, PruneWorktreesBody, PruneWorktreesView> = {
  operationId: 'pruneWorktrees',
  method: 'POST',
  path: '/v1/worktrees/prune',
  summary: 'Remove work trees of ended tasks that hold nothing which exists nowhere else',
  params: nothing,
  query: nothing,
  body: z.strictObject({
    maxAgeMs: z.int().min(0).optional().describe('Those made longer ago than this, milliseconds'),
    isDryRun: z.boolean().optional().describe('Only say what would go'),
  }),
  view: pruneWorktreesView,
  errors: ['not-a-repository'],
};

function plain<View>(
  operationId: string,
  path: string,
  summary: string,
  view: z.ZodType<View>,
): Endpoint<Nothing, Nothing, undefined, View> {
  return {
    operationId,
    method: 'GET',
    path,
    summary,
    params: nothing,
    query: nothing,
    body: undefined,
    view,
    errors: [],
  };
}
