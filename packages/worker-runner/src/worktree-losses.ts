/**
 * What a work tree holds that exists nowhere else.
 * Invariant: what cannot be told to exist elsewhere counts as lost.
 */
import { copyFileSync, existsSync, lstatSync, rmSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { WorkerRunnerError } from './errors.ts';
import { createGit, gitOrThrow, type Git } from './git.ts';
import type { Host } from './host.ts';

/** A work tree that is to be removed. */
export interface Losses {
  /** Git in its repository. */
  readonly git: Git;
  /** Git in the work tree itself. */
  readonly own: Git;
  readonly path: string;
  readonly host: Host;
}

/** A ref and where it points to. */
export interface Holder {
  readonly name: string;
  /** That of the tag itself for an annotated one. */
  readonly objectName: string;
}

/** @throws {@link WorkerRunnerError} with code `worktree-dirty` for changed or untracked files */
export async function requireClean(losses: Losses): Promise<void> {
  await requireCleanBy(losses, losses.own);
  const hidden = await findHidden(losses);
  if (hidden.length === 0) return;
  // Asked of an index of its own, in which nothing is hidden from git.
  const gitDir = (await gitOrThrow(losses.own, ['rev-parse', '--absolute-git-dir'])).trim();
  const index = join(gitDir, `conductor-index.${losses.host.pid}`);
  const git = createGit(losses.path, losses.host.env, { GIT_INDEX_FILE: index });
  try {
    copyFileSync(join(gitDir, 'index'), index);
    for (const flag of ['--no-assume-unchanged', '--no-skip-worktree'])
      await gitOrThrow(git, ['update-index', flag, '-z', '--stdin'], `${hidden.join('\0')}\0`);
    await requireCleanBy(losses, git);
  } finally {
    rmSync(index, { force: true });
  }
}

async function requireCleanBy({ path }: Losses, git: Git): Promise<void> {
  const names = splitNul(await gitOrThrow(git, STATUS));
  if (names.length === 0) return;
  throw dirty(path, `${names.length} changed or untracked files, the first is "${names[0]?.slice(3) ?? ''}"`);
}

/** Files that git was told not to look at, and that are there: `assume-unchanged` is a small letter, `skip-worktree` an S. */
async function findHidden({ own, path }: Losses): Promise<readonly string[]> {
  const lines = splitNul(await gitOrThrow(own, ['ls-files', '-v', '-z']));
  return lines
    .filter((line) => /^[a-zS] /u.test(line))
    .map((line) => line.slice(2))
    .filter((name) => lstatSync(join(path, name), { throwIfNoEntry: false }) !== undefined);
}

/**
 * Expects the commits of a work tree to be elsewhere too.
 *
 * @param losses - the work tree
 * @param head - its commit
 * @param branch - its branch with `refs/heads/`, which does not count; empty for a detached head
 * @throws {@link WorkerRunnerError} with code `worktree-unmerged`
 */
export async function requireMerged(losses: Losses, head: string, branch: string): Promise<void> {
  if ((await findHolder(losses, head, branch)) !== undefined) return;
  const exclude = branch === '' ? [] : [`--exclude=${branch}`];
  const args = ['rev-list', '--count', head, '--not', ...exclude, '--branches', '--remotes', '--tags'];
  const count = (await gitOrThrow(losses.git, args)).trim();
  throw unmerged(losses.path, `${count} commits are on no other branch or tag`);
}

/** A branch or tag other than `branch` that holds a commit, and with it all that came before. */
export async function findHolder(
  { git }: Losses,
  commit: string,
  branch: string,
): Promise<Holder | undefined> {
  const format = '--format=%(refname) %(objectname) %(symref)';
  const kinds = ['refs/heads', 'refs/remotes', 'refs/tags'];
  const text = await gitOrThrow(git, ['for-each-ref', '--contains', commit, format, ...kinds]);
  for (const line of text.split('\n')) {
    const [name = '', objectName = '', symref = ''] = line.split(' ');
    // A symbolic ref holds nothing itself: it may name the very branch that goes.
    if (name !== '' && name !== branch && symref === '') return { name, objectName };
  }
  return undefined;
}

/**
 * Expects the commits of every repository inside a work tree to be on a remote branch of it: their git directories go
 * with the work tree, whether they lie in it or, for submodules, beside its index.
 *
 * @param losses - the work tree
 * @throws {@link WorkerRunnerError} with code `worktree-unmerged`
 */
export async function requireNoInnerCommits({ own, path, host }: Losses): Promise<void> {
  const gitDir = (await gitOrThrow(own, ['rev-parse', '--absolute-git-dir'])).trim();
  for (const inner of [...(await findGitDirs(join(gitDir, 'modules'))), ...(await findInner(own, path))]) {
    const git = createGit(path, host.env, { GIT_DIR: inner });
    // A repository without a commit has no HEAD to count from.
    const heads = (await git(['rev-parse', '-q', '--verify', 'HEAD'])).exitCode === 0 ? ['HEAD'] : [];
    const args = ['rev-list', '--count', '--ignore-missing', ...heads, '--all', '--not', '--remotes'];
    const count = Number(await gitOrThrow(git, args));
    if (count > 0) throw unmerged(path, `${count} commits of "${inner}" inside it are on no remote branch`);
  }
}

/** The git directories of submodules, and of theirs: a name may have slashes, so they may lie at any depth. */
async function findGitDirs(directory: string): Promise<readonly string[]> {
  if (!existsSync(directory)) return [];
  if (existsSync(join(directory, 'HEAD')) && existsSync(join(directory, 'objects')))
    return [directory, ...(await findGitDirs(join(directory, 'modules')))];
  const found: string[] = [];
  for (const entry of await readdir(directory, { withFileTypes: true }))
    if (entry.isDirectory()) found.push(...(await findGitDirs(join(directory, entry.name))));
  return found;
}

/** Repositories with a `.git` directory of their own: submodules as they were once, and clones that nobody added. */
async function findInner(own: Git, path: string): Promise<readonly string[]> {
  const links = splitNul(await gitOrThrow(own, ['ls-files', '-s', '-z']))
    .filter((line) => line.startsWith(GIT_LINK))
    .map((line) => line.slice(line.indexOf('\t') + 1));
  const clones = splitNul(await gitOrThrow(own, STATUS))
    .filter((line) => line.startsWith('?? ') && line.endsWith('/'))
    .map((line) => line.slice(3));
  return [...links, ...clones]
    .map((name) => join(path, name, '.git'))
    .filter((gitDir) => lstatSync(gitDir, { throwIfNoEntry: false })?.isDirectory() === true);
}

/** The error for a work tree whose files would be lost. */
export function dirty(path: string, words: string): WorkerRunnerError {
  return new WorkerRunnerError(
    'worktree-dirty',
    `Cannot remove work tree "${path}": ${words}, expected everything committed`,
  );
}

function unmerged(path: string, words: string): WorkerRunnerError {
  return new WorkerRunnerError(
    'worktree-unmerged',
    `Cannot remove work tree "${path}": ${words}, expected them to be merged`,
  );
}

function splitNul(text: string): readonly string[] {
  return text.split('\0').filter((part) => part !== '');
}

const STATUS = [
  'status',
  '--porcelain=v1',
  '-z',
  '--untracked-files=all',
  '--ignore-submodules=none',
] as const;
/** The mode of a submodule in the index. */
const GIT_LINK = '160000 ';
