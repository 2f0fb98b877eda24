/**
 * Finding a work tree's repository and reading the few settings that decide what its files mean.
 * Invariant: nothing here writes; settings that could run a command are never read.
 */
import { realpath } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname } from 'node:path';
import { CheckpointError } from './errors.ts';
import type { Git } from './git-process.ts';
import { required } from './options.ts';

/** @internal Where everything of one work tree is; absolute paths. */
export interface Repository {
  /** The top of the work tree. */
  readonly topLevel: string;
  readonly gitDir: string;
  readonly commonDir: string;
  readonly objectsDir: string;
  readonly indexFile: string;
  readonly objectFormat: 'sha1' | 'sha256';
  /** Lower-case name → value, only those of {@link CARRIED_SETTINGS}. */
  readonly settings: ReadonlyMap<string, string>;
}

/** @internal Opens the repository whose work tree has its top at `worktree`. */
export async function openRepository(git: Git, worktree: string): Promise<Repository> {
  const path = await reach(worktree);
  await refuseUnsafe(git, path);
  const [located, settings] = await Promise.all([locate(git, path), readSettings(git, path)]);
  if (located.topLevel !== path) {
    throw new CheckpointError(
      'not-a-worktree-root',
      `Cannot open work tree "${path}": the top of its repository is "${located.topLevel}", expected that directory`,
    );
  }
  return { ...located, settings };
}

/** @internal Opens any repository, also a bare one, for its objects and refs; `topLevel` is then the git directory. */
export async function openObjectStore(git: Git, repository: string): Promise<Repository> {
  const repo = await reach(repository);
  const [dirs, settings] = await Promise.all([revParse(git, repo, DIRECTORY_ARGS), readSettings(git, repo)]);
  return { ...toLocation(dirs), topLevel: repo, settings };
}

async function reach(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    throw new CheckpointError(
      'not-a-repository',
      `Cannot open repository "${path}": it cannot be reached, expected a directory`,
      { cause: error },
    );
  }
}

async function locate(git: Git, path: string): Promise<Omit<Repository, 'settings'>> {
  const output = await git.run({
    args: [
      'rev-parse',
      '--path-format=absolute',
      ...DIRECTORY_ARGS,
      '--is-bare-repository',
      '--show-toplevel',
    ],
    cwd: path,
    okExitCodes: [0, 128],
  });
  const lines = output.stdout.toString('utf8').split('\n');
  if (lines[5] === 'true') {
    throw new CheckpointError(
      'bare-repository',
      `Cannot open work tree "${path}": it is a bare repository, expected one with a work tree`,
    );
  }
  if (output.exitCode !== 0) {
    throw new CheckpointError(
      'not-a-repository',
      `Cannot open work tree "${path}": ${output.stderr.trim()}, expected the top of a git work tree`,
    );
  }
  return { ...toLocation(lines), topLevel: required(lines[6], 'the top of the work tree') };
}

async function revParse(git: Git, cwd: string, args: readonly string[]): Promise<string[]> {
  const output = await git.run({
    args: ['rev-parse', '--path-format=absolute', ...args],
    cwd,
    okExitCodes: [0, 128],
  });
  if (output.exitCode !== 0) {
    throw new CheckpointError(
      'not-a-repository',
      `Cannot open repository "${cwd}": ${output.stderr.trim()}, expected a git repository`,
    );
  }
  return output.stdout.toString('utf8').split('\n');
}

function toLocation(lines: readonly string[]): Omit<Repository, 'settings' | 'topLevel'> {
  const [gitDir, commonDir, objectsDir, indexFile, objectFormat] = lines;
  return {
    gitDir: required(gitDir, 'the git directory'),
    commonDir: required(commonDir, 'the common git directory'),
    objectsDir: required(objectsDir, 'the object directory'),
    indexFile: required(indexFile, 'the index file'),
    objectFormat: objectFormat === 'sha256' ? 'sha256' : 'sha1',
  };
}

async function readSettings(git: Git, cwd: string): Promise<ReadonlyMap<string, string>> {
  const { stdout } = await git.run({ args: ['config', '--list', '-z'], cwd, okExitCodes: [0, 1, 128] });
  const settings = new Map<string, string>();
  for (const entry of stdout.toString('utf8').split('\0')) {
    const cut = entry.indexOf('\n');
    const name = cut < 0 ? entry : entry.slice(0, cut);
    // A name without a value means true.
    if (CARRIED_SETTINGS.has(name)) settings.set(name, cut < 0 ? 'true' : entry.slice(cut + 1));
  }
  return settings;
}

/** Snapshots of a whole home or root directory have filled disks for others; no run needs one. */
async function refuseUnsafe(git: Git, path: string): Promise<void> {
  const homes = [git.home, homedir()].filter((home) => home !== undefined);
  const realHomes = await Promise.all(homes.map((home) => realpath(home).catch(() => home)));
  if (path === dirname(path) || realHomes.includes(path)) {
    throw new CheckpointError(
      'unsafe-worktree',
      `Cannot open work tree "${path}": it is the root or the home directory, expected a project's work tree`,
    );
  }
}

const DIRECTORY_ARGS = [
  '--git-dir',
  '--git-common-dir',
  '--git-path',
  'objects',
  '--git-path',
  'index',
  '--show-object-format',
];
/** Settings that change how files are read or matched; none of them can name a command. */
const CARRIED_SETTINGS: ReadonlySet<string> = new Set([
  'core.filemode',
  'core.symlinks',
  'core.ignorecase',
  'core.precomposeunicode',
  'core.autocrlf',
  'core.eol',
  'core.excludesfile',
  'core.attributesfile',
  'core.sparsecheckout',
  'core.sparsecheckoutcone',
  'core.sharedrepository',
  'core.bigfilethreshold',
  'core.compression',
]);
