/**
 * The runs of tasks, and removing those that are over a limit: for the command, the HTTP API and retention alike.
 * Invariant: no run of a task that has not ended goes, nor one whose result nobody has taken note of.
 */
import path from 'node:path';

import type { Clock } from '@conductor-run/clock';
import type { JobStore } from '@conductor-run/job-store';
import {
  isTerminalStatus,
  listRuns,
  type PruneReport,
  pruneRuns,
  type RetentionPolicy,
} from '@conductor-run/logging';
import { isAcknowledged } from '@conductor-run/worker-runner';

import { allJobs } from './all-jobs.ts';

/** Where runs and their jobs are. */
export interface TaskRunsOptions {
  readonly runsDir: string;
  readonly store: JobStore;
  readonly clock: Clock;
}

/**
 * Removes runs of ended tasks that are over a limit, oldest first.
 *
 * @param options - where
 * @param limits - what may stay
 */
export async function pruneTaskRuns(
  { runsDir, store, clock }: TaskRunsOptions,
  limits: Omit<RetentionPolicy, 'keep'>,
): Promise<PruneReport> {
  const askedAtMs = clock.nowMs();
  // A task's first steps have ended while its last one runs: they belong together.
  const live = await liveTaskIds(store, runsDir);
  return pruneRuns(
    runsDir,
    {
      ...limits,
      keep: ({ paths, meta }) =>
        live.has(paths.taskId) ||
        // Its task may have begun since the live ones were asked for.
        meta.createdAt >= askedAtMs ||
        // Whoever goes on with the task needs the result; without it the step would run again.
        !isAcknowledged(paths),
    },
    { clock },
  );
}

/** Tasks that have not ended: jobs at work, and runs that are under way or cannot be read. */
async function liveTaskIds(store: JobStore, runsDir: string): Promise<ReadonlySet<string>> {
  const running = await allJobs(store, { status: 'running' });
  const { runs, unreadable } = await listRuns(runsDir);
  return new Set([
    ...running.flatMap((job) => (job.runDir === undefined ? [] : [path.basename(job.runDir)])),
    ...runs.filter((run) => !isTerminalStatus(run.state.status)).map((run) => run.paths.taskId),
    ...unreadable.map((run) => run.taskId),
  ]);
}
