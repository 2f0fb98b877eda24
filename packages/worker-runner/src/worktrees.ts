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
import {
  dirty,
  findHolder,
  requireClean,
  requireMerged,
  requireNoInnerCommits,
  type Losses,
} from './worktree-losses.ts';
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
   * Whether changed and untracked files may be lost. Ignored files always are. Without `discardUnmerged` it still refuses
   * when a repository inside, such as a submodule, has commits that are on no remote branch.
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
    if (/' exists; cannot create/u.test(answer.stderr))
      throw exists('branch', branch, 'no branch in the way of "conductor/<name>", such as "conductor"');
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
  const losses = { git, own: createGit(path, host.env), path, host };
  if (options.discardUncommitted !== true) await requireClean(losses);
  else if (options.discardUnmerged !== true) await requireNoInnerCommits(losses);
  const force = options.discardUncommitted === true ? ['--force'] : [];
  await inTurn(repository, async () => {
    const head = (await gitOrThrow(losses.own, ['rev-parse', 'HEAD'])).trim();
    const branch = (await losses.own(['symbolic-ref', '-q', 'HEAD'])).stdout.trim();
    // Asked when it is our turn: two branches at one commit each have it from the other.
    if (options.discardUnmerged !== true) await requireMerged(losses, head, branch);
    // Without --force git looks once more itself: a file written since our look is not lost.
    const answer = await retryLocked(git, ['worktree', 'remove', ...force, '--', path], clock);
    if (answer.exitCode !== 0) {
      if (/contains modified or untracked files/u.test(answer.stderr))
        throw dirty(path, 'it changed just now');
      throw gitFailed(['worktree', 'remove', path], answer.stderr.trim());
    }
    if (!branch.startsWith(`refs/heads/${BRANCH_PREFIX}`)) return;
    await deleteBranch(losses, { branch, head, clock, isLossAllowed: options.discardUnmerged === true });
  });
}

/**
 * In one transaction with a look at the branch that holds the same commits: another process that deletes that one at
 * this moment, relying on ours, fails or makes us fail.
 */
async function deleteBranch(losses: Losses, deletion: BranchDeletion): Promise<void> {
  const { branch, head, clock, isLossAllowed } = deletion;
  for (let tries = 1; ; tries += 1) {
    const holder = isLossAllowed ? undefined : await findHolder(losses, head, branch);
    // The work tree was clean and is gone; its commits are not.
    if (holder === undefined && !isLossAllowed) throw kept(losses.path, branch);
    const verify = holder === undefined ? '' : `verify ${holder.name} ${holder.objectName}\n`;
    // Only if it still points to what was looked at.
    const args = ['update-ref', '--stdin'];
    const answer = await retryLocked(losses.git, args, clock, `${verify}delete ${branch} ${head}\n`);
    if (answer.exitCode === 0) return;
    // The holder has moved on, and may still hold them; or our own branch has, and is kept.
    if (tries === MAX_TRIES) throw gitFailed(args, answer.stderr.trim());
  }
}

interface BranchDeletion {
  readonly branch: string;
  readonly head: string;
  readonly clock: Clock;
  readonly isLossAllowed: boolean;
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
async function retryLocked(
  git: Git,
  args: readonly string[],
  clock: Clock,
  input?: string,
): Promise<GitAnswer> {
  const untilMs = clock.monotonicMs() + LOCK_PATIENCE_MS;
  for (;;) {
    const answer = await git(args, input);
    const isLocked =
      answer.exitCode !== 0 &&
      /\.lock'?: File exists|could not lock|cannot lock ref/u.test(answer.stderr) &&
      !WILL_NOT_PASS.test(answer.stderr);
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

function exists(what: string, value: string, expected?: string): WorkerRunnerError {
  const words = expected === undefined ? 'it exists, expected a new one' : `expected ${expected}`;
  return new WorkerRunnerError('worktree-exists', `Cannot prepare work tree, ${what} "${value}": ${words}`);
}

function kept(path: string, branch: string): WorkerRunnerError {
  return new WorkerRunnerError(
    'worktree-unmerged',
    `Cannot delete "${branch}" of work tree "${path}", which is removed: what held its commits is gone, expected them to be merged`,
  );
}

function notFound(path: string): WorkerRunnerError {
  return new WorkerRunnerError('worktree-not-found', `Cannot remove work tree "${path}": it is not there`);
}

/** What branches of ours begin with. */
export const BRANCH_PREFIX = 'conductor/';
const turnByRepository = new Map<string, Promise<unknown>>();
const DEFAULT_SETUP_SEC = 600;
const MAX_TRIES = 5;
/** A ref that is in the way of ours, or is not where it was: no lock that somebody holds for a moment. */
const WILL_NOT_PASS = /' exists; cannot create|but expected|unable to resolve reference/u;
const LOCK_PATIENCE_MS = 10_000;
const LOCK_RETRY_MS = 25;
