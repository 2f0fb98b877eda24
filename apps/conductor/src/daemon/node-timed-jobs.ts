/** What a node does in its ticks: schedules, watches, clean-ups, and telling of what nobody else tells. */
import path from 'node:path';

import { createTimedJobs, type Runner, type TimedJobs } from '@conductor-run/timed-jobs';

import type { Config } from '../config.ts';
import type { DaemonOptions } from './daemon.ts';
import { createJobScheduler, schedulesOf } from './job-scheduler.ts';
import { createGate } from './node-election.ts';
import type { DaemonParts } from './parts.ts';
import { createRetention } from './retention.ts';
import { createWatchers } from './watchers.ts';

/** The ticks of a node; whoever starts them stops them. */
export interface NodeTimedJobs {
  readonly timedJobs: TimedJobs;
  /**
   * Judges the schedules of a config.
   *
   * @returns what puts its schedules and watches in force; cursors and what watches have seen stay with their names
   * @throws TimedJobsError for a schedule that cannot be
   */
  prepare(next: Config): () => void;
  /** Plans nothing more, and ends looks under way. */
  stop(): Promise<void>;
}

/**
 * Makes the ticks.
 *
 * @param options - the daemon's
 * @param parts - what there is of it
 * @param lostAttempts - the runner that tells of lost attempts
 */
export function createNodeTimedJobs(
  options: DaemonOptions,
  parts: DaemonParts,
  lostAttempts: Runner,
): NodeTimedJobs {
  const { io, store, logger } = options;
  const { settings, rootDir, jobs } = options.config;
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
  const scheduler = createJobScheduler({ jobs: () => options.config.jobs, store, logger });
  const watchers = createWatchers(jobs, {
    store,
    rootDir,
    stateDir: settings.stateDir,
    env: io.env,
    clock: io.clock,
    logger,
  });
  const retention = createRetention({
    store,
    settings: () => options.config.settings,
    rootDir,
    clock: io.clock,
    logger,
  });
  for (const runner of [scheduler, watchers.runner, retention, lostAttempts])
    timedJobs.registerRunner(runner);
  return {
    timedJobs,
    prepare(next) {
      const schedules = schedulesOf(next.jobs);
      return () => {
        scheduler.replaceSchedules(schedules);
        watchers.replace(next.jobs);
        timedJobs.wake('config reloaded');
      };
    },
    async stop() {
      await timedJobs.stop();
      await watchers.stop();
    },
  };
}
