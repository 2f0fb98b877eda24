/**
 * The runner that forgets what is old: runs, work trees, attempts, decided slots. Each limit of 0 switches its part off.
 * Invariant: nothing of a task that has not ended goes, nor a work tree that holds what exists nowhere else.
 */
import type { Clock } from '@conductor-run/clock';
import type { JobStore } from '@conductor-run/job-store';
import type { Logger } from '@conductor-run/logging';
import type { Runner, RunnerAnswer } from '@conductor-run/timed-jobs';

import { forgetJobs } from '../forget-jobs.ts';
import { findGitPlace } from '../git-place.ts';
import type { Settings } from '../settings.ts';
import { pruneTaskRuns } from '../task-runs.ts';
import { pruneTaskWorktrees } from '../task-worktrees.ts';

/** What retention works with. */
export interface RetentionOptions {
  readonly store: JobStore;
  /** What may go, as it is now. */
  readonly settings: () => Settings;
  /** The config's folder: its repository's work trees are looked at. */
  readonly rootDir: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Makes the runner.
 *
 * @param options - what may go, and where it is
 */
export function createRetention(options: RetentionOptions): Runner {
  return {
    name: 'retention',
    description: 'Forgets old runs, work trees, attempts and slots',
    everyTicks: options.settings().retentionEveryTicks,
    // A first clean-up of a long history takes its time; the next tick begins without it.
    timeoutMs: 3_600_000,
    run: () => forget({ ...options, settings: options.settings() }),
  };
}

/** One clean-up, with the limits it began with. */
interface CleanUp extends Omit<RetentionOptions, 'settings'> {
  readonly settings: Settings;
}

async function forget(options: CleanUp): Promise<RunnerAnswer> {
  const { logger } = options;
  const counts = {
    runs: await forgetRuns(options),
    worktrees: await forgetWorktrees(options),
    ...(await forgetHistory(options)),
  };
  if (Object.values(counts).every((count) => count === 0)) return 'idle';
  logger.info(counts, 'retention.removed');
  return { result: 'worked', details: counts };
}

async function forgetRuns({ store, settings, clock }: CleanUp): Promise<number> {
  const { runsDir, retainRunsDays, retainRuns, retainBytes } = settings;
  if (retainRunsDays === 0 && retainRuns === 0 && retainBytes === 0) return 0;
  const { removed } = await pruneTaskRuns(
    { runsDir, store, clock },
    {
      ...(retainRunsDays > 0 && { maxAgeMs: retainRunsDays * DAY_MS }),
      ...(retainRuns > 0 && { maxRuns: retainRuns }),
      ...(retainBytes > 0 && { maxBytes: retainBytes }),
    },
  );
  return removed.length;
}

async function forgetWorktrees({ store, settings, rootDir, clock }: CleanUp): Promise<number> {
  if (settings.retainWorktreesDays === 0) return 0;
  const git = await findGitPlace(rootDir);
  if (git === undefined) return 0;
  const { removed } = await pruneTaskWorktrees(
    { repoRoot: git.repoRoot, store, settings, clock },
    { maxAgeMs: settings.retainWorktreesDays * DAY_MS, dryRun: false },
  );
  return removed.length;
}

async function forgetHistory({ store, settings, clock }: CleanUp): Promise<{
  readonly attempts: number;
  readonly slots: number;
  readonly jobs: number;
}> {
  if (settings.retainHistoryDays === 0) return { attempts: 0, slots: 0, jobs: 0 };
  const beforeMs = Math.max(0, clock.nowMs() - settings.retainHistoryDays * DAY_MS);
  const jobs = await forgetJobs(store, beforeMs);
  // The other jobs stay: with them their watermarks would go.
  const { attempts } = await store.prune({ finishedBeforeMs: beforeMs, jobs: false });
  return { attempts, slots: await store.pruneSlots(beforeMs), jobs };
}

const DAY_MS = 86_400_000;
