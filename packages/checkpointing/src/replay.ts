/**
 * Bringing a snapshot back as a new work tree, on its own base or merged onto another.
 * Invariant: the directory holds exactly the recorded tree, or nothing is left of the attempt.
 */
import { mkdir, readdir, readFile, realpath, rm } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { CheckpointError, systemErrorCode, unlessMissing } from './errors.ts';
import { SNAPSHOT_IDENTITY } from './git-diff.ts';
import type { Git } from './git-process.ts';
import { emptyTree } from './git-repository.ts';
import { materialise } from './materialise.ts';
import { mergeOnto, type ReplayConflicts } from './merge.ts';
import { transferObjects } from './object-transfer.ts';
import type { CheckpointRecord, GitDiffRecord, RecordedPath } from './record.ts';
import {
  obtainIndexTree,
  obtainTree,
  requireBase,
  requireSnapshot,
  withWorkbench,
  type SnapshotOptions,
  type Workbench,
} from './snapshot-source.ts';

/** Where to bring a snapshot back to. */
export interface ReplayOptions extends SnapshotOptions {
  /** The new work tree, absolute; must not exist or be empty. Exactly one of this and `emptyWorktree` is given. */
  readonly directory?: string;
  /** A work tree that is there already and holds nothing but `.git`, as `git clone --no-checkout` makes it; its HEAD is moved to the base. */
  readonly emptyWorktree?: string;
  /**
   * Another commit to bring the changes to, by a three-way merge.
   *
   * @defaultValue the snapshot's base
   */
  readonly onto?: string;
}

/** Where to fork to. */
export interface ForkOptions extends SnapshotOptions {
  /** The new work tree, absolute; must not exist or be empty. */
  readonly directory: string;
  /** The new branch; it starts at the base, and the snapshot's changes lie on it uncommitted. */
  readonly branch: string;
}

/** A snapshot that is back. */
export interface ReplayedSnapshot {
  /** Discriminates the result. */
  readonly outcome: 'replayed';
  /** The work tree. */
  readonly worktree: string;
  /** The tree it holds: the recorded one, or the merged one with `onto`. */
  readonly tree: string;
  /** Its HEAD. For a snapshot from before the first commit: a commit of the empty tree. */
  readonly head: string;
  /** Where the tree came from. */
  readonly source: 'ref' | 'patch';
  /** Paths on disk as they are committed, because a filter such as LFS makes the work tree's bytes and filters are not run. */
  readonly filtered: readonly RecordedPath[];
}

/**
 * Brings a snapshot back as a new work tree with the base checked out and the changes uncommitted, as it was captured.
 * Runs no hook and no filter. On failure what it made is removed again.
 *
 * @param record - a git_diff checkpoint
 * @param options - where to, and from what
 * @returns the work tree; with `onto`, possibly the conflicts instead
 * @throws {@link CheckpointError} with code `not-a-snapshot`, `snapshot-unavailable`, `replay-mismatch`,
 * `directory-not-empty`, `not-a-repository`, `unknown-base`, `git-too-old` or `git-failed`
 */
export async function replayCheckpoint(
  record: CheckpointRecord,
  options: ReplayOptions,
): Promise<ReplayedSnapshot | ReplayConflicts> {
  const snapshot = requireSnapshot(record);
  const place = placeOf(options);
  return withWorkbench(repositoryOf(snapshot, options), { ...options, worktree: place.directory }, (bench) =>
    bringBack(bench, snapshot, options, place, undefined),
  );
}

/**
 * Makes a new work tree and a new branch from a snapshot.
 *
 * @throws {@link CheckpointError} with code `branch-exists`, and as {@link replayCheckpoint}
 */
export async function forkCheckpoint(
  record: CheckpointRecord,
  options: ForkOptions,
): Promise<ReplayedSnapshot> {
  const snapshot = requireSnapshot(record);
  const place = placeOf(options);
  return withWorkbench(
    repositoryOf(snapshot, options),
    { ...options, worktree: place.directory },
    async (bench) => {
      await requireFreeBranch(bench, options.branch);
      const result = await bringBack(bench, snapshot, options, place, options.branch);
      if (result.outcome === 'replayed') return result;
      throw new CheckpointError(
        'replay-mismatch',
        'Cannot fork onto the base itself: it conflicts, expected no merge',
      );
    },
  );
}

interface Place {
  readonly directory: string;
  readonly isGiven: boolean;
}

interface Target {
  readonly tree: string;
  readonly baseTree: string;
  readonly indexTree: string;
  readonly rawPaths: readonly RecordedPath[];
  /** `undefined` before the first commit. */
  readonly head: string | undefined;
  readonly source: 'ref' | 'patch';
}

async function bringBack(
  bench: Workbench,
  record: GitDiffRecord,
  options: ReplayOptions,
  place: Place,
  branch: string | undefined,
): Promise<ReplayedSnapshot | ReplayConflicts> {
  await requireBase(bench, record);
  const wasThere = await requireEmpty(place);
  // Git needs a directory to run in, also for what never looks at a work tree.
  await mkdir(place.directory, { recursive: true });
  let madeBranch: string | undefined;
  try {
    const target = await findTarget(bench, record, options);
    if ('outcome' in target) {
      if (!wasThere) await rm(place.directory, { recursive: true });
      return target;
    }
    const head = target.head ?? (await commitEmptyTree(bench));
    // One that was stopped may have made the branch; one that failed has found it made by somebody else.
    await attachWorktree(bench, place, head, branch).catch((error: unknown) => {
      if (!(error instanceof CheckpointError) || error.code === 'git-timeout') madeBranch = branch;
      throw error;
    });
    madeBranch = branch;
    const { filtered } = await materialise({
      view: bench.view,
      objectFormat: bench.repo.objectFormat,
      directory: place.directory,
      ...target,
      indexFile: await indexFileOf(bench.git, place.directory),
    });
    return {
      outcome: 'replayed',
      worktree: place.directory,
      tree: target.tree,
      head,
      source: target.source,
      filtered,
    };
  } catch (error) {
    await undo(bench, place, wasThere, madeBranch);
    throw error;
  }
}

async function findTarget(
  bench: Workbench,
  record: GitDiffRecord,
  options: ReplayOptions,
): Promise<Target | ReplayConflicts> {
  const { tree, source } = await obtainTree(bench, record, options.from);
  if (options.onto === undefined) {
    const staged = await obtainIndexTree(bench, record, source);
    // The new index will name these blobs, so they have to outlive the view.
    if (staged !== undefined) transferObjects(bench.view, bench.repo);
    const indexTree = staged ?? record.baseTree;
    return {
      tree,
      source,
      baseTree: record.baseTree,
      indexTree,
      rawPaths: record.rawPaths,
      head: record.baseCommit ?? undefined,
    };
  }
  const merged = await mergeOnto(bench, record.baseTree, tree, options.onto);
  if ('outcome' in merged) return merged;
  const { ontoTree, head } = merged;
  return { tree: merged.tree, source, baseTree: ontoTree, indexTree: ontoTree, rawPaths: [], head };
}

async function attachWorktree(
  bench: Workbench,
  place: Place,
  head: string,
  branch: string | undefined,
): Promise<void> {
  const { git, repo } = bench;
  if (place.isGiven) {
    await git.run({ args: ['update-ref', '--no-deref', 'HEAD', head], cwd: place.directory });
    return;
  }
  const how = branch === undefined ? ['--detach'] : ['-b', branch];
  await git.run({
    args: [
      'worktree',
      'add',
      '--quiet',
      '--no-checkout',
      '--no-track',
      ...how,
      '--',
      place.directory,
      head,
    ].filter((arg) => branch !== undefined || arg !== '--no-track'),
    cwd: repo.topLevel,
  });
}

/** The commit a snapshot without a base stands on; always the same one. */
async function commitEmptyTree(bench: Workbench): Promise<string> {
  const { git, repo } = bench;
  const cwd = repo.topLevel;
  await git.run({ args: ['hash-object', '-t', 'tree', '-w', '--stdin'], cwd, input: '' });
  const tree = emptyTree(repo.objectFormat);
  const made = await git.run({
    args: ['commit-tree', '-m', 'Before the first commit', tree],
    cwd,
    env: SNAPSHOT_IDENTITY,
  });
  return made.stdout.toString('utf8').trim();
}

/** Takes back what was made, also after an abort: of git only what a signal cannot end is used. */
async function undo(
  bench: Workbench,
  place: Place,
  wasThere: boolean,
  madeBranch: string | undefined,
): Promise<void> {
  const { directory } = place;
  if (place.isGiven) {
    const made = (await readdir(directory)).filter((name) => name !== '.git');
    await Promise.all(made.map((name) => rm(join(directory, name), { recursive: true, force: true })));
    return;
  }
  await rm(directory, { recursive: true, force: true });
  await forgetWorktree(bench.repo.commonDir, directory);
  if (madeBranch !== undefined) {
    const { undoing, repo } = bench;
    await undoing.run({ args: ['update-ref', '-d', `refs/heads/${madeBranch}`], cwd: repo.topLevel });
  }
  if (wasThere) await mkdir(directory, { recursive: true });
}

/** A work tree that git was stopped in the middle of making is one that git itself refuses to remove. */
async function forgetWorktree(commonDir: string, directory: string): Promise<void> {
  const folder = join(commonDir, 'worktrees');
  const link = join(await realpath(dirname(directory)), basename(directory), '.git');
  for (const name of (await unlessMissing(readdir(folder))) ?? []) {
    const registered = await unlessMissing(readFile(join(folder, name, 'gitdir'), 'utf8'));
    if (registered?.trimEnd() === link || registered?.trimEnd() === join(directory, '.git')) {
      await rm(join(folder, name), { recursive: true, force: true });
    }
  }
}

function placeOf(options: Pick<ReplayOptions, 'directory' | 'emptyWorktree'>): Place {
  const { directory, emptyWorktree } = options;
  const path = directory ?? emptyWorktree;
  if (path === undefined || (directory === undefined) === (emptyWorktree === undefined)) {
    throw new TypeError('Cannot replay checkpoint: expected exactly one of "directory" and "emptyWorktree"');
  }
  if (!isAbsolute(path)) {
    throw new TypeError(`Cannot replay checkpoint into "${path}": expected an absolute path`);
  }
  return { directory: path, isGiven: directory === undefined };
}

function repositoryOf(record: GitDiffRecord, options: ReplayOptions): string {
  return options.repo ?? options.emptyWorktree ?? record.repository;
}

/** True when the directory existed. */
async function requireEmpty(place: Place): Promise<boolean> {
  try {
    const names = await readdir(place.directory);
    if (names.length === 0 || (place.isGiven && names.length === 1 && names[0] === '.git')) return true;
    throw new CheckpointError(
      'directory-not-empty',
      `Cannot replay into "${place.directory}": it holds "${names[0]}", expected ${place.isGiven ? 'nothing but .git' : 'an empty directory or none'}`,
    );
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' && !place.isGiven) return false;
    throw error;
  }
}

async function requireFreeBranch(bench: Workbench, branch: string): Promise<void> {
  const { git, repo } = bench;
  const cwd = repo.topLevel;
  const valid = await git.run({
    args: ['check-ref-format', `refs/heads/${branch}`],
    cwd,
    okExitCodes: [0, 1],
  });
  if (valid.exitCode !== 0 || branch.startsWith('-')) {
    throw new TypeError(`Cannot fork to branch "${branch}": expected a valid branch name`);
  }
  const found = await git.run({
    args: ['rev-parse', '--quiet', '--verify', `refs/heads/${branch}`],
    cwd,
    okExitCodes: [0, 1],
  });
  if (found.exitCode === 1) return;
  throw new CheckpointError(
    'branch-exists',
    `Cannot fork to branch "${branch}": it exists, expected a new name`,
  );
}

async function indexFileOf(git: Git, worktree: string): Promise<string> {
  const { stdout } = await git.run({
    args: ['rev-parse', '--path-format=absolute', '--git-path', 'index'],
    cwd: worktree,
  });
  return stdout.toString('utf8').trimEnd();
}
