/** Finds the repository a folder belongs to. The only git call of the app; everything else goes through the packages. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { ConductorError } from './errors.ts';

/** A folder inside a git work tree. */
export interface GitPlace {
  /** Top of the work tree, absolute. */
  readonly repoRoot: string;
  /** The commit HEAD points at; `undefined` before the first commit. */
  readonly headCommit: string | undefined;
}

/**
 * Asks git where `folder` is.
 *
 * @param folder - absolute path
 * @returns `undefined` outside a work tree, in a bare repository, or without git
 */
export async function findGitPlace(folder: string): Promise<GitPlace | undefined> {
  const repoRoot = await revParse(folder, '--show-toplevel');
  if (repoRoot === undefined || repoRoot === '') return undefined;
  return { repoRoot, headCommit: await revParse(folder, '--verify', '--quiet', 'HEAD^{commit}') };
}

/**
 * Why `findGitPlace` found none.
 *
 * @param what - what could not be done, `Cannot <verb> <thing>`
 * @param folder - where it looked
 * @param hint - what to do when git is there and a repository is not
 * @returns an error with code `git-missing` or `not-a-repository`
 */
export async function noGitPlace(what: string, folder: string, hint: string): Promise<ConductorError> {
  if (await hasGit()) {
    const message = `${what}: "${folder}" is not in a git repository, expected one`;
    return new ConductorError('not-a-repository', message, { hint });
  }
  return new ConductorError('git-missing', `${what}: there is no git on PATH`, {
    hint: 'Install git 2.38 or newer, or mend PATH.',
  });
}

async function hasGit(): Promise<boolean> {
  try {
    await run('git', ['--version']);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}

async function revParse(folder: string, ...args: readonly string[]): Promise<string | undefined> {
  try {
    const { stdout } = await run('git', ['rev-parse', ...args], { cwd: folder, env: gitEnvironment() });
    return stdout.trimEnd();
  } catch (error) {
    // git's own answer "no": not a work tree, no commit yet; or no git on this machine. Both mean: no git here.
    if (error instanceof Error && 'code' in error) return undefined;
    throw error;
  }
}

/** A GIT_DIR left in the environment would answer for another repository. */
function gitEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('GIT_')));
}

const run = promisify(execFile);
