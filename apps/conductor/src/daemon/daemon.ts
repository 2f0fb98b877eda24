/**
 * One node: heartbeat, leadership, ticks, dispatcher, started in this order and stopped in reverse.
 * Invariant: losing leadership stops scheduling, never a running step; a failed start leaves nothing running.
 */
import type { Lease, SqliteJobStore } from '@conductor-run/job-store';
import type { AppLogger } from '@conductor-run/logging';
import type { TickResult } from '@conductor-run/timed-jobs';

import type { Config } from '../config.ts';
import { chainLength, isWatched } from '../watch-config.ts';
import type { CliIo } from '../io.ts';
import { LEADERSHIP } from '../leadership.ts';
import { ownProcess } from '../node-state.ts';
import { lockNode } from '../owner-lock.ts';
import type { TaskOutcome } from '../task.ts';
import type { TaskBell } from '../task-bell.ts';
import { plural } from '../terminal/plural.ts';
import { type Dispatcher, startDispatcher } from './dispatcher.ts';
import { startAdoption } from './adoption.ts';
import { startHeartbeat } from './heartbeat.ts';
import { adoptTasks, type LeftTask, runLeasedTask } from './leased-task.ts';
import { createLiveConfig, type Reloaded } from './live-config.ts';
import type { NodeMetrics } from './metrics.ts';
import { startNodeElection } from './node-election.ts';
import { createNodeTimedJobs } from './node-timed-jobs.ts';
import { createNotifications, type Notifications, requireSecrets } from './notifications.ts';
import type { Observer } from './observer.ts';
import {
  describeDispatcher,
  describeNotifications,
  describeTicks,
  redescribe,
  toTold,
} from './told-state.ts';
import type { DaemonParts } from './parts.ts';
import { untilMayPlan } from './single-pass.ts';
import { startInOrder, type StartStep } from './start-order.ts';

/** What a daemon works with. */
export interface DaemonOptions {
  /**
   * The config in use. A reload puts another one here: what belongs to one piece of work reads it once, everything else
   * each time anew. Settings but those of retention and `maxParallel` never change.
   */
  readonly config: Config;
  /** Reads the config as it is now, with the flags and the environment of the start. */
  readonly readConfig: () => Config;
  /** Told after each reload, also of one that was refused. */
  readonly onReloaded: (reloaded: Reloaded) => void;
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
  /** Reads the config again, see `LiveConfig`. */
  reload(): Promise<Reloaded>;
  /** Plans nothing more, claims nothing more, waits for the running tasks, gives leadership up. */
  stop(): Promise<void>;
}

/**
 * Starts a daemon on an open store.
 *
 * @param given - what it works with; the store stays open when it stops
 * @throws Error naming the step that could not be started
 * @throws ConductorError with code `config-invalid` when a webhook's secret has no value
 */
export async function startDaemon(given: DaemonOptions): Promise<Daemon> {
  const { io, store, logger } = given;
  const { settings } = given.config;
  requireSecrets(given.config.jobs, io.env);
  const liveConfig = createLiveConfig({
    config: given.config,
    read: given.readConfig,
    prepare(next) {
      requireSecrets(next.jobs, io.env);
      const useInTicks = ticks.prepare(next);
      return () => {
        useInTicks();
        redescribe(parts, next);
      };
    },
    async onReloaded(reloaded) {
      given.onReloaded(reloaded);
      await parts.heartbeat?.beatNow();
    },
    clock: io.clock,
    logger,
  });
  const options: DaemonOptions = {
    ...given,
    get config() {
      return liveConfig.current();
    },
    observer: {
      ...given.observer,
      taskEnded(lease, outcome) {
        given.observer.taskEnded(lease, outcome);
        if (outcome?.recorded === 'succeeded' && isWatched(options.config.jobs, lease.kind))
          ticks.timedJobs.wake(`job ${lease.kind} succeeded`);
      },
    },
  };
  const onError = (error: unknown, doing: string): void =>
    logger.error({ err: error, doing }, 'daemon.failed');
  const parts: DaemonParts = {
    leader: undefined,
    dispatcher: undefined,
    apiUrl: undefined,
    heartbeat: undefined,
    liveConfig,
    isStarted: false,
    checklist: [{ name: 'job store', detail: settings.store }],
  };
  const notifications = createNotifications(options);
  const ticks = createNodeTimedJobs(options, parts, notifications.runner);
  const { timedJobs } = ticks;
  const identity = ownProcess();

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
          state: () => toTold(options, parts, identity),
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
        return { detail: describeNotifications(options.config), stop: () => notifications.stop() };
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
          detail: `${describeDispatcher(options.config)}${adopted}`,
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
        return {
          detail: options.isOnce ? 'one tick' : describeTicks(options.config),
          async stop() {
            await ticks.stop();
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
      // A job that watches another is due once that one has succeeded, and so on down the line.
      for (let left = chainLength(options.config.jobs); left > 0 && !options.stopping.aborted; left -= 1) {
        await timedJobs.runTick('manual');
        await parts.dispatcher?.drained();
      }
      return tick;
    },
    reload: () => liveConfig.reload(),
    async stop() {
      // Whoever asks while running steps are waited for hears that it drains.
      void parts.heartbeat?.beatNow();
      await started.stop();
    },
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

function takeOn(
  dispatcher: Dispatcher,
  { lease, resume }: LeftTask,
  options: DaemonOptions,
  notifications: Notifications,
): void {
  const job = options.config.jobs.get(lease.kind);
  const task = carryOut(lease, options, () => notifications.around(lease, job, resume, true));
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
  const { io, store } = options;
  const { settings } = options.config;
  return startDispatcher({
    store,
    workerId: settings.nodeId,
    node: settings.nodeId,
    terms() {
      const { config } = options;
      // A task goes on as it was claimed, whatever is reloaded meanwhile.
      const asClaimed: DaemonOptions = { ...options, config };
      return {
        jobs: config.jobs,
        maxParallel: config.settings.maxParallel,
        runTask: (lease) =>
          carryOut(lease, asClaimed, () =>
            notifications.around(
              lease,
              config.jobs.get(lease.kind),
              () => runLeasedTask(lease, asClaimed),
              false,
            ),
          ),
      };
    },
    jobLeaseMs: settings.jobLeaseMs,
    clock: io.clock,
    onClaimed: (report) => options.observer.claimed(report),
    onError,
  });
}
