/**
 * The work trees made for tasks: which of them are still needed, and removing those that are not.
 * Invariant: the work tree of a task that has not ended stays, even when it holds nothing.
 */
import { existsSync, realpathSync } from 'node:fs';
import path from 'node:path';

import type { Clock } from '@conductor-run/clock';
import type { JobStore } from '@conductor-run/job-store';
import { isTerminalStatus, listRuns } from '@conductor-run/logging';
import {
  listWorktrees,
  pruneWorktrees,
  type PruneWorktreesResult,
  type WorktreeEntry,
} from '@conductor-run/worker-runner';

import { allJobs } from './all-jobs.ts';
import type { Settings } from './settings.ts';

/** A work tree made for a task. */
export interface TaskWorktree extends WorktreeEntry {
  /** The task it was made for: its folder's name. */
  readonly taskId: string;
  /** Whether that task has not ended. */
  readonly isTaskLive: boolean;
}

/** Where work trees, their runs and their jobs are. */
export interface TaskWorktreesOptions {
  /** Any directory of the repository, absolute. */
  readonly repoRoot: string;
  readonly store: JobStore;
  readonly settings: Pick<Settings, 'worktreesDir' | 'runsDir'>;
  readonly clock: Clock;
}

/**
 * Lists the work trees of tasks, oldest first.
 *
 * @param options - where
 */
export async function listTaskWorktrees(options: TaskWorktreesOptions): Promise<readonly TaskWorktree[]> {
  const { repoRoot, store, settings, clock } = options;
  const worktrees = await listWorktrees({ repoRoot, clock });
  const isHere = isBelow(settings.worktreesDir);
  const found = worktrees.filter(isHere);
  const live = await liveAmong(
    found.map((worktree) => path.basename(worktree.path)),
    store,
    settings.runsDir,
  );
  return found
    .map((worktree) => {
      const taskId = path.basename(worktree.path);
      return { ...worktree, taskId, isTaskLive: live.has(taskId) };
    })
    .toSorted((one, other) => other.ageMs - one.ageMs);
}

/** Those of some tasks that have not ended: jobs at work, and runs that are under way or cannot be read. */
async function liveAmong(
  taskIds: readonly string[],
  store: JobStore,
  runsDir: string,
): Promise<ReadonlySet<string>> {
  const running = await allJobs(store, { status: 'running' });
  const live = new Set(
    running.flatMap((job) => (job.runDir === undefined ? [] : [path.basename(job.runDir)])),
  );
  for (const taskId of taskIds) {
    const { runs, unreadable } = await listRuns(runsDir, { taskId });
    if (unreadable.length > 0 || runs.some((run) => !isTerminalStatus(run.state.status))) live.add(taskId);
  }
  return live;
}

/** Which work trees go. */
export interface WorktreeLimits {
  /** Only those made longer ago than this. */
  readonly maxAgeMs: number;
  /** Only say what would go. */
  readonly dryRun: boolean;
}

/**
 * Removes the work trees of ended tasks that hold nothing anybody could miss.
 *
 * @param options - where
 * @param limits - which
 */
export async function pruneTaskWorktrees(
  options: TaskWorktreesOptions,
  limits: WorktreeLimits,
): Promise<PruneWorktreesResult> {
  const { repoRoot, store, settings, clock } = options;
  const isHere = isBelow(settings.worktreesDir);
  const isLive = async (taskId: string): Promise<boolean> =>
    (await liveAmong([taskId], store, settings.runsDir)).has(taskId);
  return pruneWorktrees({
    repoRoot,
    clock,
    ...limits,
    // Asked for each when its turn has come: a task is with its job before its work tree is made, so none slips through.
    keep: async (worktree) => !isHere(worktree) || (await isLive(path.basename(worktree.path))),
  });
}

/** git names work trees by their real paths. */
function isBelow(folder: string): (worktree: WorktreeEntry) => boolean {
  const real = existsSync(folder) ? realpathSync(folder) : folder;
  return (worktree) => worktree.path.startsWith(real + path.sep);
}
