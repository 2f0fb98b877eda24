/**
 * Making an existing work tree equal to a snapshot.
 * Invariant: before anything is changed everything that will go is held by a checkpoint; what none holds is never touched.
 */
import { lstatSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import {
  absolutePath,
  bytePathToText,
  leftOutMatcher,
  parentOf,
  quoteForGit,
  type BytePath,
} from './byte-path.ts';
import { findDamagedBlob } from './blob-check.ts';
import type { CheckpointManager } from './checkpoint-manager.ts';
import { CheckpointError, systemErrorCode } from './errors.ts';
import type { GitDiffOptions } from './git-diff.ts';
import { writeChangedPaths } from './materialise.ts';
import type { CheckpointRecord, GitDiffRecord, LeftOutPath, RecordedPath } from './record.ts';
import {
  obtainTree,
  requireBase,
  requireSnapshot,
  withWorkbench,
  type SnapshotOptions,
  type Workbench,
} from './snapshot-source.ts';
import { GITLINK, listTreeChanges, type TreeChange } from './tree-diff.ts';
import { createWorktreeReader, type WorktreeReader } from './worktree-reader.ts';

/** How to restore. */
export interface RestoreOptions extends SnapshotOptions {
  /** The top of the work tree to change, absolute. Nothing else should be writing to it. */
  readonly worktree: string;
  /** Takes the checkpoint of what is there before anything is changed. */
  readonly manager: Pick<CheckpointManager, 'writeGitDiff'>;
  /** How that checkpoint is taken: `includeIgnored` where the snapshot holds ignored files, larger limits for larger files. */
  readonly capture?: Omit<GitDiffOptions, 'worktree' | 'signal' | 'timeoutMs'>;
}

/** What a restore did. */
export interface RestoredSnapshot {
  /** What was there before; restoring it undoes the restore. */
  readonly before: GitDiffRecord;
  /** Files written. */
  readonly written: number;
  /** Files removed. */
  readonly removed: number;
  /** Paths the snapshot does not hold, left as they are. */
  readonly untouched: readonly LeftOutPath[];
}

/**
 * Makes the files of a work tree equal to a snapshot, tracked and untracked. HEAD, branches and the index stay as they are,
 * ignored files too. Takes a checkpoint first, also when nothing has to change.
 *
 * @throws {@link CheckpointError} with code `would-lose-content` before anything was changed; `restore-incomplete` when the
 * tree changed meanwhile or could not be written, the message names the checkpoint that undoes it; and, before anything was
 * changed, as taking a checkpoint and replaying
 */
export async function restoreCheckpoint(
  record: CheckpointRecord,
  options: RestoreOptions,
): Promise<RestoredSnapshot> {
  const target = requireSnapshot(record);
  const { worktree, manager } = options;
  const before = await manager.writeGitDiff({
    summary: `Before restoring checkpoint ${record.checkpointId}`,
    ...options.capture,
    // What goes now has to be held as it is now.
    readsAll: true,
    worktree,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
  });
  return withWorkbench(options.repo ?? worktree, options, async (bench) => {
    await requireBase(bench, target);
    const { tree } = await obtainTree(bench, target, options.from);
    const isUntouched = leftOutMatcher(target.leftOut);
    const all = await listTreeChanges(bench.view, before.tree, tree, false);
    const changes = all.filter(
      (change) => !isUntouched(change.path) && change.newMode !== GITLINK && change.oldMode !== GITLINK,
    );
    const plan: Plan = {
      bench,
      worktree,
      before,
      tree,
      baseTree: target.baseTree,
      rawPaths: target.rawPaths,
      changes,
    };
    await refuseLosses(plan);
    const env = await stage(plan);
    try {
      await apply(plan, env);
    } catch (error) {
      throw incomplete(plan, error);
    }
    return {
      before,
      written: changes.filter((change) => change.letter !== 'D').length,
      removed: changes.filter((change) => change.letter === 'D').length,
      untouched: target.leftOut,
    };
  });
}

interface Plan {
  readonly bench: Workbench;
  readonly worktree: string;
  readonly before: GitDiffRecord;
  readonly tree: string;
  readonly baseTree: string;
  readonly rawPaths: readonly RecordedPath[];
  readonly changes: readonly TreeChange[];
}

async function refuseLosses(plan: Plan): Promise<void> {
  const { before, changes, worktree } = plan;
  const reader = createWorktreeReader(worktree, plan.bench.repo.objectFormat);
  const isHeldNowhere = leftOutMatcher(before.leftOut);
  const removed = new Set(changes.filter((change) => change.letter === 'D').map((change) => change.path));
  const differing: TreeChange[] = [];
  for (const change of changes) {
    const { path } = change;
    if (isHeldNowhere(path)) throw wouldLose(plan, path);
    const seen = reader.look(path);
    if (seen.kind === 'directory') refuseUnheld(plan, path, removed, worktree);
    else if (change.letter === 'A') requireFree(plan, reader, change, removed);
    else {
      const found = reader.read(path, Number.MAX_SAFE_INTEGER);
      if (found.kind === 'left-out') throw wouldLose(plan, path);
      if (found.kind === 'content' && found.oid !== change.oldOid) differing.push(change);
    }
  }
  await refuseChanged(plan, differing);
}

/**
 * Only content that is still what the checkpoint holds may go, be it clean or captured. Of a clean file it holds what git
 * stores, which other line ends or another encoding turn into the same blob.
 */
async function refuseChanged(plan: Plan, differing: readonly TreeChange[]): Promise<void> {
  const { bench, before, worktree } = plan;
  if (differing.length === 0) return;
  const captured = await listTreeChanges(bench.view, before.baseTree, before.tree, false);
  const capturedPaths = new Set(captured.map((change) => change.path));
  const reader = createWorktreeReader(worktree, bench.repo.objectFormat);
  for (const { path } of differing) {
    if (capturedPaths.has(path) || reader.look(path).kind !== 'file') throw wouldLose(plan, path);
  }
  // Quoted, a name may hold any byte. On one that it cannot read git gives up, and the rest counts as changed.
  const { stdout } = await bench.view.run({
    args: ['hash-object', '--stdin-paths'],
    env: { GIT_WORK_TREE: worktree },
    cwd: worktree,
    input: differing.map(({ path }) => `${quoteForGit(path)}\n`).join(''),
    okExitCodes: [0, 128],
  });
  const oids = stdout.toString('latin1').split('\n');
  const changed = differing.find(({ oldOid }, index) => oids[index] !== oldOid);
  if (changed !== undefined) throw wouldLose(plan, changed.path);
}

/** A path the checkpoint does not have may be written when nothing is there, or the same already. */
function requireFree(
  plan: Plan,
  reader: WorktreeReader,
  change: TreeChange,
  removed: ReadonlySet<BytePath>,
): void {
  const found = reader.read(change.path, Number.MAX_SAFE_INTEGER);
  if (found.kind === 'left-out' || (found.kind === 'content' && found.oid !== change.newOid)) {
    throw wouldLose(plan, change.path);
  }
  for (let parent = parentOf(change.path); parent !== ''; parent = parentOf(parent)) {
    const seen = reader.look(parent);
    if (seen.kind !== 'absent' && seen.kind !== 'directory' && !removed.has(parent))
      throw wouldLose(plan, parent);
  }
}

/** Where a directory has to give way, all that is in it must be going anyway. */
function refuseUnheld(plan: Plan, path: BytePath, removed: ReadonlySet<BytePath>, worktree: string): void {
  for (const entry of readdirSync(absolutePath(worktree, path), {
    withFileTypes: true,
    encoding: 'buffer',
  })) {
    const child = `${path}/${entry.name.toString('latin1')}`;
    if (entry.isDirectory()) refuseUnheld(plan, child, removed, worktree);
    else if (!removed.has(child)) throw wouldLose(plan, child);
  }
}

type CommandEnv = Readonly<Record<string, string>>;

/** Everything that can fail without a work tree fails here: names git refuses, trees and blobs that are gone. */
async function stage(plan: Plan): Promise<CommandEnv> {
  const { bench, worktree, tree, changes } = plan;
  const env = { GIT_WORK_TREE: worktree, GIT_INDEX_FILE: bench.view.indexPath('restore') };
  await bench.view.run({ args: ['read-tree', tree], env, cwd: worktree });
  const wanted = changes.filter((change) => change.letter !== 'D').map((change) => change.newOid);
  const damaged = await findDamagedBlob(bench.view, bench.repo.objectFormat, wanted);
  if (damaged === undefined) return env;
  throw new CheckpointError(
    'snapshot-unavailable',
    `Cannot restore work tree "${worktree}": blob ${damaged} cannot be read from "${bench.repo.topLevel}", expected it whole`,
  );
}

async function apply(plan: Plan, env: CommandEnv): Promise<void> {
  const { bench, worktree, tree, changes } = plan;
  for (const change of changes) if (change.letter === 'D') removePath(worktree, change.path);
  const written = changes.filter((change) => change.letter !== 'D').map((change) => change.path);
  for (const path of written) removeEmptyDirectories(worktree, path);
  await bench.view.run({
    args: ['checkout-index', '--force', '-z', '--stdin'],
    env,
    cwd: worktree,
    input: Buffer.from(written.map((path) => `${path}\0`).join(''), 'latin1'),
  });
  await writeChangedPaths(
    {
      view: bench.view,
      objectFormat: bench.repo.objectFormat,
      directory: worktree,
      tree,
      baseTree: plan.baseTree,
      rawPaths: plan.rawPaths,
    },
    new Set(written),
  );
  requireGone(plan);
}

/** Removes a file and the directories it leaves empty. */
function removePath(worktree: string, path: BytePath): void {
  try {
    unlinkSync(absolutePath(worktree, path));
    for (let parent = parentOf(path); parent !== ''; parent = parentOf(parent)) {
      rmdirSync(absolutePath(worktree, parent));
    }
  } catch (error) {
    // Gone already, or a directory that still holds something.
    if (!IS_DONE.has(systemErrorCode(error) ?? '')) throw error;
  }
}

/** A file can only be written where no directory is; a tree of empty ones holds nothing. */
function removeEmptyDirectories(worktree: string, path: BytePath): void {
  const target = absolutePath(worktree, path);
  if (lstatSync(target, { throwIfNoEntry: false })?.isDirectory() !== true) return;
  for (const name of readdirSync(target, { encoding: 'buffer' })) {
    removeEmptyDirectories(worktree, `${path}/${name.toString('latin1')}`);
  }
  rmdirSync(target);
}

function requireGone(plan: Plan): void {
  const reader = createWorktreeReader(plan.worktree, plan.bench.repo.objectFormat);
  for (const { letter, path } of plan.changes) {
    const isThere = letter === 'D' && !['absent', 'directory'].includes(reader.look(path).kind);
    if (isThere) {
      throw new CheckpointError(
        'restore-incomplete',
        `Cannot restore work tree "${plan.worktree}": path "${bytePathToText(path)}" is there again, expected it gone`,
      );
    }
  }
}

function incomplete(plan: Plan, cause: unknown): unknown {
  if (
    !(cause instanceof Error) ||
    (cause instanceof CheckpointError && cause.code === 'restore-incomplete')
  ) {
    return cause;
  }
  return new CheckpointError(
    'restore-incomplete',
    `Cannot restore work tree "${plan.worktree}": ${cause.message}, after some paths were changed; checkpoint "${plan.before.checkpointId}" holds what was there`,
    { cause },
  );
}

function wouldLose(plan: Plan, path: BytePath): CheckpointError {
  return new CheckpointError(
    'would-lose-content',
    `Cannot restore work tree "${plan.worktree}": path "${bytePathToText(path)}" is in the way and no checkpoint holds it, expected it captured or absent`,
  );
}

const IS_DONE: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ENOTEMPTY', 'EEXIST']);
