/**
 * Work trees: a branch and a directory of its own for each piece of work.
 * Invariant: nothing that exists nowhere else is ever deleted, unless the caller says so by name.
 */
import { existsSync, readdirSync } from 'node:fs';
import { isAbsolute } from 'node:path';

import { createRealClock, type Clock } from '@conductor-run/clock';

import { WorkerRunnerError } from './errors.ts';
import { createGit, gitFailed, gitOrThrow, type Git, type GitAnswer } from './git.ts';
import { createHost, type Host } from './host.ts';
import { runSetup, type SetupCommand } from './worktree-setup.ts';

/** What every call about work trees takes. */
export interface WorktreeDeps {
  /**
   * Where time comes from.
   *
   * @defaultValue the real clock
   */
  readonly clock?: Clock;
  /**
   * The machine.
   *
   * @defaultValue this one
   */
  readonly host?: Host;
}

/** Which work tree to make. */
export interface PrepareWorktreeOptions extends WorktreeDeps {
  /** The repository, or any work tree of it, absolute. */
  readonly repoRoot: string;
  /** The commit, branch or tag it starts from. */
  readonly baseRef: string;
  /** Where it goes, absolute; must not exist, or be empty. */
  readonly path: string;
  /** A plain name; the branch is `conductor/<name>`. */
  readonly name: string;
  /**
   * Commands to run in it, one after the other, such as `npm ci`.
   *
   * @defaultValue none
   */
  readonly setup?: readonly SetupCommand[];
  /**
   * How long one setup command may take, in seconds.
   *
   * @defaultValue 600
   */
  readonly setupTimeoutSec?: number;
}

/** A work tree that was made. */
export interface PreparedWorktree {
  /** Where it is. */
  readonly path: string;
  /** Its branch. */
  readonly branch: string;
  /** The commit it starts from. */
  readonly baseCommit: string;
}

/** Which work tree to remove, and what may be lost with it. */
export interface RemoveWorktreeOptions extends WorktreeDeps {
  /** The repository, absolute. */
  readonly repoRoot: string;
  /** The work tree, absolute. */
  readonly path: string;
  /**
   * Whether changed and untracked files may be lost. Ignored files always are.
   *
   * @defaultValue false
   */
  readonly discardUncommitted?: boolean;
  /**
   * Whether commits may be lost that no other branch, remote branch or tag holds.
   *
   * @defaultValue false
   */
  readonly discardUnmerged?: boolean;
}

/**
 * Makes a work tree on a branch of its own and runs the setup commands. Calls for one repository wait for one another;
 * other processes are met by trying again.
 *
 * @param options - repository, base, path and name
 * @throws {@link WorkerRunnerError} with code `worktree-exists` when the path or the branch is taken, `git-failed` when
 * the base is unknown, `worktree-setup-failed`; nothing is left behind then
 */
export async function prepareWorktree(options: PrepareWorktreeOptions): Promise<PreparedWorktree> {
  const { repoRoot, baseRef, path, name, clock = createRealClock(), host = createHost() } = options;
  requireName(name);
  requireAbsolute(path);
  const git = createGit(repoRoot, host.env);
  const branch = `${BRANCH_PREFIX}${name}`;
  const resolved = await gitOrThrow(git, [
    'rev-parse',
    '--verify',
    '--end-of-options',
    `${baseRef}^{commit}`,
  ]);
  const baseCommit = resolved.trim();
  if (existsSync(path) && readdirSync(path).length > 0) throw exists('path', path);

  const args = ['worktree', 'add', '--no-track', '-b', branch, '--', path, baseCommit];
  const repository = (
    await gitOrThrow(git, ['rev-parse', '--path-format=absolute', '--git-common-dir'])
  ).trim();
  const answer = await inTurn(repository, () => retryLocked(git, args, clock));
  if (answer.exitCode !== 0) {
    if (/already exists|already used|already checked out/u.test(answer.stderr))
      throw exists('branch', branch);
    throw gitFailed(args, answer.stderr.trim());
  }
  try {
    for (const command of options.setup ?? []) {
      await runSetup(command, {
        path,
        host,
        clock,
        timeoutSec: options.setupTimeoutSec ?? DEFAULT_SETUP_SEC,
      });
    }
  } catch (error) {
    await inTurn(repository, () => discard(git, path, branch, baseCommit));
    throw error;
  }
  return { path, branch, baseCommit };
}

/**
 * Removes a work tree, and its branch if it is one of ours.
 *
 * @param options - which, and what may be lost
 * @throws {@link WorkerRunnerError} with code `worktree-not-found`, `worktree-dirty`, `worktree-unmerged`, or `git-failed`
 */
export async function removeWorktree(options: RemoveWorktreeOptions): Promise<void> {
  const { repoRoot, path, host = createHost(), clock = createRealClock() } = options;
  const git = createGit(repoRoot, host.env);
  const repository = (
    await gitOrThrow(git, ['rev-parse', '--path-format=absolute', '--git-common-dir'])
  ).trim();
  if (!existsSync(path)) throw notFound(path);
  const own = createGit(path, host.env);
  const head = (await gitOrThrow(own, ['rev-parse', 'HEAD'])).trim();
  const branch = (await own(['symbolic-ref', '--short', '-q', 'HEAD'])).stdout.trim();
  if (options.discardUncommitted !== true) await requireClean(own, path);
  if (options.discardUnmerged !== true) await requireMerged(git, path, head, branch);
  const force = options.discardUncommitted === true ? ['--force'] : [];
  await inTurn(repository, async () => {
    // Without --force git looks once more itself: a file written since our look is not lost.
    const answer = await retryLocked(git, ['worktree', 'remove', ...force, '--', path], clock);
    if (answer.exitCode !== 0) {
      if (/contains modified or untracked files/u.test(answer.stderr))
        throw dirty(path, 'it changed just now');
      throw gitFailed(['worktree', 'remove', path], answer.stderr.trim());
    }
    if (!branch.startsWith(BRANCH_PREFIX)) return;
    // Only if it still points to what was looked at.
    await gitOrThrow(git, ['update-ref', '-d', `refs/heads/${branch}`, head]);
  });
}

async function requireClean(own: Git, path: string): Promise<void> {
  const status = await gitOrThrow(own, [
    'status',
    '--porcelain=v1',
    '-z',
    '--untracked-files=all',
    '--ignore-submodules=none',
  ]);
  if (status === '') return;
  const names = status.split('\0').filter((line) => line !== '');
  throw dirty(path, `${names.length} changed or untracked files, the first is "${names[0]?.slice(3) ?? ''}"`);
}

async function requireMerged(git: Git, path: string, head: string, branch: string): Promise<void> {
  const exclude = branch === '' ? [] : [`--exclude=${branch}`];
  const args = ['rev-list', '--count', head, '--not', ...exclude, '--branches', '--remotes', '--tags'];
  const count = Number(await gitOrThrow(git, args));
  if (count === 0) return;
  throw new WorkerRunnerError(
    'worktree-unmerged',
    `Cannot remove work tree "${path}": ${count} commits are on no other branch or tag, expected them to be merged`,
  );
}

/** For a work tree that we made a moment ago and could not set up. */
async function discard(git: Git, path: string, branch: string, baseCommit: string): Promise<GitAnswer> {
  await git(['worktree', 'remove', '--force', '--', path]);
  return git(['update-ref', '-d', `refs/heads/${branch}`, baseCommit]);
}

/** One at a time for each repository of this process. */
function inTurn<T>(repository: string, work: () => Promise<T>): Promise<T> {
  const before = turnByRepository.get(repository) ?? Promise.resolve();
  const turn = before.then(work, work);
  turnByRepository.set(repository, turn);
  return turn;
}

/** Another process may hold one of git's lock files for a moment. */
async function retryLocked(git: Git, args: readonly string[], clock: Clock): Promise<GitAnswer> {
  const untilMs = clock.monotonicMs() + LOCK_PATIENCE_MS;
  for (;;) {
    const answer = await git(args);
    const isLocked =
      answer.exitCode !== 0 && /\.lock'?: File exists|could not lock|cannot lock ref/u.test(answer.stderr);
    if (!isLocked || clock.monotonicMs() > untilMs) return answer;
    await clock.sleep(LOCK_RETRY_MS);
  }
}

function requireName(name: string): void {
  const isPlain =
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/u.test(name) && !name.includes('..') && !/(?:\.|\.lock)$/u.test(name);
  if (isPlain) return;
  throw new TypeError(
    `Cannot prepare work tree "${name}": expected 1 to 100 letters, digits, ".", "_" or "-", first a letter or digit`,
  );
}

function requireAbsolute(path: string): void {
  if (!isAbsolute(path))
    throw new TypeError(`Cannot prepare work tree at "${path}": expected an absolute path`);
}

function exists(what: string, value: string): WorkerRunnerError {
  return new WorkerRunnerError(
    'worktree-exists',
    `Cannot prepare work tree, ${what} "${value}": it exists, expected a new one`,
  );
}

function notFound(path: string): WorkerRunnerError {
  return new WorkerRunnerError('worktree-not-found', `Cannot remove work tree "${path}": it is not there`);
}

function dirty(path: string, words: string): WorkerRunnerError {
  return new WorkerRunnerError(
    'worktree-dirty',
    `Cannot remove work tree "${path}": ${words}, expected everything committed`,
  );
}

/** What branches of ours begin with. */
export const BRANCH_PREFIX = 'conductor/';
const turnByRepository = new Map<string, Promise<unknown>>();
const DEFAULT_SETUP_SEC = 600;
const LOCK_PATIENCE_MS = 10_000;
const LOCK_RETRY_MS = 25;
