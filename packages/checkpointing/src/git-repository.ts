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

/** @internal What a snapshot is taken against. */
export interface SnapshotBase {
  readonly ref: string;
  /** `undefined` before the first commit. */
  readonly commit: string | undefined;
  readonly tree: string;
  readonly branch: string | undefined;
}

/** @internal */
export interface OpenWorktree {
  readonly repo: Repository;
  readonly base: SnapshotBase;
}

/** @internal Opens the repository whose work tree has its top at `worktree`, and finds the base: one look, so that both fit together. */
export async function openWorktree(git: Git, worktree: string, baseRef: string): Promise<OpenWorktree> {
  if (baseRef.startsWith('-')) {
    throw new TypeError(`Cannot use base "${baseRef}": expected a revision, not an option`);
  }
  const path = await reach(worktree);
  await refuseUnsafe(git, path);
  const [output, settings] = await Promise.all([
    git.run({
      args: [
        'rev-parse',
        '--path-format=absolute',
        ...DIRECTORY_ARGS,
        '--is-bare-repository',
        '--show-toplevel',
        `${baseRef}^{commit}`,
        `${baseRef}^{tree}`,
        '--symbolic-full-name',
        'HEAD',
      ],
      cwd: path,
      okExitCodes: [0, 128],
    }),
    readSettings(git, path),
  ]);
  // What could be answered is printed even when a later question fails.
  const lines = output.stdout.toString('utf8').split('\n');
  const topLevel = requireTopLevel(path, lines, output.stderr);
  const repo = { ...toLocation(lines), topLevel, settings };
  const [commit, tree, head] = lines.slice(7);
  if (output.exitCode === 0 && commit !== undefined && tree !== undefined) {
    return { repo, base: { ref: baseRef, commit, tree, branch: branchName(head) } };
  }
  return { repo, base: await unbornBase(git, repo, baseRef, output.stderr) };
}

/** @internal Opens any repository, also a bare one, for its objects and refs; `topLevel` is then the git directory. */
export async function openObjectStore(git: Git, repository: string): Promise<Repository> {
  const repo = await reach(repository);
  const [dirs, settings] = await Promise.all([revParse(git, repo, DIRECTORY_ARGS), readSettings(git, repo)]);
  return { ...toLocation(dirs), topLevel: repo, settings };
}

/** @internal The name of the tree that holds nothing; git knows it without having it. */
export function emptyTree(objectFormat: Repository['objectFormat']): string {
  return objectFormat === 'sha256'
    ? '6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321'
    : '4b825dc642cb6eb9a060e54bf8d69288fbee4904';
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

function requireTopLevel(path: string, lines: readonly string[], stderr: string): string {
  if (lines[5] === 'true') {
    throw new CheckpointError(
      'bare-repository',
      `Cannot open work tree "${path}": it is a bare repository, expected one with a work tree`,
    );
  }
  const topLevel = lines[6];
  if (topLevel === undefined || topLevel === '') {
    throw new CheckpointError(
      'not-a-repository',
      `Cannot open work tree "${path}": ${stderr.trim()}, expected the top of a git work tree`,
    );
  }
  if (topLevel === path) return topLevel;
  throw new CheckpointError(
    'not-a-worktree-root',
    `Cannot open work tree "${path}": the top of its repository is "${topLevel}", expected that directory`,
  );
}

/** The base of a repository without a commit is the empty tree. */
async function unbornBase(git: Git, repo: Repository, ref: string, stderr: string): Promise<SnapshotBase> {
  const head = await git.run({
    args: ['symbolic-ref', '--quiet', 'HEAD'],
    cwd: repo.topLevel,
    okExitCodes: [0, 1, 128],
  });
  const name = head.stdout.toString('utf8').trim();
  const found = await git.run({
    args: ['rev-parse', '--quiet', '--verify', 'HEAD'],
    cwd: repo.topLevel,
    okExitCodes: [0, 1, 128],
  });
  if (ref !== 'HEAD' || name === '' || found.exitCode === 0) {
    throw new CheckpointError(
      'unknown-base',
      `Cannot find base "${ref}" in "${repo.topLevel}": ${stderr.trim()}, expected a commit`,
    );
  }
  return { ref, commit: undefined, tree: emptyTree(repo.objectFormat), branch: branchName(name) };
}

function branchName(symbolicName: string | undefined): string | undefined {
  return symbolicName?.startsWith('refs/heads/') === true
    ? symbolicName.slice('refs/heads/'.length)
    : undefined;
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
/** @internal Settings that change how files are read or matched; none of them can name a command. */
export const CARRIED_SETTINGS: ReadonlySet<string> = new Set([
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
  'extensions.refstorage',
]);
