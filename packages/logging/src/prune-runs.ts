/**
 * Removes old runs by the policy of now.
 * Invariant: a run that has not ended, or cannot be read, is never touched; a run disappears in one step (renamed, then deleted).
 */
import { renameSync } from 'node:fs';
import { lstat, readdir, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { createRealClock, type Clock } from '@conductor-run/clock';

import { hasSystemCode } from './errors.ts';
import {
  listDirectories,
  listRuns,
  listTaskIds,
  nextTurn,
  RUNS_PER_TURN,
  type RunSummary,
  type UnreadableRun,
} from './list-runs.ts';
import { isTerminalStatus } from './run-status.ts';

/** What may stay. A limit left out does not limit. */
export interface RetentionPolicy {
  /** Ended runs older than this go; counted from `finishedAt`, in milliseconds. */
  readonly maxAgeMs?: number;
  /** How many ended runs stay, the newest. */
  readonly maxRuns?: number;
  /** How many bytes of disk ended runs may take together; the oldest go first. */
  readonly maxBytes?: number;
  /** Whether a run is pinned: kept whatever the limits say, and counted by none. */
  readonly keep?: (run: RunSummary) => boolean;
  /**
   * Only say what would go.
   *
   * @defaultValue false
   */
  readonly dryRun?: boolean;
}

/** A run that went, or would. */
export interface PrunedRun {
  /** Its task. */
  readonly taskId: string;
  /** Its id. */
  readonly runId: string;
  /** The limit that it was over; the first of age, number and size. */
  readonly reason: 'age' | 'count' | 'size';
  /** The disk space it took, in bytes. */
  readonly bytes: number;
}

/** What `pruneRuns` did. */
export interface PruneReport {
  /** Oldest first. */
  readonly removed: readonly PrunedRun[];
  /** The disk space of all of them, in bytes. */
  readonly freedBytes: number;
  /** How many runs stay, live and pinned ones included. */
  readonly keptRuns: number;
  /** Directories that look like runs and cannot be read; left alone. */
  readonly unreadable: readonly UnreadableRun[];
}

/** Where time comes from. */
export interface PruneOptions {
  /**
   * Tells the age of runs.
   *
   * @defaultValue the real clock
   */
  readonly clock?: Clock;
}

/**
 * Removes ended runs that are over a limit, oldest first. Also clears what a crash left behind: half-made and
 * half-deleted directories, the first only when they are an hour old.
 *
 * @param runsDir - the directory that holds all runs
 * @param policy - the limits of now; limits of the past are not remembered
 * @param options - where time comes from
 * @throws RangeError for a negative limit; what the system throws when a directory cannot be removed
 */
export async function pruneRuns(
  runsDir: string,
  policy: RetentionPolicy,
  options: PruneOptions = {},
): Promise<PruneReport> {
  const { clock = createRealClock() } = options;
  requireLimits(policy);
  const { runs, unreadable } = await listRuns(runsDir);
  const isPinned = policy.keep ?? ((): boolean => false);
  const ended = runs
    .filter((run) => isTerminalStatus(run.state.status) && !isPinned(run))
    .sort((a, b) => endedAt(b) - endedAt(a));
  const removed = await chooseRuns(ended, policy, clock.nowMs());
  if (policy.dryRun !== true) {
    for (const [index, { run }] of removed.entries()) {
      await removeRun(run);
      if (index % RUNS_PER_TURN === 0) await nextTurn();
    }
    await clearLeftovers(runsDir, clock.nowMs());
  }
  return {
    removed: removed.map(({ pruned }) => pruned),
    freedBytes: removed.reduce((sum, { pruned }) => sum + pruned.bytes, 0),
    keptRuns: runs.length - removed.length,
    unreadable,
  };
}

interface ChosenRun {
  readonly run: RunSummary;
  readonly pruned: PrunedRun;
}

/** Goes from the newest to the oldest and keeps what fits; returns the rest, oldest first. */
async function chooseRuns(
  newestFirst: readonly RunSummary[],
  { maxAgeMs = Infinity, maxRuns = Infinity, maxBytes = Infinity }: RetentionPolicy,
  nowMs: number,
): Promise<readonly ChosenRun[]> {
  const chosen: ChosenRun[] = [];
  let keptRuns = 0;
  let keptBytes = 0;
  let isFull = false;
  for (const run of newestFirst) {
    const isOld = nowMs - endedAt(run) > maxAgeMs;
    const isOne = keptRuns >= maxRuns;
    // Sizes cost a look at every file: only where they are needed.
    const bytes = isOld || isOne || Number.isFinite(maxBytes) ? await diskBytes(run.paths.runDir) : 0;
    // Once a run did not fit, no older one stays: what is kept is what is newest.
    isFull ||= keptBytes + bytes > maxBytes;
    if (!isOld && !isOne && !isFull) {
      keptRuns += 1;
      keptBytes += bytes;
      continue;
    }
    const reason = isOld ? 'age' : isOne ? 'count' : 'size';
    const { taskId, runId } = run.paths;
    chosen.push({ run, pruned: { taskId, runId, reason, bytes } });
  }
  return chosen.toReversed();
}

async function removeRun(run: RunSummary): Promise<void> {
  const { runDir, runId } = run.paths;
  const taskDir = dirname(runDir);
  const trashDir = join(taskDir, `${TRASH_PREFIX}${runId}`);
  await rm(trashDir, { recursive: true, force: true });
  renameSync(runDir, trashDir);
  await rm(trashDir, { recursive: true, force: true });
  await removeIfEmpty(taskDir);
}

async function clearLeftovers(runsDir: string, nowMs: number): Promise<void> {
  for (const taskId of await listTaskIds(runsDir)) {
    const taskDir = join(runsDir, taskId);
    const names = await listDirectories(
      taskDir,
      ({ name }) => name.startsWith(TRASH_PREFIX) || name.startsWith('.tmp-'),
    );
    for (const name of names) {
      const path = join(taskDir, name);
      // A half-made directory may belong to a `createRun` at work; one an hour old does not.
      const isTrash = name.startsWith(TRASH_PREFIX);
      const isStale = isTrash || nowMs - (await lstat(path)).mtimeMs > STALE_MS;
      if (isStale) await rm(path, { recursive: true, force: true });
    }
    if (names.length > 0) await removeIfEmpty(taskDir);
  }
}

async function removeIfEmpty(path: string): Promise<void> {
  try {
    await rmdir(path);
  } catch (error) {
    if (hasSystemCode(error, 'ENOTEMPTY') || hasSystemCode(error, 'EEXIST') || hasSystemCode(error, 'ENOENT'))
      return;
    throw error;
  }
}

/** The blocks a tree takes, which for a log with a gap is less than its size. */
async function diskBytes(path: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(path, { withFileTypes: true })) {
    const child = join(path, entry.name);
    if (entry.isDirectory()) bytes += await diskBytes(child);
    else bytes += (await lstat(child)).blocks * BLOCK_BYTES;
  }
  return bytes;
}

function endedAt({ state, meta }: RunSummary): number {
  return state.finishedAt ?? meta.createdAt;
}

function requireLimits(policy: RetentionPolicy): void {
  for (const name of ['maxAgeMs', 'maxRuns', 'maxBytes'] as const) {
    const value = policy[name] ?? 0;
    if (Number.isNaN(value) || value < 0) {
      throw new RangeError(`Cannot prune runs with ${name} "${value}": expected a number of at least 0`);
    }
  }
}

const TRASH_PREFIX = '.trash-';
const STALE_MS = 3_600_000;
/** The unit of `stat.blocks`, whatever the file system's own block size is. */
const BLOCK_BYTES = 512;
