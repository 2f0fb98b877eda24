/**
 * Git work trees for tasks: made on a branch of their own, removed only when nothing is lost with them.
 * Invariant: what was not committed, and commits that no other branch, tag or remote holds, are never deleted unasked.
 */
import { mkdirSync, realpathSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

import { type Clock, createRealClock } from '@conductor-run/clock';

import { WorkerRunnerError } from './errors.ts';
import { createRunGit, type GitOutput, mustGit, type RunGit } from './git.ts';
import { createHost, type Host } from './host.ts';
import { runSetupCommand } from './setup-command.ts';
import { passedEnv } from './step-env.ts';
import { findWorktree, type WorktreeEntry } from './worktree-list.ts';

/** What the calls on work trees share. */
export interface WorktreeDeps {
  /**
   * Where the environment for git comes from.
   *
   * @defaultValue this machine and process
   */
  readonly host?: Host;
  /**
   * Where time comes from.
   *
   * @defaultValue the real clock
   */
  readonly clock?: Clock;
}

/** A work tree to make. */
export interface PrepareWorktreeOptions extends WorktreeDeps {
  /** Any directory of the repository, absolute. */
  readonly repoRoot: string;
  /** The commit to start from: a branch, tag or hash. */
  readonly baseRef: string;
  /** Where to make it, absolute; must not exist. Its parent is made. */
  readonly path: string;
  /** The last part of the branch's name, `conductor/<name>`; letters, digits, `.`, `_`, `-`. */
  readonly name: string;
  /** Commands to run in it, one after another, such as `[['npm', 'ci']]`; the work tree goes again when one fails. */
  readonly setup?: readonly (readonly string[])[];
}

/** A work tree that was made. */
export interface PreparedWorktree {
  /** Where it is, absolute and free of symbolic links. */
  readonly path: string;
  /** The branch it is on. */
  readonly branch: string;
  /** The commit it started from, in full. */
  readonly baseCommit: string;
}

/** A work tree to remove. */
export interface RemoveWorktreeOptions extends WorktreeDeps {
  /** Any directory of the repository, absolute. */
  readonly repoRoot: string;
  /** The work tree. */
  readonly path: string;
  /**
   * Whether it goes whatever it holds.
   *
   * @defaultValue false
   */
  readonly force?: boolean;
}

/** Why a work tree stays. */
export type KeptReason = 'uncommitted' | 'unmerged' | 'locked';

/** What a removal came to. */
export type RemoveWorktreeResult =
  | { readonly outcome: 'removed' }
  | {
      readonly outcome: 'kept';
      /**
       * `uncommitted`: changed or untracked files; `unmerged`: commits nothing else holds; `locked`: by `git worktree lock`.
       */
      readonly reason: KeptReason;
    };

/**
 * Adds a work tree on a new branch. Calls for one repository take turns in this process and wait for git's locks.
 *
 * @param options - from where to where
 * @throws {@link WorkerRunnerError} with code `worktree-exists` when the path or the branch is taken, `worktree-setup-failed`,
 * or `git-failed`, also for a base that is no commit; TypeError for a name that is no plain one
 */
export async function prepareWorktree(options: PrepareWorktreeOptions): Promise<PreparedWorktree> {
  const { repoRoot, baseRef, path, name } = options;
  if (!PLAIN_NAME.test(name) || name.includes('..') || name.endsWith('.lock') || name.endsWith('.')) {
    throw new TypeError(
      `Cannot name work tree "${name}": expected letters, digits, ".", "_" and "-", at most 128, starting with a letter or digit`,
    );
  }
  const { git, clock } = resolveDeps(options);
  const branch = `conductor/${name}`;
  const baseCommit = (
    await mustGit(git, repoRoot, ['rev-parse', '--verify', '--end-of-options', `${baseRef}^{commit}`])
  ).trim();
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const add = ['worktree', 'add', '--quiet', '--no-track', '-b', branch, '--', path, baseCommit];
  const added = await inTurn(repoRoot, () => pastLocks(clock, () => git(repoRoot, add)));
  if (added.exitCode !== 0) throw explainAdd(path, branch, added.stderr);
  const realPath = realpathSync(path);
  await setUp(options, git, realPath, branch);
  return { path: realPath, branch, baseCommit };
}

/**
 * Removes a work tree and its branch, unless something would be lost with them.
 *
 * @param options - which
 * @throws {@link WorkerRunnerError} with code `worktree-not-found` when the repository has none there, or `git-failed`
 */
export async function removeWorktree(options: RemoveWorktreeOptions): Promise<RemoveWorktreeResult> {
  const { repoRoot, force = false } = options;
  const { git, clock } = resolveDeps(options);
  const entry = await findWorktree(git, repoRoot, options.path);
  if (!force) {
    const reason = await reasonToKeep(git, entry);
    if (reason !== undefined) return { outcome: 'kept', reason };
  }
  // Without --force git looks once more: what a process wrote meanwhile is not deleted either.
  const remove = ['worktree', 'remove', ...(force ? ['--force', '--force'] : []), '--', entry.path];
  const removed = await inTurn(repoRoot, () => pastLocks(clock, () => git(repoRoot, remove)));
  if (removed.exitCode !== 0) {
    if (!force && /contains modified or untracked files/u.test(removed.stderr)) {
      return { outcome: 'kept', reason: 'uncommitted' };
    }
    throw new WorkerRunnerError(
      'git-failed',
      `Cannot remove work tree "${entry.path}": ${removed.stderr.trim()}, expected git to let it go`,
    );
  }
  if (entry.branch?.startsWith(OWN_BRANCHES) === true) {
    // Only at the commit that was looked at: a branch that moved since keeps its commits.
    await git(repoRoot, ['update-ref', '-d', `refs/heads/${entry.branch}`, entry.head]);
  }
  return { outcome: 'removed' };
}

/** @internal Why it must not go; `undefined` when nothing would be lost. A directory that is gone holds nothing. */
export async function reasonToKeep(git: RunGit, entry: WorktreeEntry): Promise<KeptReason | undefined> {
  if (entry.isLocked) return 'locked';
  if (!entry.isMissing) {
    const status = ['status', '--porcelain', '-z', '--untracked-files=all', '--ignore-submodules=none'];
    if ((await mustGit(git, entry.path, status)) !== '') return 'uncommitted';
  }
  // Commits that would be reachable from nothing once this work tree's HEAD and its own branch are gone.
  const own = entry.branch === undefined ? [] : [`--exclude=${entry.branch}`];
  const others = ['--not', ...own, '--branches', '--tags', '--remotes'];
  const lonely = await mustGit(git, entry.repoRoot, ['rev-list', '--max-count=1', entry.head, ...others]);
  return lonely === '' ? undefined : 'unmerged';
}

/** @internal */
export function resolveDeps({ host = createHost(), clock = createRealClock() }: WorktreeDeps): {
  readonly git: RunGit;
  readonly clock: Clock;
} {
  return { git: createRunGit(host.env), clock };
}

async function setUp(
  options: PrepareWorktreeOptions,
  git: RunGit,
  path: string,
  branch: string,
): Promise<void> {
  const { repoRoot, setup = [], host = createHost() } = options;
  for (const command of setup) {
    const problem = await runSetupCommand(command, path, passedEnv(host.env));
    if (problem === undefined) continue;
    // Nothing of a half-made work tree stays; its branch has no commit of its own yet.
    await git(repoRoot, ['worktree', 'remove', '--force', '--', path]);
    await git(repoRoot, ['branch', '--quiet', '-D', branch]);
    throw new WorkerRunnerError(
      'worktree-setup-failed',
      `Cannot set up work tree "${path}": "${command.join(' ')}" ${problem}, expected exit code 0`,
    );
  }
}

function explainAdd(path: string, branch: string, stderr: string): WorkerRunnerError {
  const words = stderr.trim();
  if (/already exists|already checked out|is already used by/u.test(words)) {
    return new WorkerRunnerError(
      'worktree-exists',
      `Cannot make work tree "${path}" on branch "${branch}": ${words}, expected both to be free`,
    );
  }
  return new WorkerRunnerError(
    'git-failed',
    `Cannot make work tree "${path}": ${words}, expected git to make it`,
  );
}

/** One call at a time per repository: two `worktree add` at once can pick the same administrative directory. */
async function inTurn<Result>(repoRoot: string, work: () => Promise<Result>): Promise<Result> {
  const key = resolve(repoRoot);
  const turn = (turnsByRepository.get(key) ?? Promise.resolve()).then(work);
  const settled = turn.then(
    () => undefined,
    () => undefined,
  );
  turnsByRepository.set(key, settled);
  try {
    return await turn;
  } finally {
    if (turnsByRepository.get(key) === settled) turnsByRepository.delete(key);
  }
}

/** Another process's git may hold a lock for a moment; a lock that stays is git's answer. */
async function pastLocks(clock: Clock, run: () => Promise<GitOutput>): Promise<GitOutput> {
  for (let tryNumber = 1; ; tryNumber += 1) {
    const output = await run();
    const isLocked = output.exitCode !== 0 && /\.lock': File exists|could not lock/u.test(output.stderr);
    if (!isLocked || tryNumber === MAX_TRIES) return output;
    await clock.sleep(RETRY_MS * tryNumber);
  }
}

const turnsByRepository = new Map<string, Promise<void>>();
const OWN_BRANCHES = 'conductor/';
const PLAIN_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/u;
const MAX_TRIES = 20;
const RETRY_MS = 20;
