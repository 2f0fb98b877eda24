/**
 * Capturing a work tree: status, read, import, ref. Nothing of the user's is written but objects and one ref.
 * Invariant: objects reach the repository only after the whole snapshot was built and allowed.
 */
import { recordPath, type BytePath } from './byte-path.ts';
import {
  fingerprintOf,
  importChanges,
  lookAtChanges,
  type CaptureLimits,
  type ChangeContext,
  type Changes,
  type KnownFile,
  type ReadOutcome,
} from './changes.ts';
import { CheckpointError } from './errors.ts';
import { EMPTY_TREES, startTreeImport, type ImportedTree, type TreeImport } from './fast-import.ts';
import type { Git } from './git-process.ts';
import type { Repository } from './git-repository.ts';
import type { StatusEntry } from './git-status.ts';
import type { GitView } from './git-view.ts';
import type { Redactor } from './options.ts';
import type { LeftOutPath, RecordedPath } from './record.ts';
import { lookAround, type SurroundingsMemory } from './surroundings.ts';
import { createWorktreeReader } from './worktree-reader.ts';

/** @internal What a snapshot is taken against. */
export interface SnapshotBase {
  readonly ref: string;
  readonly commit: string | undefined;
  readonly tree: string;
  readonly branch: string | undefined;
}

/** @internal What one capture leaves for the next of the same work tree. */
export interface CaptureMemory extends SurroundingsMemory {
  readonly baseTree: string;
  readonly tree: string;
  readonly commit: string;
  readonly known: ReadonlyMap<BytePath, KnownFile>;
  /** The whole list of changes in short; equal lists give equal trees. */
  readonly fingerprint: string | undefined;
  readonly rawPaths: readonly RecordedPath[];
}

/** @internal */
export interface SnapshotRequest {
  readonly git: Git;
  readonly repo: Repository;
  readonly view: GitView;
  readonly base: SnapshotBase;
  readonly limits: CaptureLimits;
  readonly redactor: Redactor;
  readonly refuseSecrets: boolean;
  readonly includeIgnored: readonly string[];
  /** A commit to be the second parent. */
  readonly indexCommit: string | undefined;
  readonly memory: CaptureMemory | undefined;
  readonly message: string;
  readonly nowMs: number;
}

/** @internal */
export interface Snapshot {
  readonly tree: string;
  readonly commit: string;
  readonly leftOut: readonly LeftOutPath[];
  readonly secretPaths: readonly RecordedPath[];
  readonly rawPaths: readonly RecordedPath[];
  readonly status: Buffer;
  readonly memory: CaptureMemory;
}

/** @internal Finds the base commit, its tree and the branch in one go. */
export async function resolveBase(git: Git, worktree: string, ref: string): Promise<SnapshotBase> {
  if (ref.startsWith('-'))
    throw new TypeError(`Cannot use base "${ref}": expected a revision, not an option`);
  const found = await git.run({
    args: ['rev-parse', `${ref}^{commit}`, `${ref}^{tree}`, '--symbolic-full-name', 'HEAD'],
    cwd: worktree,
    okExitCodes: [0, 128],
  });
  const [commit, tree, head] = found.stdout.toString('utf8').split('\n');
  if (found.exitCode === 0 && commit !== undefined && tree !== undefined) {
    return { ref, commit, tree, branch: branchName(head) };
  }
  const unborn = await git.run({
    args: ['symbolic-ref', '-q', 'HEAD'],
    cwd: worktree,
    okExitCodes: [0, 1, 128],
  });
  if (ref !== 'HEAD' || unborn.exitCode !== 0) {
    throw new CheckpointError(
      'unknown-base',
      `Cannot find base "${ref}" in "${worktree}": ${found.stderr.trim()}, expected a commit`,
    );
  }
  const objectFormat = await git.run({ args: ['rev-parse', '--show-object-format'], cwd: worktree });
  return {
    ref,
    commit: undefined,
    tree: EMPTY_TREES[objectFormat.stdout.toString('utf8').trim() === 'sha256' ? 64 : 40] ?? '',
    branch: branchName(unborn.stdout.toString('utf8').trim()),
  };
}

/** @internal */
export async function takeSnapshot(request: SnapshotRequest): Promise<Snapshot> {
  const { repo, memory } = request;
  const seen = await lookAround({ ...request, head: request.base.commit });
  const { entries, unseen } = seen;
  const context: ChangeContext = {
    reader: createWorktreeReader(repo.topLevel, repo.objectFormat),
    limits: request.limits,
    redactor: request.redactor,
    hasExecutableBit: repo.settings.get('core.filemode') !== 'false',
    known: memory?.known ?? new Map<BytePath, KnownFile>(),
    nowMs: request.nowMs,
  };
  const changes = lookAtChanges(entries, context);
  const isKnown =
    memory?.baseTree === request.base.tree &&
    request.indexCommit === undefined &&
    changes.toRead.length === 0 &&
    memory.fingerprint === fingerprintOf(changes.removed, changes.reused);
  if (isKnown) {
    const secretPaths = [...changes.reused]
      .filter(([, file]) => file.hasSecret)
      .map(([path]) => recordPath(path));
    return {
      tree: memory.tree,
      commit: memory.commit,
      leftOut: [...unseen, ...changes.leftOut],
      secretPaths,
      rawPaths: memory.rawPaths,
      status: seen.status,
      memory: { ...memory, ...seen.kept },
    };
  }

  const { outcome, imported } = await importOnce(request, entries, changes, context);
  if (request.refuseSecrets && outcome.secretPaths.length > 0) throw secretFound(repo, outcome.secretPaths);
  return {
    ...imported,
    leftOut: [...unseen, ...outcome.leftOut],
    secretPaths: outcome.secretPaths,
    rawPaths: outcome.rawPaths,
    status: seen.status,
    memory: {
      ...seen.kept,
      baseTree: request.base.tree,
      tree: imported.tree,
      commit: imported.commit,
      known: outcome.known,
      rawPaths: outcome.rawPaths,
      fingerprint: outcome.isComplete ? fingerprintOf(changes.removed, outcome.known) : undefined,
    },
  };
}

async function importOnce(
  request: SnapshotRequest,
  entries: readonly StatusEntry[],
  changes: Changes,
  context: ChangeContext,
): Promise<{ readonly outcome: ReadOutcome; readonly imported: ImportedTree }> {
  const { base, indexCommit } = request;
  let started: Promise<TreeImport> | undefined;
  const openImport = (): Promise<TreeImport> =>
    (started ??= startTreeImport(request.view, {
      base: base.commit,
      otherParents: indexCommit === undefined ? [] : [indexCommit],
      message: request.message,
      atMs: request.nowMs,
    }));
  try {
    const outcome = await importChanges(entries, changes, context, openImport);
    // Without any change the base itself is the snapshot, unless there is none or the index has to be kept.
    if (!outcome.hasChanges && base.commit !== undefined && indexCommit === undefined) {
      return { outcome, imported: { commit: base.commit, tree: base.tree } };
    }
    return { outcome, imported: await (await openImport()).finish() };
  } catch (error) {
    await (await started)?.abort();
    throw error;
  }
}

function secretFound(repo: Repository, paths: readonly RecordedPath[]): CheckpointError {
  return new CheckpointError(
    'secret-found',
    `Cannot capture work tree "${repo.topLevel}": known secrets are in ${paths.length} files, the first "${paths[0]?.path}", expected none`,
  );
}

function branchName(symbolicName: string | undefined): string | undefined {
  return symbolicName?.startsWith('refs/heads/') === true
    ? symbolicName.slice('refs/heads/'.length)
    : undefined;
}
