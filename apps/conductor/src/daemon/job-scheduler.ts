/** The scheduler of the config's jobs: what decides slots in a daemon, and what explains and foretells them anywhere. */
import type { JobStore } from '@conductor-run/job-store';
import type { Logger } from '@conductor-run/logging';
import { createScheduler, parseSchedule, type Schedule, type Scheduler } from '@conductor-run/timed-jobs';

import type { JobDefinition } from '../job-config.ts';
import { createSlotStore } from './slot-store.ts';

/** What a scheduler is made from. */
export interface JobSchedulerOptions {
  /** The jobs as they are now; their schedules are replaced by whoever replaces them. */
  readonly jobs: () => ReadonlyMap<string, JobDefinition>;
  readonly store: JobStore;
  readonly logger?: Logger;
}

/**
 * Makes the scheduler; whoever only asks it never lets it run.
 *
 * @param options - the jobs and where their slots are
 */
export function createJobScheduler({ jobs, store, logger }: JobSchedulerOptions): Scheduler {
  return createScheduler({
    schedules: schedulesOf(jobs()),
    slots: createSlotStore(store, jobs),
    runningCount: async (name) => (await store.list({ kind: name, status: 'running' })).jobs.length,
    isPaused: async (name) => (await store.stats()).kinds.some((kind) => kind.kind === name && kind.isPaused),
    ...(logger !== undefined && { logger }),
  });
}

/** The schedules of the jobs that have one. */
export function schedulesOf(jobs: ReadonlyMap<string, JobDefinition>): readonly Schedule[] {
  return [...jobs.values()].flatMap((job) =>
    job.schedule === undefined ? [] : [parseSchedule(job.schedule)],
  );
}
