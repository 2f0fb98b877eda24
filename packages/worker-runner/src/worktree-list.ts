/** The work trees of a repository, with what is worth knowing before one is removed. Reads only. */
import { existsSync, lstatSync, realpathSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { systemCodeOf, WorkerRunnerError } from './errors.ts';
import { mustGit, type RunGit } from './git.ts';

/** A work tree as git lists it. */
export interface WorktreeEntry {
  /** Where it is, absolute. */
  readonly path: string;
  /** The main work tree of the repository it belongs to, absolute. */
  readonly repoRoot: string;
  /** The commit its HEAD is at. */
  readonly head: string;
  /** Its branch, without `refs/heads/`; absent when HEAD is detached. */
  readonly branch?: string;
  /** Whether `git worktree lock` holds it. */
  readonly isLocked: boolean;
  /** Whether its directory is gone. */
  readonly isMissing: boolean;
}

/**
 * Lists the linked work trees of a repository; the main one is not among them.
 *
 * @param git - from `createRunGit`
 * @param repoRoot - any directory of the repository
 */
export async function readWorktrees(git: RunGit, repoRoot: string): Promise<readonly WorktreeEntry[]> {
  const output = await mustGit(git, repoRoot, ['worktree', 'list', '--porcelain', '-z']);
  const [main, ...linked] = output.split('\0\0').filter((block) => block !== '');
  const mainPath = fieldsOf(main ?? '').get('worktree') ?? repoRoot;
  return linked.map((block) => {
    const fields = fieldsOf(block);
    const path = fields.get('worktree') ?? '';
    const branch = fields.get('branch')?.replace(/^refs\/heads\//u, '');
    return {
      path,
      repoRoot: mainPath,
      head: fields.get('HEAD') ?? '',
      ...(branch === undefined ? {} : { branch }),
      isLocked: fields.has('locked'),
      isMissing: !existsSync(path),
    };
  });
}

/**
 * Finds one work tree by its path.
 *
 * @param git - from `createRunGit`
 * @param repoRoot - any directory of the repository
 * @param path - the work tree, also through symbolic links
 * @throws WorkerRunnerError with code `worktree-not-found`
 */
export async function findWorktree(git: RunGit, repoRoot: string, path: string): Promise<WorktreeEntry> {
  const wanted = existsSync(path) ? realpathSync(path) : resolve(path);
  const entry = (await readWorktrees(git, repoRoot)).find((each) => each.path === wanted);
  if (entry !== undefined) return entry;
  throw new WorkerRunnerError(
    'worktree-not-found',
    `Cannot find work tree "${path}": repository "${repoRoot}" has no linked one there, expected one of \`git worktree list\``,
  );
}

/**
 * The bytes a directory takes, symbolic links not followed.
 *
 * @param directory - absolute
 */
export async function sizeOfDirectory(directory: string): Promise<number> {
  let bytes = 0;
  const open = [directory];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const entry of await entriesOf(next)) {
      const path = join(next, entry.name);
      if (entry.isDirectory()) open.push(path);
      else bytes += sizeOfFile(path);
    }
  }
  return bytes;
}

async function entriesOf(directory: string): Promise<readonly { name: string; isDirectory(): boolean }[]> {
  try {
    return await readdir(directory, { withFileTypes: true });
  } catch (error) {
    // Gone or closed to us since it was listed: it counts nothing.
    if (['ENOENT', 'EACCES', 'ENOTDIR'].includes(systemCodeOf(error) ?? '')) return [];
    throw error;
  }
}

function sizeOfFile(path: string): number {
  try {
    return lstatSync(path).size;
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return 0;
    throw error;
  }
}

function fieldsOf(block: string): ReadonlyMap<string, string> {
  return new Map(
    block.split('\0').map((line) => {
      const space = line.indexOf(' ');
      return space === -1 ? [line, ''] : [line.slice(0, space), line.slice(space + 1)];
    }),
  );
}
