/**
 * One node: heartbeat, leadership, ticks, dispatcher, started in this order and stopped in reverse.
 * Invariant: losing leadership stops scheduling, never a running step; a failed start leaves nothing running.
 */
import { randomUUID } from 'node:crypto';
import path from 'node:path';

import { type JobStore, type LeaderLoop, startLeaderLoop } from '@conductor-run/job-store';
import type { AppLogger } from '@conductor-run/logging';
import { createScheduler, createTimedJobs, type Gate, parseSchedule } from '@conductor-run/timed-jobs';

import type { Config } from '../config.ts';
import type { CliIo } from '../io.ts';
import type { TaskOutcome } from '../task.ts';
import { type Dispatcher, startDispatcher } from './dispatcher.ts';
import { startHeartbeat } from './heartbeat.ts';
import { adoptTasks, type LeftTask, runLeasedTask } from './leased-task.ts';
import { lockNode } from './node-lock.ts';
import { createSlotStore } from './slot-store.ts';
import { startInOrder, type StartStep } from './start-order.ts';

/** The name of the one leadership there is: of scheduling. */
export const LEADERSHIP = 'leader';

/** What a daemon works with. */
export interface DaemonOptions {
  readonly config: Config;
  readonly io: CliIo;
  readonly store: JobStore;
  readonly logger: AppLogger;
  /** Told after each thing that was started: the check-list. */
  readonly onStarted: (name: string, detail: string | undefined) => void;
  /** Told after each task. */
  readonly onTask: (outcome: TaskOutcome) => void;
  /** Aborted when running steps are to be ended without waiting for them. */
  readonly hurry: AbortSignal;
}

/** A running daemon; whoever starts it stops it. */
export interface Daemon {
  /** Decides what is due now and resolves when nothing is due and nothing runs. */
  runOnce(): Promise<void>;
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
  const parts: Parts = { leader: undefined, dispatcher: undefined };
  const timedJobs = createNodeTimedJobs(options, parts);

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
          }),
          onError,
        });
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
        const leader = startNodeLeaderLoop(options, () => timedJobs.wake('leadership changed'), onError);
        parts.leader = leader;
        const { leaseTtlMs, leaseRenewDeadlineMs, leaseRetryMs } = settings;
        return {
          detail: `ttl ${leaseTtlMs} ms, renew deadline ${leaseRenewDeadlineMs} ms, retry ${leaseRetryMs} ms`,
          stop: () => leader.stop(),
        };
      },
    },
    {
      name: 'dispatcher',
      async start() {
        const left = await adoptTasks(options);
        const dispatcher = startNodeDispatcher(options, left, onError);
        parts.dispatcher = dispatcher;
        const adopted = left.length === 0 ? '' : `, ${left.length} tasks adopted`;
        return {
          detail: `at most ${settings.maxParallel} steps at once${adopted}`,
          stop: () => dispatcher.stop(),
        };
      },
    },
    {
      name: 'timed jobs',
      async start() {
        timedJobs.start();
        const count = schedulesOf(config).length;
        return {
          detail: `a tick every ${settings.timedJobsIntervalMs} ms, ${count} schedules`,
          stop: async () => void (await timedJobs.stop()),
        };
      },
    },
  ];
  const started = await startInOrder(steps, options.onStarted);
  return {
    async runOnce() {
      await timedJobs.runTick('manual');
      await parts.dispatcher?.drained();
    },
    stop: () => started.stop(),
  };
}

/** What is there once its step has started. */
interface Parts {
  leader: LeaderLoop | undefined;
  dispatcher: Dispatcher | undefined;
}

function createNodeTimedJobs(options: DaemonOptions, parts: Parts): ReturnType<typeof createTimedJobs> {
  const { config, io, store, logger } = options;
  const { settings } = config;
  const timedJobs = createTimedJobs({
    gate: createGate(options, parts),
    clock: io.clock,
    logger,
    logDir: path.join(settings.logsDir, 'ticks'),
    config: {
      intervalMs: settings.timedJobsIntervalMs,
      maxMessagesPerTick: settings.timedJobsMaxMessagesPerTick,
      maxTasksPerTick: settings.timedJobsMaxTasksPerTick,
      settleDelayMs: settings.timedJobsSettleDelayMs,
    },
  });
  timedJobs.registerRunner(
    createScheduler({
      schedules: schedulesOf(config),
      slots: createSlotStore(store, config.jobs),
      runningCount: async (name) => (await store.list({ kind: name, status: 'running' })).jobs.length,
      isPaused: async (name) =>
        (await store.stats()).kinds.some((kind) => kind.kind === name && kind.isPaused),
      logger,
    }),
  );
  return timedJobs;
}

/** Lets a tick happen on the node that leads, while nothing is paused as a whole. */
function createGate({ config, store }: DaemonOptions, parts: Parts): Gate {
  return {
    async schedule(work) {
      const term = parts.leader?.leadingTerm();
      if (term === undefined) return { decision: 'skipped_not_leader' };
      if ((await store.stats()).isPaused) return { decision: 'skipped_system_paused' };
      await work({ controllerId: config.settings.nodeId, host: config.settings.host, term });
      return { decision: 'scheduled' };
    },
  };
}

function startNodeLeaderLoop(
  { config, io, store, logger }: DaemonOptions,
  onLeading: () => void,
  onError: (error: unknown, doing: string) => void,
): LeaderLoop {
  const { settings } = config;
  return startLeaderLoop(store, {
    name: LEADERSHIP,
    // Another start of the same node is another holder: what the first one still has in flight is fenced off.
    holderId: `${settings.nodeId}/${randomUUID()}`,
    host: settings.host,
    ttlMs: settings.leaseTtlMs,
    renewDeadlineMs: settings.leaseRenewDeadlineMs,
    retryMs: settings.leaseRetryMs,
    renewFailureThreshold: settings.renewFailureThreshold,
    clock: io.clock,
    onChange: (state) => {
      logger.info({ ...state }, 'leadership.changed');
      if (state.term !== undefined) onLeading();
    },
    onError: (error) => onError(error, 'renew leadership'),
  });
}

function startNodeDispatcher(
  options: DaemonOptions,
  left: readonly LeftTask[],
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
    runTask: async (lease) => options.onTask(await runLeasedTask(lease, options)),
    left: left.map(({ lease, resume }) => [
      `go on with job ${lease.kind}`,
      resume().then((outcome) => options.onTask(outcome)),
    ]),
    onError,
  });
}

function schedulesOf(config: Config): ReturnType<typeof parseSchedule>[] {
  return [...config.jobs.values()].flatMap((job) =>
    job.schedule === undefined ? [] : [parseSchedule(job.schedule)],
  );
}
