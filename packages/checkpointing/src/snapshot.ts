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
import { startTreeImport, type ImportedTree, type TreeImport } from './fast-import.ts';
import type { Git } from './git-process.ts';
import type { Repository, SnapshotBase } from './git-repository.ts';
import type { StatusEntry, StatusRun } from './git-status.ts';
import type { GitView } from './git-view.ts';
import type { Redactor } from './options.ts';
import type { LeftOutPath, RecordedPath } from './record.ts';
import { lookAround, type SurroundingsMemory } from './surroundings.ts';
import { createWorktreeReader } from './worktree-reader.ts';

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
  /** Status, when it runs already. */
  readonly startedStatus: StatusRun | undefined;
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
  /** True when nothing was built: the commit is an earlier capture's, and may be gone. */
  readonly isRemembered: boolean;
  /** What the next capture needs. */
  readonly memory: CaptureMemory;
}

/** @internal */
export async function takeSnapshot(request: SnapshotRequest): Promise<Snapshot> {
  const { memory } = request;
  const session = createImportSession(request);
  const taken = snapshotWith(request, session);
  // Without anything remembered there will be something to import, as a rule: git may as well start, once status has.
  if (memory === undefined) void session.open();
  try {
    return await taken;
  } catch (error) {
    await session.abort();
    throw error;
  }
}

async function snapshotWith(request: SnapshotRequest, session: ImportSession): Promise<Snapshot> {
  const { repo, memory } = request;
  const seen = await lookAround({ ...request, head: request.base.commit });
  const { entries } = seen;
  const context: ChangeContext = {
    reader: createWorktreeReader(repo.topLevel, repo.objectFormat),
    limits: request.limits,
    redactor: request.redactor,
    hasExecutableBit: repo.settings.get('core.filemode') !== 'false',
    known: memory?.known ?? new Map<BytePath, KnownFile>(),
    nowMs: request.nowMs,
  };
  const changes = await lookAtChanges(entries, context);
  const isKnown =
    memory?.baseTree === request.base.tree &&
    request.indexCommit === undefined &&
    changes.toRead.length === 0 &&
    memory.fingerprint === fingerprintOf(changes.removed, changes.reused);
  if (isKnown) {
    const secretPaths = [...changes.reused]
      .filter(([, file]) => file.hasSecret)
      .map(([path]) => recordPath(path));
    refuseIfAsked(request, secretPaths);
    return {
      tree: memory.tree,
      commit: memory.commit,
      leftOut: [...seen.unseen, ...changes.leftOut],
      secretPaths,
      rawPaths: memory.rawPaths,
      status: seen.status,
      isRemembered: true,
      memory: { ...memory, ...seen.kept, known: changes.reused },
    };
  }

  const { outcome, imported } = await runImport(request, session, entries, changes, context);
  refuseIfAsked(request, outcome.secretPaths);
  return {
    ...imported,
    leftOut: [...seen.unseen, ...outcome.leftOut],
    secretPaths: outcome.secretPaths,
    rawPaths: outcome.rawPaths,
    status: seen.status,
    isRemembered: false,
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

/** One import that is started at most once, whoever asks first. */
interface ImportSession {
  open(): Promise<TreeImport>;
  abort(): Promise<void>;
}

function createImportSession(request: SnapshotRequest): ImportSession {
  const { base, indexCommit } = request;
  let started: Promise<TreeImport> | undefined;
  return {
    open: () =>
      (started ??= startTreeImport(request.view, {
        base: base.commit,
        otherParents: indexCommit === undefined ? [] : [indexCommit],
        message: request.message,
        atMs: request.nowMs,
      })),
    abort: async () => (await started)?.abort(),
  };
}

async function runImport(
  request: SnapshotRequest,
  session: ImportSession,
  entries: readonly StatusEntry[],
  changes: Changes,
  context: ChangeContext,
): Promise<{ readonly outcome: ReadOutcome; readonly imported: ImportedTree }> {
  const { base, indexCommit } = request;
  const outcome = await importChanges(entries, changes, context, () => session.open());
  // Without any change the base itself is the snapshot, unless there is none or the index has to be kept.
  if (!outcome.hasChanges && base.commit !== undefined && indexCommit === undefined) {
    await session.abort();
    return { outcome, imported: { commit: base.commit, tree: base.tree } };
  }
  return { outcome, imported: await (await session.open()).finish() };
}

/** What is remembered is refused like what was read: a secret does not become harmless by staying where it is. */
function refuseIfAsked(
  { repo, refuseSecrets, redactor }: SnapshotRequest,
  paths: readonly RecordedPath[],
): void {
  if (!refuseSecrets || paths.length === 0) return;
  throw new CheckpointError(
    'secret-found',
    `Cannot capture work tree "${repo.topLevel}": known secrets are in ${paths.length} files, the first "${redactor.redact(paths[0]?.path ?? '')}", expected none`,
  );
}
