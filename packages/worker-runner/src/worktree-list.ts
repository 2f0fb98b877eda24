/** Lists and prunes work trees. Invariant: pruning goes through `removeWorktree`, so it cannot delete what that refuses to. */
import type { Stats } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { createRealClock } from '@conductor-run/clock';

import { WorkerRunnerError } from './errors.ts';
import { isOutOfReach } from './files.ts';
import { createGit, gitOrThrow } from './git.ts';
import { createHost } from './host.ts';
import { BRANCH_PREFIX, removeWorktree, type WorktreeDeps } from './worktrees.ts';

/** One work tree. */
export interface WorktreeEntry {
  /** Where it is. */
  readonly path: string;
  /** Its commit. */
  readonly head: string;
  /** Its branch; absent when its head is detached. */
  readonly branch?: string;
  /** Whether it was made by `prepareWorktree`. */
  readonly isOurs: boolean;
  /** Whether its directory is gone. */
  readonly isMissing: boolean;
  /** Whether somebody locked it with `git worktree lock`. */
  readonly isLocked: boolean;
  /** Bytes of its files, those of `.git` left out; 0 when it is missing. */
  readonly bytes: number;
  /** How long ago it was made, in ms; 0 when it is missing. */
  readonly ageMs: number;
}

/** Which work trees to list. */
export interface ListWorktreesOptions extends WorktreeDeps {
  /** The repository, absolute. */
  readonly repoRoot: string;
}

/**
 * Lists the work trees of a repository, without its main one. Sizes are measured by walking them; what goes meanwhile or
 * cannot be read counts nothing.
 *
 * @param options - which repository
 * @throws {@link WorkerRunnerError} with code `git-failed`
 */
export async function listWorktrees(options: ListWorktreesOptions): Promise<readonly WorktreeEntry[]> {
  const { repoRoot, clock = createRealClock(), host = createHost() } = options;
  const text = await gitOrThrow(createGit(repoRoot, host.env), ['worktree', 'list', '--porcelain', '-z']);
  const blocks = text.split('\0\0').filter((block) => block !== '');
  const entries: WorktreeEntry[] = [];
  for (const block of blocks.slice(1)) entries.push(await describe(block, clock.nowMs()));
  return entries;
}

/** Which work trees to remove. */
export interface PruneWorktreesOptions extends ListWorktreesOptions {
  /** Only those made longer ago than this, in ms. */
  readonly maxAgeMs: number;
  /**
   * Which to keep whatever their age, such as those of running steps. Asked right before each removal.
   *
   * @defaultValue none
   */
  readonly keep?: (entry: WorktreeEntry) => boolean | Promise<boolean>;
  /**
   * Whether to remove nothing, and only say what would be.
   *
   * @defaultValue false
   */
  readonly dryRun?: boolean;
}

/** What pruning did. */
export interface PruneWorktreesResult {
  /** Removed, or with `dryRun` to be looked at for removal. */
  readonly removed: readonly WorktreeEntry[];
  /** Old enough, and kept all the same: uncommitted, unmerged, locked, or git failed. */
  readonly kept: readonly { readonly entry: WorktreeEntry; readonly why: string }[];
}

/**
 * Removes old work trees of ours that hold nothing which exists nowhere else. One whose directory is away is left to
 * `git worktree prune`: it may be on a disk that comes back.
 *
 * @param options - which
 * @throws {@link WorkerRunnerError} with code `git-failed` when they cannot be listed
 */
export async function pruneWorktrees(options: PruneWorktreesOptions): Promise<PruneWorktreesResult> {
  const { dryRun = false } = options;
  const removed: WorktreeEntry[] = [];
  const kept: { entry: WorktreeEntry; why: string }[] = [];
  for (const entry of await listWorktrees(options)) {
    if (!entry.isOurs || entry.isMissing || entry.ageMs <= options.maxAgeMs) continue;
    if ((await options.keep?.(entry)) === true) continue;
    const why = entry.isLocked ? 'it is locked' : dryRun ? undefined : await tryRemove(options, entry);
    if (why === undefined) removed.push(entry);
    else kept.push({ entry, why });
  }
  return { removed, kept };
}

async function tryRemove(options: PruneWorktreesOptions, entry: WorktreeEntry): Promise<string | undefined> {
  try {
    await removeWorktree({ ...options, path: entry.path });
    return undefined;
  } catch (error) {
    if (error instanceof WorkerRunnerError) return error.message;
    throw error;
  }
}

async function describe(block: string, nowMs: number): Promise<WorktreeEntry> {
  const fields = new Map(
    block.split('\0').map((line): [string, string] => {
      const space = line.indexOf(' ');
      return space < 0 ? [line, ''] : [line.slice(0, space), line.slice(space + 1)];
    }),
  );
  const path = fields.get('worktree') ?? '';
  const branch = fields.get('branch')?.replace(/^refs\/heads\//u, '');
  const made = await lstatIfThere(join(path, '.git'));
  return {
    path,
    head: fields.get('HEAD') ?? '',
    ...(branch === undefined ? {} : { branch }),
    isOurs: branch?.startsWith(BRANCH_PREFIX) === true,
    isMissing: made === undefined,
    isLocked: fields.has('locked'),
    bytes: await sizeOf(path),
    ageMs: made === undefined ? 0 : Math.max(0, Math.round(nowMs - made.mtimeMs)),
  };
}

async function sizeOf(path: string): Promise<number> {
  const entry = await lstatIfThere(path);
  if (entry === undefined) return 0;
  if (!entry.isDirectory()) return entry.size;
  let bytes = 0;
  for (const name of await namesIn(path)) if (name !== '.git') bytes += await sizeOf(join(path, name));
  return bytes;
}

/** A step at work may remove what was there a moment ago. */
async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (isOutOfReach(error)) return [];
    throw error;
  }
}

async function lstatIfThere(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (isOutOfReach(error)) return undefined;
    throw error;
  }
}
