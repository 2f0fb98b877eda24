/**
 * Listing work trees with their size and age, and removing old ones by the policy of now.
 * Invariant: as `removeWorktree` keeps what would be lost, so does this, whatever the limits say.
 */
import { lstatSync, realpathSync } from 'node:fs';
import { join, sep } from 'node:path';

import { mustGit } from './git.ts';
import {
  type KeptReason,
  reasonToKeep,
  removeWorktree,
  resolveDeps,
  type WorktreeDeps,
} from './worktrees.ts';
import { readWorktrees, sizeOfDirectory, type WorktreeEntry } from './worktree-list.ts';

/** Which work trees to list. */
export interface ListWorktreesOptions extends WorktreeDeps {
  /** Any directory of the repository, absolute. */
  readonly repoRoot: string;
  /**
   * Only those below this directory, absolute.
   *
   * @defaultValue all linked work trees
   */
  readonly root?: string;
}

/** A work tree with its size and age. */
export interface WorktreeSummary extends WorktreeEntry {
  /** Bytes of its files; 0 when it is gone. */
  readonly bytes: number;
  /** When it was made, UTC milliseconds; absent when it is gone. */
  readonly createdAtMs?: number;
  /** Why `pruneWorktrees` would keep it whatever the limits say; absent when it would not. */
  readonly keptFor?: KeptReason;
}

/** Which work trees may go. Without a limit every one goes that holds nothing. */
export interface PruneWorktreesOptions extends ListWorktreesOptions {
  /** Only those made longer ago than this, in ms. */
  readonly olderThanMs?: number;
  /**
   * Only say what would go.
   *
   * @defaultValue false
   */
  readonly dryRun?: boolean;
}

/** What a prune did. */
export interface PruneWorktreesResult {
  /** Those that went, or would. */
  readonly removed: readonly WorktreeSummary[];
  /** Those that stay because they hold something or are too young. */
  readonly kept: readonly WorktreeSummary[];
  /** Bytes of all that went. */
  readonly freedBytes: number;
}

/**
 * Lists the linked work trees of a repository, oldest first.
 *
 * @param options - which
 * @throws {@link WorkerRunnerError} with code `git-failed`
 */
export async function listWorktrees(options: ListWorktreesOptions): Promise<readonly WorktreeSummary[]> {
  const { git } = resolveDeps(options);
  const root = options.root === undefined ? undefined : tryRealPath(options.root);
  const entries = await readWorktrees(git, options.repoRoot);
  const wanted = entries.filter(({ path }) => root === undefined || path.startsWith(root + sep));
  const summaries = await Promise.all(
    wanted.map(async (entry): Promise<WorktreeSummary> => {
      const keptFor = await reasonToKeep(git, entry);
      const kept = keptFor === undefined ? {} : { keptFor };
      if (entry.isMissing) return { ...entry, ...kept, bytes: 0 };
      const createdAtMs = Math.floor(lstatSync(join(entry.path, '.git')).mtimeMs);
      return { ...entry, ...kept, bytes: await sizeOfDirectory(entry.path), createdAtMs };
    }),
  );
  return summaries.sort((a, b) => (a.createdAtMs ?? 0) - (b.createdAtMs ?? 0));
}

/**
 * Removes work trees that hold nothing anybody could miss, and forgets those whose directory is gone.
 *
 * @param options - which
 * @throws {@link WorkerRunnerError} with code `git-failed`
 */
export async function pruneWorktrees(options: PruneWorktreesOptions): Promise<PruneWorktreesResult> {
  const { git, clock } = resolveDeps(options);
  const { olderThanMs = 0, dryRun = false } = options;
  const removed: WorktreeSummary[] = [];
  const kept: WorktreeSummary[] = [];
  for (const worktree of await listWorktrees(options)) {
    const isOld = clock.nowMs() - (worktree.createdAtMs ?? 0) >= olderThanMs;
    const mayGo = isOld && worktree.keptFor === undefined;
    if (mayGo && !dryRun && !worktree.isMissing) {
      const result = await removeWorktree({ ...options, path: worktree.path });
      // It may have changed since it was listed.
      (result.outcome === 'removed' ? removed : kept).push(worktree);
    } else {
      (mayGo ? removed : kept).push(worktree);
    }
  }
  if (!dryRun) await mustGit(git, options.repoRoot, ['worktree', 'prune']);
  return { removed, kept, freedBytes: removed.reduce((sum, { bytes }) => sum + bytes, 0) };
}

function tryRealPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    // No such directory: then nothing lies below it.
    return path;
  }
}
