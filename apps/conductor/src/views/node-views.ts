/** Nodes, leadership and the state of it all, as `--json` and the HTTP API show them. */
import type { KindStats, Leadership, LeadershipTerm, StoreStats } from '@conductor-run/job-store';
import { z } from 'zod';

import type { Reloaded } from '../daemon/live-config.ts';
import type { ChecklistItem, NodeState } from '../node-state.ts';
import type {
  CheckItemView,
  DaemonEventView,
  DaemonLogLineView,
  KindStatsView,
  LeaderView,
  LeadershipView,
  NodeConfigView,
  NodeListView,
  NodeView,
  ReloadListView,
  ReloadView,
  StatusView,
  StoreStatsView,
  TermView,
} from './types.ts';
import { atMs, count, flag, listOf, oneOf, orNull, text, view } from './view.ts';

const checkItemView: z.ZodType<CheckItemView> = view<CheckItemView>(
  'CheckItemView',
  'One line of the start-up check-list of a daemon',
  { name: text('What was started'), detail: orNull(text('How')) },
);

const nodeConfigView: z.ZodType<NodeConfigView> = view<NodeConfigView>(
  'NodeConfigView',
  'The config a daemon works with',
  {
    path: orNull(text('The file, absolute; null when there was none')),
    digest: text('The same for files that say the same'),
    loadedAtMs: atMs('When it was read'),
    isCurrent: orNull(
      flag('Whether the file still says the same'),
      'Whether the file still says the same; null when it cannot be read from here',
    ),
    restartFor: listOf(text('A key of the file'), 'Keys whose values are used after a restart only'),
    problem: orNull(text('Why the file was refused the last time it was read again')),
  },
);

/** One node. */
const nodeView: z.ZodType<NodeView> = view<NodeView>('NodeView', 'A daemon', {
  nodeId: text('Its name'),
  host: text('The machine it runs on'),
  isLive: flag(
    'Whether its last sign of life is younger than its time to live, and its process is not known to be gone',
  ),
  isDraining: flag('Whether it takes nothing new and waits for its tasks to end'),
  role: orNull(text('leader, degraded or standby; null when it has not said')),
  running: orNull(count('Tasks it runs')),
  maxParallel: orNull(count('Tasks it may run at once')),
  apiUrl: orNull(text('Where its HTTP API listens')),
  checklist: listOf(checkItemView, 'What it is made of, in the order it started'),
  config: orNull(nodeConfigView, 'The config it works with; null when it has not said'),
  startedAtMs: atMs('When it started'),
  beatAtMs: atMs('When it last gave a sign of life'),
});

/** `nodes`. */
export const nodeListView: z.ZodType<NodeListView> = view<NodeListView>('NodeListView', 'Daemons', {
  nodes: listOf(nodeView, 'Every one that has not left'),
});

/** `reload`, of one daemon. */
export const reloadView: z.ZodType<ReloadView> = view<ReloadView>(
  'ReloadView',
  'A config that was read again',
  {
    node: text('The daemon'),
    isInUse: flag('Whether the file, as it was read, is in use'),
    configPath: orNull(text('The config file, absolute')),
    digest: text('Of what is in use now'),
    added: listOf(text('A job'), 'Jobs that came'),
    changed: listOf(text('A job'), 'Jobs that are defined otherwise now'),
    removed: listOf(text('A job'), 'Jobs that went: their rows stay, and nothing starts them'),
    restartFor: listOf(text('A key of the file'), 'Keys whose values are used after a restart only'),
    problem: orNull(text('Why the file is not used')),
  },
);

/** `reload`. */
export const reloadListView: z.ZodType<ReloadListView> = view<ReloadListView>(
  'ReloadListView',
  'What the daemons made of their config',
  { daemons: listOf(reloadView, 'One for each daemon that was asked') },
);

/** Who leads. */
const leadershipView: z.ZodType<LeadershipView> = view<LeadershipView>(
  'LeadershipView',
  'Who decides what is scheduled',
  {
    holderId: orNull(text('The leading node and its start; null after it resigned')),
    host: orNull(text('Its machine')),
    term: count('How many leaders there have been: the fencing number of leadership'),
    isHeld: flag('Whether the lease has not run out'),
    acquiredAtMs: atMs('When it began to lead'),
    renewedAtMs: atMs('When it last renewed'),
    leaseExpiresAtMs: atMs('When another node may lead unless it renews'),
    ttlMs: count('How long a renewal lasts, milliseconds'),
  },
);

const termView: z.ZodType<TermView> = view<TermView>('TermView', 'One term of leadership', {
  term: count('Its number'),
  holderId: text('Who led'),
  host: text('On which machine'),
  acquiredAtMs: atMs('Since when'),
  endedAtMs: orNull(atMs('Until when; null while it leads')),
  endedBy: orNull(oneOf(['resigned', 'superseded'], 'How it ended')),
});

/** `leader`. */
export const leaderView: z.ZodType<LeaderView> = view<LeaderView>('LeaderView', 'Who leads and who led', {
  leadership: orNull(leadershipView, 'Who leads; null when nobody ever did'),
  terms: listOf(termView, 'The last terms, newest first'),
});

const kindStatsView: z.ZodType<KindStatsView> = view<KindStatsView>(
  'KindStatsView',
  'How many of a job stand where',
  {
    job: text('The job'),
    isPaused: flag('Whether it is paused'),
    ready: count('Due and not claimed'),
    waiting: count('Due later, or waiting for a retry'),
    running: count('Claimed'),
    done: count('Up to date'),
    exhausted: count('Failed without a retry left'),
    cancelled: count('Called off'),
    oldestReadyDueAtMs: orNull(atMs('Since when the oldest one is due')),
  },
);

/** `store stats`. */
export const storeStatsView: z.ZodType<StoreStatsView> = view<StoreStatsView>(
  'StoreStatsView',
  'How many jobs stand where',
  {
    path: text('The file of the store, absolute'),
    isPaused: flag('Whether everything is paused'),
    kinds: listOf(kindStatsView, 'One for each job'),
  },
);

/** `status`. */
export const statusView: z.ZodType<StatusView> = view<StatusView>(
  'StatusView',
  'Who leads, who lives, what runs',
  {
    version: text('The version of conductor that answers'),
    answeredBy: orNull(
      text('The node that answered; null when no daemon did and the store was read instead'),
    ),
    store: text('The file of the store, absolute'),
    isPaused: flag('Whether everything is paused'),
    leadership: orNull(leadershipView, 'Who leads; null when nobody ever did'),
    nodes: listOf(nodeView, 'Daemons'),
    kinds: listOf(kindStatsView, 'One for each job'),
  },
);

/** A line of `start --json`. */
export const daemonEventView: z.ZodType<DaemonEventView> = view<DaemonEventView>(
  'DaemonEventView',
  'Something a daemon tells while it runs',
  {
    atMs: atMs('When'),
    event: oneOf(
      [
        'part.started',
        'daemon.up',
        'config.reloaded',
        'config.refused',
        'task.ended',
        'daemon.stopping',
        'daemon.stopped',
      ],
      'What happened',
    ),
    name: orNull(
      text('The part that started, the task that ended, or the job whose attempt could not be carried out'),
    ),
    detail: orNull(text('How')),
    recorded: orNull(
      oneOf(
        ['succeeded', 'failed', 'released', 'lease-lost'],
        'What the store made of the task; null when it could not be carried out',
      ),
    ),
    runId: orNull(text('The last run of the task')),
  },
);

/** A line of `logs --json`: the fields pino writes first, and whatever the line adds. */
export const daemonLogLineView: z.ZodType<DaemonLogLineView> = z
  .looseObject({
    level: count('10 trace, 20 debug, 30 info, 40 warn, 50 error, 60 fatal'),
    time: atMs('When'),
    msg: z.string().optional().describe('What happened, as a stable word'),
  })
  .meta({ id: 'DaemonLogLineView', description: "A line of the daemon's own log, as it is in the file" });

/**
 * Shows a node.
 *
 * @param node - the node
 * @param isCurrent - whether it works with its config file as it is now; `undefined` when that is not known
 */
export function toNodeView(node: NodeState, isCurrent: boolean | undefined): NodeView {
  const { nodeId, host, isLive, isDraining, role, running, maxParallel, apiUrl, checklist } = node;
  const { startedAtMs, beatAtMs, config } = node;
  return {
    nodeId,
    host,
    isLive,
    isDraining,
    role: role ?? null,
    running: running ?? null,
    maxParallel: maxParallel ?? null,
    apiUrl: apiUrl ?? null,
    checklist: checklist.map(toCheckItemView),
    config:
      config === undefined
        ? null
        : {
            path: config.path ?? null,
            digest: config.digest,
            loadedAtMs: config.loadedAtMs,
            isCurrent: isCurrent ?? null,
            restartFor: config.restartFor,
            problem: config.problem ?? null,
          },
    startedAtMs,
    beatAtMs,
  };
}

/** Shows a reload. */
export function toReloadView(node: string, reloaded: Reloaded): ReloadView {
  const { configPath, problem } = reloaded;
  return { ...reloaded, node, configPath: configPath ?? null, problem: problem ?? null };
}

function toCheckItemView({ name, detail }: ChecklistItem): CheckItemView {
  return { name, detail: detail ?? null };
}

/** Shows who leads. */
export function toLeadershipView(leadership: Leadership | undefined, nowMs: number): LeadershipView | null {
  if (leadership === undefined) return null;
  const { holderId, host, term, acquiredAtMs, renewedAtMs, leaseExpiresAtMs, ttlMs } = leadership;
  const isHeld = holderId !== undefined && leaseExpiresAtMs > nowMs;
  return {
    holderId: holderId ?? null,
    host: host ?? null,
    term,
    isHeld,
    acquiredAtMs,
    renewedAtMs,
    leaseExpiresAtMs,
    ttlMs,
  };
}

/** Shows a term. */
export function toTermView({
  term,
  holderId,
  host,
  acquiredAtMs,
  endedAtMs,
  endedBy,
}: LeadershipTerm): TermView {
  return { term, holderId, host, acquiredAtMs, endedAtMs: endedAtMs ?? null, endedBy: endedBy ?? null };
}

/** Shows how many of a job stand where. */
export function toKindStatsView(stats: KindStats): KindStatsView {
  const { kind, isPaused, ready, waiting, running, done, exhausted, cancelled, oldestReadyDueAtMs } = stats;
  return {
    job: kind,
    isPaused,
    ready,
    waiting,
    running,
    done,
    exhausted,
    cancelled,
    oldestReadyDueAtMs: oldestReadyDueAtMs ?? null,
  };
}

/** Shows how many jobs stand where. */
export function toStoreStatsView(path: string, stats: StoreStats): StoreStatsView {
  return { path, isPaused: stats.isPaused, kinds: stats.kinds.map(toKindStatsView) };
}
