/**
 * Bringing a snapshot back as a new work tree, on its own base or merged onto another.
 * Invariant: the directory holds exactly the recorded tree, or nothing is left of the attempt.
 */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { recordPath, splitNul } from './byte-path.ts';
import { CheckpointError, systemErrorCode } from './errors.ts';
import { EMPTY_TREES } from './fast-import.ts';
import { SNAPSHOT_IDENTITY } from './git-diff.ts';
import type { Git } from './git-process.ts';
import { materialise } from './materialise.ts';
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

/** A snapshot that does not fit onto another commit. Nothing was made. */
export interface ReplayConflicts {
  /** Discriminates the result. */
  readonly outcome: 'conflicts';
  /** The paths both sides changed. */
  readonly conflicts: readonly RecordedPath[];
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
  try {
    const target = await findTarget(bench, record, options);
    if ('outcome' in target) {
      if (!wasThere) await rm(place.directory, { recursive: true });
      return target;
    }
    const head = target.head ?? (await commitEmptyTree(bench));
    await attachWorktree(bench, place, head, branch);
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
    await undo(bench, place, wasThere, branch);
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
    const indexTree = (await obtainIndexTree(bench, record, source)) ?? record.baseTree;
    return { tree, source, baseTree: record.baseTree, indexTree, head: record.baseCommit ?? undefined };
  }
  return mergeOnto(bench, { base: record.baseTree, tree, source }, options.onto);
}

async function mergeOnto(
  bench: Workbench,
  ours: { readonly base: string; readonly tree: string; readonly source: 'ref' | 'patch' },
  onto: string,
): Promise<Target | ReplayConflicts> {
  const { git, repo, view } = bench;
  if (onto.startsWith('-'))
    throw new TypeError(`Cannot replay onto "${onto}": expected a revision, not an option`);
  const resolved = await git.run({
    args: ['rev-parse', `${onto}^{commit}`, `${onto}^{tree}`],
    cwd: repo.topLevel,
    okExitCodes: [0, 128],
  });
  const [head = '', ontoTree = ''] = resolved.stdout.toString('utf8').split('\n');
  if (resolved.exitCode !== 0) {
    throw new CheckpointError(
      'unknown-base',
      `Cannot find "${onto}" in "${repo.topLevel}": ${resolved.stderr.trim()}, expected a commit`,
    );
  }
  // Three commits made for the purpose: their merge base is the snapshot's base, whatever the real history says.
  const commit = async (tree: string, parents: readonly string[]): Promise<string> => {
    const made = await view.run({
      args: ['commit-tree', tree, ...parents.flatMap((parent) => ['-p', parent]), '-m', 'Merge side'],
      env: SNAPSHOT_IDENTITY,
    });
    return made.stdout.toString('utf8').trim();
  };
  const base = await commit(ours.base, []);
  const sides = [await commit(ontoTree, [base]), await commit(ours.tree, [base])];
  const merged = await view.run({
    args: ['merge-tree', '--write-tree', '--name-only', '--no-messages', '-z', ...sides],
    okExitCodes: [0, 1, 128, 129],
  });
  if (merged.exitCode > 1) {
    const code = /usage:|unknown option|unknown rev/.test(merged.stderr) ? 'git-too-old' : 'git-failed';
    throw new CheckpointError(
      code,
      `Cannot merge onto "${onto}": ${merged.stderr.trim().slice(0, 500)}, expected git 2.38 or newer`,
    );
  }
  const [tree = '', ...conflicts] = splitNul(merged.stdout);
  if (merged.exitCode === 1) {
    return { outcome: 'conflicts', conflicts: conflicts.filter((path) => path !== '').map(recordPath) };
  }
  return { tree, baseTree: ontoTree, indexTree: ontoTree, head, source: ours.source };
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
  const tree = EMPTY_TREES[repo.objectFormat === 'sha256' ? 64 : 40] ?? '';
  const made = await git.run({
    args: ['commit-tree', '-m', 'Before the first commit', tree],
    cwd,
    env: SNAPSHOT_IDENTITY,
  });
  return made.stdout.toString('utf8').trim();
}

async function undo(
  bench: Workbench,
  place: Place,
  wasThere: boolean,
  branch: string | undefined,
): Promise<void> {
  const { git, repo } = bench;
  const names = await readdir(place.directory);
  if (place.isGiven) {
    const made = names.filter((name) => name !== '.git');
    await Promise.all(made.map((name) => rm(`${place.directory}/${name}`, { recursive: true, force: true })));
    return;
  }
  const cwd = repo.topLevel;
  const isAttached = names.includes('.git');
  if (isAttached) {
    await git.run({ args: ['worktree', 'remove', '--force', '--', place.directory], cwd });
    if (branch !== undefined) await git.run({ args: ['update-ref', '-d', `refs/heads/${branch}`], cwd });
  }
  if (wasThere) await mkdir(place.directory, { recursive: true });
  else await rm(place.directory, { recursive: true, force: true });
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
