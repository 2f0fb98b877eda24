/**
 * Getting a recorded tree back, from the ref that keeps it or from the patch beside the record.
 * Invariant: a tree is handed out only when its hash is the recorded one.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { createRealClock, type Clock } from '@conductor-run/clock';
import { bytePathToText } from './byte-path.ts';
import { findDamagedBlob } from './blob-check.ts';
import { CheckpointError, unlessMissing } from './errors.ts';
import { INDEX_PATCH_NAME, PATCH_NAME } from './git-diff.ts';
import { createGit, type Git } from './git-process.ts';
import { openObjectStore, type Repository } from './git-repository.ts';
import { createView, type GitView } from './git-view.ts';
import type { GitOptions } from './options.ts';
import { describeFile, readCheckpoints, requireRecord } from './record-store.ts';
import type { CheckpointFile, CheckpointRecord, GitDiffRecord } from './record.ts';
import { GITLINK, listTreeChanges, type TreeChange } from './tree-diff.ts';

/** Options of everything that brings snapshots back. */
export interface SnapshotOptions extends GitOptions {
  /**
   * A repository that has the base commit, or its git directory; absolute.
   *
   * @defaultValue the repository the snapshot was taken from
   */
  readonly repo?: string;
  /**
   * Where the tree comes from: the ref in the repository, or the patch beside the record, which needs nothing but the base.
   *
   * @defaultValue the ref where the repository has it, else the patch
   */
  readonly from?: 'ref' | 'patch';
  /**
   * Where time comes from.
   *
   * @defaultValue the real clock
   */
  readonly clock?: Clock;
}

/** @internal An open repository, a view of it, and the git that runs both. */
export interface Workbench {
  readonly git: Git;
  /** The same without the caller's signal, to take back what an abort has left. */
  readonly undoing: Git;
  readonly repo: Repository;
  readonly view: GitView;
}

/** @internal Runs `work` with a view that is gone afterwards. */
export async function withWorkbench<Result>(
  repository: string,
  options: SnapshotOptions & { readonly worktree?: string },
  work: (bench: Workbench) => Promise<Result>,
): Promise<Result> {
  if (!isAbsolute(repository)) {
    throw new TypeError(`Cannot open repository "${repository}": expected an absolute path`);
  }
  const { signal: _signal, clock = createRealClock(), ...unstoppable } = options;
  const git = createGit(options, clock);
  const undoing = createGit(unstoppable, clock);
  const repo = await openObjectStore(git, repository);
  const scratch = await mkdtemp(join(tmpdir(), 'conductor-'));
  try {
    const view = createView(git, repo, {
      directory: join(scratch, 'git'),
      head: undefined,
      conversions: 'checkout',
      ...(options.worktree === undefined ? {} : { worktree: options.worktree }),
    });
    return await work({ git, undoing, repo, view });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** @internal */
export function requireSnapshot(record: CheckpointRecord): GitDiffRecord {
  if (record.type === 'git_diff') return record;
  throw new CheckpointError(
    'not-a-snapshot',
    `Cannot bring back checkpoint "${record.checkpointId}": it is a ${record.type}, expected a git_diff`,
  );
}

/**
 * @internal The tree of a snapshot, present in the view and proven to be the recorded one, with every blob it added to its
 * base; and where it came from.
 */
export function obtainTree(
  bench: Workbench,
  record: GitDiffRecord,
  from: SnapshotOptions['from'],
): Promise<ObtainedTree> {
  return findTree(bench, record, from, findFlawOfTree);
}

/** @internal The same without a look at the blobs, for whoever reads them anyway or only compares names. */
export function obtainTreeAlone(
  bench: Workbench,
  record: GitDiffRecord,
  from: SnapshotOptions['from'],
): Promise<ObtainedTree> {
  return findTree(bench, record, from, () => Promise.resolve(undefined));
}

/** @internal */
export interface ObtainedTree {
  readonly tree: string;
  readonly source: 'ref' | 'patch';
}

type FindFlaw = (bench: Workbench, baseTree: string, tree: string) => Promise<string | undefined>;

async function findTree(
  bench: Workbench,
  record: GitDiffRecord,
  from: SnapshotOptions['from'],
  findFlaw: FindFlaw,
): Promise<ObtainedTree> {
  if (from !== 'patch') {
    const flaw = await findFlawOfRef(bench, record, findFlaw);
    if (flaw === undefined) return { tree: record.tree, source: 'ref' };
    if (from === 'ref') {
      throw new CheckpointError(
        'snapshot-unavailable',
        `Cannot bring back checkpoint "${record.checkpointId}": ref "${record.ref}" ${flaw}, expected tree ${record.tree} with all it holds`,
      );
    }
  }
  const tree = await treeOfPatch(bench, record, PATCH_NAME, record.tree);
  // What is in the repository already git does not write again, be it whole or not.
  const flaw = await findFlaw(bench, record.baseTree, tree);
  if (flaw === undefined) return { tree, source: 'patch' };
  throw new CheckpointError(
    'snapshot-unavailable',
    `Cannot replay checkpoint "${record.checkpointId}" from its patch: repository "${bench.repo.topLevel}" ${flaw} and keeps it from being written, expected it whole or absent`,
  );
}

/** @internal The staged tree of a snapshot that has one. */
export async function obtainIndexTree(
  bench: Workbench,
  record: GitDiffRecord,
  source: 'ref' | 'patch',
): Promise<string | undefined> {
  const tree = record.index?.tree ?? undefined;
  if (tree === undefined) return undefined;
  if (source === 'ref') {
    // The snapshot's second parent keeps it.
    const flaw = await findFlawOfTree(bench, record.baseTree, tree);
    if (flaw === undefined) return tree;
    throw new CheckpointError(
      'snapshot-unavailable',
      `Cannot bring back checkpoint "${record.checkpointId}": the tree of its index ${flaw}, expected it whole`,
    );
  }
  return treeOfPatch(bench, record, INDEX_PATCH_NAME, tree);
}

/** The file that holds a snapshot's patch; for an unchanged one, the earlier record's. */
async function findFile(record: GitDiffRecord, name: string): Promise<CheckpointFile> {
  const { directory, unchangedSince } = record;
  const owner =
    unchangedSince === undefined
      ? record
      : requireRecord(await readCheckpoints(directory), unchangedSince, directory);
  const file = owner.files.find((candidate) => candidate.fileName.endsWith(`/${name}`));
  if (file !== undefined) return file;
  throw new CheckpointError(
    'snapshot-unavailable',
    `Cannot bring back checkpoint "${record.checkpointId}": it has no file "${name}", expected one`,
  );
}

/** @internal */
export async function requireBase(bench: Workbench, record: GitDiffRecord): Promise<void> {
  if (record.baseCommit === null) return;
  const found = await bench.git.run({
    args: ['cat-file', '-e', `${record.baseCommit}^{tree}`],
    cwd: bench.repo.topLevel,
    okExitCodes: [0, 1, 128],
  });
  if (found.exitCode === 0) return;
  throw new CheckpointError(
    'snapshot-unavailable',
    `Cannot bring back checkpoint "${record.checkpointId}": repository "${bench.repo.topLevel}" has no commit ${record.baseCommit}, expected the base`,
  );
}

/** Why the ref does not give the recorded tree; `undefined` when all that the snapshot added to its base can be read. */
async function findFlawOfRef(
  bench: Workbench,
  record: GitDiffRecord,
  findFlaw: FindFlaw,
): Promise<string | undefined> {
  const found = await treeOfRef(bench, record);
  if (found === undefined) return 'does not exist or cannot be read';
  if (found !== record.tree) return `holds tree ${found}`;
  return findFlaw(bench, record.baseTree, found);
}

/** What of a tree cannot be read, among all that it has and the base has not. */
async function findFlawOfTree(
  { view, repo }: Workbench,
  baseTree: string,
  tree: string,
): Promise<string | undefined> {
  let changes: readonly TreeChange[];
  try {
    changes = await listTreeChanges(view, baseTree, tree, false);
  } catch (error) {
    if (!(error instanceof CheckpointError) || error.code !== 'git-failed') throw error;
    return `cannot be read: ${error.message}`;
  }
  const blobs = changes
    .filter(({ letter, newMode }) => letter !== 'D' && newMode !== GITLINK)
    .map(({ newOid }) => newOid);
  const damaged = await findDamagedBlob(view, repo.objectFormat, blobs);
  return damaged === undefined ? undefined : `has lost blob ${damaged}`;
}

async function treeOfRef(bench: Workbench, record: GitDiffRecord): Promise<string | undefined> {
  const { stdout, exitCode } = await bench.git.run({
    args: ['rev-parse', '--quiet', '--verify', `${record.ref}^{tree}`],
    cwd: bench.repo.topLevel,
    okExitCodes: [0, 1, 128],
  });
  return exitCode === 0 ? stdout.toString('utf8').trim() : undefined;
}

async function treeOfPatch(
  bench: Workbench,
  record: GitDiffRecord,
  name: string,
  expected: string,
): Promise<string> {
  const { view } = bench;
  await requireBase(bench, record);
  const file = await findFile(record, name);
  const actual = await unlessMissing(
    describeFile(record.directory, file.fileName, file.format, file.mediaType),
  );
  if (actual === undefined) {
    throw new CheckpointError(
      'snapshot-unavailable',
      `Cannot replay checkpoint "${record.checkpointId}": file "${file.fileName}" is gone, expected it in "${record.directory}"`,
    );
  }
  if (actual.sha256 !== file.sha256) {
    throw new CheckpointError(
      'replay-mismatch',
      `Cannot replay checkpoint "${record.checkpointId}": file "${file.fileName}" has SHA-256 ${actual.sha256}, expected ${file.sha256}`,
    );
  }
  const env = { GIT_INDEX_FILE: view.indexPath(name) };
  await view.run({ args: ['read-tree', record.baseCommit === null ? '--empty' : record.baseTree], env });
  if (file.bytes > 0) {
    await view.run({
      args: ['apply', '--cached', '--binary', '--whitespace=nowarn', join(record.directory, file.fileName)],
      env,
    });
  }
  const tree = (await view.run({ args: ['write-tree'], env })).stdout.toString('utf8').trim();
  if (tree === expected) return tree;
  throw new CheckpointError(
    'replay-mismatch',
    `Cannot replay checkpoint "${record.checkpointId}": the patch gives tree ${tree}${await firstDifference(view, expected, tree)}, expected tree ${expected}`,
  );
}

/** Which path differs first, where the expected tree is at hand to tell. */
async function firstDifference(view: GitView, expected: string, actual: string): Promise<string> {
  const has = await view.run({ args: ['cat-file', '-e', expected], okExitCodes: [0, 1, 128] });
  if (has.exitCode !== 0) return '';
  const [first] = await listTreeChanges(view, expected, actual, false);
  return first === undefined ? '' : `, which differs first at "${bytePathToText(first.path)}"`;
}
