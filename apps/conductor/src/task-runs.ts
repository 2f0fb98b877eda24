/**
 * The runs of tasks, and removing those that are over a limit: for the command, the HTTP API and retention alike.
 * Invariant: no run of a task that has not ended goes, nor one whose result nobody has taken note of; and none before the refs
 * of its snapshots.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';

import { createCheckpointManager } from '@conductor-run/checkpointing';
import type { Clock } from '@conductor-run/clock';
import type { JobStore } from '@conductor-run/job-store';
import {
  isTerminalStatus,
  listRuns,
  type PruneReport,
  pruneRuns,
  resolveRunPaths,
  type RetentionPolicy,
  type RunPaths,
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
  const chosen = await pruneRuns(
    runsDir,
    {
      ...limits,
      dryRun: true,
      keep: ({ paths, meta }) =>
        live.has(paths.taskId) ||
        // Its task may have begun since the live ones were asked for.
        meta.createdAt >= askedAtMs ||
        // Whoever goes on with the task needs the result; without it the step would run again.
        !isAcknowledged(paths),
    },
    { clock },
  );
  if (limits.dryRun === true) return chosen;
  const doomed = new Set<string>();
  for (const { taskId, runId } of chosen.removed) {
    const paths = resolveRunPaths({ runsDir, taskId, runId });
    if (await dropSnapshots(paths, clock)) doomed.add(runId);
  }
  const { unreadable } = await pruneRuns(
    runsDir,
    { maxRuns: 0, keep: ({ paths }) => !doomed.has(paths.runId) },
    { clock },
  );
  const removed = chosen.removed.filter(({ runId }) => doomed.has(runId));
  return {
    removed,
    freedBytes: removed.reduce((sum, { bytes }) => sum + bytes, 0),
    keptRuns: chosen.keptRuns + chosen.removed.length - removed.length,
    unreadable,
  };
}

/**
 * Removes the refs that keep a run's snapshots: once the run is gone nobody knows of them. False while a repository that is
 * there does not let go of them, because another git holds it, say; the run then stays until the next time.
 */
async function dropSnapshots(paths: RunPaths, clock: Clock): Promise<boolean> {
  const { taskId, runId, checkpointsDir } = paths;
  const manager = createCheckpointManager({
    taskId,
    stepId: 'prune',
    runId,
    directory: checkpointsDir,
    clock,
  });
  try {
    const { unreachable } = await manager.prune({});
    return unreachable.every(({ repository }) => !existsSync(repository));
  } catch {
    // A record that cannot be read, or not be rewritten since the disk is full, must keep neither its run nor the others:
    // room is what is wanted. Its refs may stay behind.
    return true;
  }
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
