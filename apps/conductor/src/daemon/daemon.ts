/**
 * One node: heartbeat, leadership, ticks, dispatcher, started in this order and stopped in reverse.
 * Invariant: losing leadership stops scheduling, never a running step; a failed start leaves nothing running.
 */
import path from 'node:path';

import type { Lease, SqliteJobStore } from '@conductor-run/job-store';
import type { AppLogger } from '@conductor-run/logging';
import { createTimedJobs, type Runner, type TickResult } from '@conductor-run/timed-jobs';

import type { Config } from '../config.ts';
import type { CliIo } from '../io.ts';
import { LEADERSHIP } from '../leadership.ts';
import { lockNode } from '../owner-lock.ts';
import type { TaskOutcome } from '../task.ts';
import type { TaskBell } from '../task-bell.ts';
import { plural } from '../terminal/plural.ts';
import { type Dispatcher, startDispatcher } from './dispatcher.ts';
import { startAdoption } from './adoption.ts';
import { startHeartbeat } from './heartbeat.ts';
import { createJobScheduler, schedulesOf } from './job-scheduler.ts';
import { adoptTasks, type LeftTask, runLeasedTask } from './leased-task.ts';
import type { NodeMetrics } from './metrics.ts';
import { createGate, startNodeElection } from './node-election.ts';
import { createNotifications, type Notifications } from './notifications.ts';
import type { Observer } from './observer.ts';
import type { DaemonParts } from './parts.ts';
import { createRetention } from './retention.ts';
import { untilMayPlan } from './single-pass.ts';
import { startInOrder, type StartStep } from './start-order.ts';
import { createWatchers, type Watchers } from './watchers.ts';

/** What a daemon works with. */
export interface DaemonOptions {
  readonly config: Config;
  readonly io: CliIo;
  readonly store: SqliteJobStore;
  readonly logger: AppLogger;
  /** Whether it is for a single pass: without the HTTP API, and without ticks of its own. */
  readonly isOnce: boolean;
  /** Told what happens, for metrics and traces. */
  readonly observer: Observer;
  /** What `/metrics` tells. */
  readonly metrics: NodeMetrics;
  /** Told after each thing that was started: the check-list. */
  readonly onStarted: (name: string, detail: string | undefined) => void;
  /** Rung when a job of this node starts a step, and when its attempt is recorded. */
  readonly taskBell: TaskBell;
  /** Told after each task. */
  readonly onTask: (outcome: TaskOutcome) => void;
  /** Told in place of `onTask` of an attempt that could not be carried out, such as one whose secret has no value. */
  readonly onTaskThrown: (lease: Lease, error: unknown) => void;
  /** Aborted when running steps are to be ended without waiting for them. */
  readonly hurry: AbortSignal;
  /** Aborted when the daemon begins to stop. */
  readonly stopping: AbortSignal;
}

/** A running daemon; whoever starts it stops it. */
export interface Daemon {
  /**
   * Decides what is due now and resolves when nothing is due and nothing runs; for a daemon with `isOnce`. Waits for
   * the lease of a leader that died, not for one that lives.
   *
   * @returns what planning came to; what was due already has run also when it was skipped
   */
  runOnce(): Promise<TickResult>;
  /** Plans nothing more, claims nothing more, waits for the running tasks, gives leadership up. */
  stop(): Promise<void>;
}

/**
 * Starts a daemon on an open store.
 *
 * @param options - what it works with; the store stays open when it stops
 * @throws Error naming the step that could not be started
 */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { config, io, store, logger } = options;
  const { settings } = config;
  const onError = (error: unknown, doing: string): void =>
    logger.error({ err: error, doing }, 'daemon.failed');
  const parts: DaemonParts = {
    leader: undefined,
    dispatcher: undefined,
    apiUrl: undefined,
    heartbeat: undefined,
    isStarted: false,
    checklist: [{ name: 'job store', detail: settings.store }],
  };
  const notifications = createNotifications(options);
  const { timedJobs, watchers } = createNodeTimedJobs(options, parts, notifications.runner);

  const steps: readonly StartStep[] = [
    {
      name: 'node',
      async start() {
        const lock = lockNode(settings.stateDir, settings.nodeId);
        const heartbeat = await startHeartbeat({
          store,
          nodeId: settings.nodeId,
          host: settings.host,
          intervalMs: settings.heartbeatIntervalMs,
          clock: io.clock,
          state: () => ({
            role: parts.leader?.state().role ?? 'standby',
            running: parts.dispatcher?.runningCount() ?? 0,
            maxParallel: settings.maxParallel,
            priority: settings.priority,
            ...(parts.apiUrl !== undefined && { apiUrl: parts.apiUrl }),
            checklist: parts.checklist.map(({ name, detail = '' }) => ({ name, detail })),
          }),
          onError,
        });
        parts.heartbeat = heartbeat;
        return {
          detail: `${settings.nodeId} on ${settings.host}`,
          async stop() {
            await heartbeat.stop();
            lock.release();
          },
        };
      },
    },
    {
      name: 'leadership',
      async start() {
        const leader = startNodeElection(LEADERSHIP, options, () => timedJobs.wake('leadership won'));
        parts.leader = leader;
        const { leaseTtlMs, leaseRenewDeadlineMs, leaseRetryMs } = settings;
        return {
          detail: `ttl ${leaseTtlMs} ms, renew deadline ${leaseRenewDeadlineMs} ms, retry ${leaseRetryMs} ms`,
          stop: () => leader.stop(),
        };
      },
    },
    ...(options.isOnce ? [] : [createHttpStep(options, parts)]),
    {
      name: 'notifications',
      async start() {
        const count = [...config.jobs.values()].filter((job) => job.notify !== undefined).length;
        return { detail: `${count} jobs tell how they end`, stop: () => notifications.stop() };
      },
    },
    {
      name: 'dispatcher',
      async start() {
        const left = await adoptTasks(options);
        const dispatcher = startNodeDispatcher(options, notifications, onError);
        parts.dispatcher = dispatcher;
        for (const task of left) takeOn(dispatcher, task, options, notifications);
        const adopted = left.length === 0 ? '' : `, ${plural(left.length, 'task')} adopted`;
        return {
          detail: `at most ${settings.maxParallel} steps at once${adopted}`,
          stop: () => dispatcher.stop(),
        };
      },
    },
    {
      name: 'adoption',
      async start() {
        const adoption = startAdoption(options, onError, (task) => {
          if (parts.dispatcher !== undefined) takeOn(parts.dispatcher, task, options, notifications);
        });
        return {
          detail: `looks for orphaned tasks every ${settings.heartbeatIntervalMs} ms`,
          stop: () => adoption.stop(),
        };
      },
    },
    {
      name: 'timed jobs',
      async start() {
        // A tick of the loop would take the place of the single one, whose outcome is what counts.
        if (!options.isOnce) timedJobs.start();
        const count = schedulesOf(config.jobs).length;
        const ticks = options.isOnce ? 'one tick' : `a tick every ${settings.timedJobsIntervalMs} ms`;
        return {
          detail: `${ticks}, ${count} schedules`,
          async stop() {
            await timedJobs.stop();
            await watchers.stop();
            // Nothing is planned here any more: another node may lead while running steps are waited for.
            await parts.leader?.stop();
          },
        };
      },
    },
  ];
  const started = await startInOrder(steps, (name, detail) => {
    parts.checklist.push({ name, detail });
    options.onStarted(name, detail);
  });
  parts.isStarted = true;
  await parts.heartbeat?.beatNow();
  return {
    async runOnce() {
      const { leader } = parts;
      if (leader !== undefined)
        await untilMayPlan({ leader, store, settings, clock: io.clock, stopping: options.stopping });
      const tick = await timedJobs.runTick('manual');
      await parts.dispatcher?.drained();
      return tick;
    },
    stop: () => started.stop(),
  };
}

/** A single pass has nobody to talk to; its exit code is its answer. */
function createHttpStep(options: DaemonOptions, parts: DaemonParts): StartStep {
  return {
    name: 'http api',
    async start() {
      // Loaded here, because no other command needs it.
      const { startHttpApi } = await import('./http-api.ts');
      const api = await startHttpApi(options, parts);
      parts.apiUrl = api.url;
      return {
        detail: `${api.url}, token in ${options.config.settings.sharedToken === '' ? options.config.settings.sharedTokenFile : 'the settings'}`,
        stop: () => api.stop(),
      };
    },
  };
}

interface NodeTimedJobs {
  readonly timedJobs: ReturnType<typeof createTimedJobs>;
  readonly watchers: Watchers;
}

function createNodeTimedJobs(
  options: DaemonOptions,
  parts: DaemonParts,
  lostAttempts: Runner,
): NodeTimedJobs {
  const { config, io, store, logger } = options;
  const { settings } = config;
  const timedJobs = createTimedJobs({
    gate: createGate(options, parts),
    clock: io.clock,
    logger,
    onTick: (report) => options.observer.ticked(report),
    logDir: path.join(settings.logsDir, 'ticks'),
    config: {
      intervalMs: settings.timedJobsIntervalMs,
      maxMessagesPerTick: settings.timedJobsMaxMessagesPerTick,
      maxTasksPerTick: settings.timedJobsMaxTasksPerTick,
      settleDelayMs: settings.timedJobsSettleDelayMs,
    },
  });
  timedJobs.registerRunner(createJobScheduler({ jobs: config.jobs, store, logger }));
  const watchers = createWatchers({
    jobs: config.jobs,
    store,
    rootDir: config.rootDir,
    stateDir: settings.stateDir,
    env: io.env,
    clock: io.clock,
    logger,
  });
  timedJobs.registerRunner(watchers.runner);
  timedJobs.registerRunner(
    createRetention({ store, settings, rootDir: config.rootDir, clock: io.clock, logger }),
  );
  timedJobs.registerRunner(lostAttempts);
  return { timedJobs, watchers };
}

function takeOn(
  dispatcher: Dispatcher,
  { lease, resume }: LeftTask,
  options: DaemonOptions,
  notifications: Notifications,
): void {
  const task = carryOut(lease, options, () => notifications.around(lease, resume, true));
  dispatcher.takeOn(`go on with job ${lease.kind}`, task);
}

/** Carries a task out and tells who wants to know, also when it could not be. */
async function carryOut(
  lease: Lease,
  { onTask, onTaskThrown, observer }: DaemonOptions,
  task: () => Promise<TaskOutcome>,
): Promise<void> {
  let outcome: TaskOutcome | undefined;
  try {
    outcome = await task();
    onTask(outcome);
  } catch (error) {
    onTaskThrown(lease, error);
    throw error;
  } finally {
    observer.taskEnded(lease, outcome);
  }
}

function startNodeDispatcher(
  options: DaemonOptions,
  notifications: Notifications,
  onError: (error: unknown, doing: string) => void,
): Dispatcher {
  const { config, io, store } = options;
  const { settings, jobs } = config;
  return startDispatcher({
    store,
    workerId: settings.nodeId,
    node: settings.nodeId,
    limits: Object.fromEntries([...jobs.values()].map((job) => [job.name, job.concurrency])),
    maxParallel: settings.maxParallel,
    jobLeaseMs: settings.jobLeaseMs,
    clock: io.clock,
    runTask: (lease) =>
      carryOut(lease, options, () => notifications.around(lease, () => runLeasedTask(lease, options), false)),
    onClaimed: (report) => options.observer.claimed(report),
    onError,
  });
}
