/**
 * One git_diff checkpoint, from the work tree to the finished record.
 * Invariant: the order is objects, ref, files, index line; a crash between two of them leaves nothing that a later record
 * could be confused by.
 */
import { existsSync } from 'node:fs';
import { realpath, writeFile } from 'node:fs/promises';
import { isAbsolute, join, relative } from 'node:path';
import type { Clock } from '@conductor-run/clock';
import type { CaptureLimits } from './changes.ts';
import { redactLeftOut } from './byte-path.ts';
import { CheckpointError, unlessMissing } from './errors.ts';
import { createGit, type Git } from './git-process.ts';
import type { Expectation } from './expectation.ts';
import type { Repository, SnapshotBase } from './git-repository.ts';
import type { GitView } from './git-view.ts';
import { transferObjects } from './object-transfer.ts';
import { openForCapture } from './opening.ts';
import { requireCount, type GitOptions, type Redactor } from './options.ts';
import { createPatchCounter } from './patch-counter.ts';
import { readRegularFile } from './regular-file.ts';
import { describeFile, folderName, workFolderName, writeRecordFile } from './record-store.ts';
import type { CheckpointFile, GitDiffRecord, IndexSnapshot, RecordedPath } from './record.ts';
import { writeRef, readRef } from './snapshot-ref.ts';
import { takeSnapshot, type CaptureMemory, type Snapshot } from './snapshot.ts';
import { createPatchFile, type PatchFile } from './tree-diff.ts';

/** How to capture a work tree. */
export interface GitDiffOptions extends Pick<GitOptions, 'signal' | 'timeoutMs'> {
  /** The top of a git work tree, absolute. */
  readonly worktree: string;
  /**
   * What the snapshot is compared with and based on.
   *
   * @defaultValue 'HEAD'
   */
  readonly baseRef?: string;
  /**
   * One line for people.
   *
   * @defaultValue the number of files that differ
   */
  readonly summary?: string;
  /**
   * Also keeps what is staged, for when it differs from what is on disk.
   *
   * @defaultValue false
   */
  readonly includeIndex?: boolean;
  /**
   * Globs, relative to the top, of ignored files to be captured all the same: `.env`, `**` + `/*.local`.
   *
   * @defaultValue none
   */
  readonly includeIgnored?: readonly string[];
  /**
   * The largest file that is captured, in bytes; a number counts for tracked and untracked files alike.
   *
   * @defaultValue 10 MiB untracked, 50 MiB tracked
   */
  readonly maxFileBytes?: number | { readonly untracked?: number; readonly tracked?: number };
  /**
   * The most bytes one snapshot captures; tracked files come first.
   *
   * @defaultValue 200 MiB
   */
  readonly maxTotalBytes?: number;
  /**
   * The most untracked files one snapshot captures.
   *
   * @defaultValue 20000
   */
  readonly maxUntrackedFiles?: number;
  /**
   * Whether a snapshot that would hold a known secret is refused instead of flagged.
   *
   * @defaultValue false
   */
  readonly refuseSecrets?: boolean;
  /**
   * Reads every changed file again, where captures otherwise trust the times of a file that nobody has touched for 35 s. For the
   * last capture of a run: a program that has a file mapped into memory can change it without its times showing it.
   *
   * @defaultValue false
   */
  readonly readsAll?: boolean;
}

/** @internal What a capture needs from its manager. */
export interface CaptureContext {
  readonly runId: string;
  readonly directory: string;
  readonly seq: number;
  readonly env: GitOptions['env'];
  readonly clock: Clock;
  readonly redactor: Redactor;
  /** The last git_diff record of the run. */
  readonly previous: GitDiffRecord | undefined;
  readonly memory: WorktreeMemory | undefined;
}

/** @internal What one capture leaves for the next with the same options. */
export interface WorktreeMemory extends CaptureMemory {
  readonly expected: Expectation;
}

/** @internal A record without what all records share. */
export type GitDiffBody = Omit<
  GitDiffRecord,
  'checkpointId' | 'taskId' | 'stepId' | 'runId' | 'seq' | 'createdAt' | 'directory'
>;

/** @internal */
export interface Capture {
  readonly body: GitDiffBody;
  readonly memory: WorktreeMemory;
}

/** @internal Throws TypeError or RangeError for options that make no sense. */
export function limitsOf(options: GitDiffOptions): CaptureLimits {
  const { maxFileBytes = {} } = options;
  const perKind =
    typeof maxFileBytes === 'number' ? { untracked: maxFileBytes, tracked: maxFileBytes } : maxFileBytes;
  return {
    maxUntrackedFileBytes: requireCount('maxFileBytes.untracked', perKind.untracked ?? 10 * MIB, 0),
    maxTrackedFileBytes: requireCount('maxFileBytes.tracked', perKind.tracked ?? 50 * MIB, 0),
    maxTotalBytes: requireCount('maxTotalBytes', options.maxTotalBytes ?? 200 * MIB, 0),
    maxUntrackedFiles: requireCount('maxUntrackedFiles', options.maxUntrackedFiles ?? 20_000, 0),
  };
}

/** @internal Takes the snapshot and writes its files and ref; the caller adds the index line. */
export async function captureGitDiff(options: GitDiffOptions, context: CaptureContext): Promise<Capture> {
  const limits = limitsOf(options);
  const { clock, directory, seq } = context;
  const memory = options.readsAll === true ? undefined : context.memory;
  const nowMs = clock.nowMs();
  const git = createGit(
    {
      ...(context.env === undefined ? {} : { env: context.env }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
    },
    clock,
  );
  const opening = await openForCapture(git, {
    worktree: options.worktree,
    baseRef: options.baseRef ?? 'HEAD',
    directory: join(directory, folderName(seq), workFolderName()),
    memory,
  });
  const { repo, base, view } = opening;
  const patch = createPatchFile(view, join(directory, folderName(seq), PATCH_NAME));
  try {
    await refuseOwnDirectory(view, repo, directory);
    const index = options.includeIndex === true ? await snapshotIndex(view, repo, base) : undefined;
    // A first capture will need it, as a rule.
    if (memory === undefined && opening.status !== undefined) patch.start();
    let { status } = opening;
    const take = async (remembered: CaptureMemory | undefined): Promise<CaptureJob> => {
      const startedStatus = status;
      // Whoever tries again looks anew.
      status = undefined;
      const snapshot = await takeSnapshot({
        git,
        repo,
        view,
        base,
        limits,
        redactor: context.redactor,
        refuseSecrets: options.refuseSecrets ?? false,
        includeIgnored: options.includeIgnored ?? [],
        indexCommit: index?.commit,
        memory: remembered,
        startedStatus,
        message: `Checkpoint ${seq} of run ${context.runId}\n`,
        nowMs,
      });
      return { git, repo, view, base, index, snapshot, options, context };
    };
    const job = await takeForgiving(take, memory);
    const same = await findUnchanged(job);
    const expected = { repo, commit: base.commit };
    if (same !== undefined) {
      return { body: same, memory: { ...job.snapshot.memory, commit: same.commit, expected } };
    }
    // What is only remembered may be gone from the repository, so a new record is built from what is read anew.
    const whole = job.snapshot.isRemembered ? await take(undefined) : job;
    const body = await store(whole, patch);
    return { body, memory: { ...whole.snapshot.memory, expected } };
  } finally {
    await patch.abort();
    await opening.close();
  }
}

interface CaptureJob {
  readonly git: Git;
  readonly repo: Repository;
  readonly view: GitView;
  readonly base: SnapshotBase;
  readonly index: CapturedIndex | undefined;
  readonly snapshot: Snapshot;
  readonly options: GitDiffOptions;
  readonly context: CaptureContext;
}

interface CapturedIndex {
  readonly tree: string | undefined;
  readonly commit: string | undefined;
}

/** Blobs an earlier capture knew may have been pruned since; then everything is read again. */
async function takeForgiving(
  take: (memory: CaptureMemory | undefined) => Promise<CaptureJob>,
  memory: CaptureMemory | undefined,
): Promise<CaptureJob> {
  try {
    return await take(memory);
  } catch (error) {
    const isRetried = memory !== undefined && error instanceof CheckpointError && error.code === 'git-failed';
    if (!isRetried) throw error;
    return take(undefined);
  }
}

/** The body of a record that only points at an earlier one, when that one is still whole. */
async function findUnchanged(job: CaptureJob): Promise<GitDiffBody | undefined> {
  const { previous } = job.context;
  const isSame =
    previous !== undefined &&
    previous.worktree === job.repo.topLevel &&
    previous.baseCommit === (job.base.commit ?? null) &&
    previous.tree === job.snapshot.tree &&
    previous.index?.tree === indexRecord(job.index)?.tree;
  if (!isSame) return undefined;
  if ((await readRef(job.git, job.repo, previous.ref)) !== previous.commit) return undefined;
  const unchangedSince = previous.unchangedSince ?? previous.seq;
  // Without its patch the earlier record is only as good as its ref.
  if (!existsSync(join(job.context.directory, folderName(unchangedSince), PATCH_NAME))) return undefined;
  return {
    ...describe(job, previous.diffStat),
    summary: job.options.summary ?? `Unchanged since checkpoint ${unchangedSince}`,
    commit: previous.commit,
    ref: previous.ref,
    unchangedSince,
    files: [],
  };
}

async function store(job: CaptureJob, patch: PatchFile): Promise<GitDiffBody> {
  const { git, repo, view, base, snapshot, context } = job;
  const { directory, seq } = context;
  const ref = `refs/conductor/${context.runId}/${seq}`;
  const folder = join(directory, folderName(seq));
  const indexTree = job.index?.tree;
  const keep = async (): Promise<void> => {
    transferObjects(view, repo);
    await writeRef(git, repo, ref, snapshot.commit, join(view.gitDir, 'new-ref'));
  };
  const [statusFile] = await Promise.all([
    writeRecordFile(directory, seq, {
      name: 'status.z',
      format: 'porcelain-v2-z',
      mediaType: 'application/octet-stream',
      content: redactBytes(context.redactor, snapshot.status),
    }),
    patch.finish(base.tree, snapshot.tree),
    indexTree === undefined
      ? undefined
      : createPatchFile(view, join(folder, INDEX_PATCH_NAME)).finish(base.tree, indexTree),
    // Objects move while git reads them: it finds them where they are.
    keep(),
  ]);
  const counter = createPatchCounter();
  const described = (name: string, look?: (chunk: Buffer) => void): Promise<CheckpointFile> =>
    describeFile(directory, `${folderName(seq)}/${name}`, 'git-patch', 'text/x-diff', look);
  const [patchFile, ...indexFiles] = await Promise.all([
    described(PATCH_NAME, (chunk) => counter.add(chunk)),
    ...(indexTree === undefined ? [] : [described(INDEX_PATCH_NAME)]),
  ]);
  const diffStat = counter.totals();
  return {
    ...describe(job, diffStat),
    summary: job.options.summary ?? `${diffStat.filesChanged} files differ from ${base.ref}`,
    commit: snapshot.commit,
    ref,
    files: [patchFile, statusFile, ...indexFiles],
  };
}

/** What both kinds of body have in common. */
function describe(
  job: CaptureJob,
  diffStat: GitDiffRecord['diffStat'],
): Omit<GitDiffBody, 'summary' | 'commit' | 'ref' | 'files' | 'unchangedSince'> {
  const { repo, base, snapshot, context } = job;
  const redactPath = <Path extends RecordedPath>(path: Path): Path => ({
    ...path,
    path: context.redactor.redact(path.path),
  });
  const index = indexRecord(job.index);
  return {
    type: 'git_diff',
    worktree: repo.topLevel,
    repository: repo.commonDir,
    baseRef: base.ref,
    baseCommit: base.commit ?? null,
    baseTree: base.tree,
    branch: base.branch ?? null,
    tree: snapshot.tree,
    diffStat,
    ...(index === undefined ? {} : { index }),
    leftOut: snapshot.leftOut.map((left) => redactLeftOut(left, context.redactor)),
    secretPaths: snapshot.secretPaths.map(redactPath),
    rawPaths: snapshot.rawPaths,
    replay: {
      strategy: 'git_apply_binary',
      args: ['apply', '--index', '--binary', '--whitespace=nowarn', '--allow-empty'],
      baseRef: base.commit ?? null,
      expectTree: snapshot.tree,
    },
  };
}

function indexRecord(index: CapturedIndex | undefined): IndexSnapshot | undefined {
  return index === undefined ? undefined : { tree: index.tree ?? null };
}

/** The index as a tree and a commit; an unmerged one has none. The user's index file is copied, never opened for writing. */
async function snapshotIndex(view: GitView, repo: Repository, base: SnapshotBase): Promise<CapturedIndex> {
  const env = { GIT_INDEX_FILE: view.indexPath('staged') };
  const index = await unlessMissing(readRegularFile(repo.indexFile));
  if (index !== undefined) await writeFile(env.GIT_INDEX_FILE, index);
  const written = await view.run({ args: ['write-tree'], env, okExitCodes: [0, 128] });
  if (written.exitCode !== 0) return { tree: undefined, commit: undefined };
  const tree = written.stdout.toString('utf8').trim();
  const committed = await view.run({
    args: ['commit-tree', tree, ...(base.commit === undefined ? [] : ['-p', base.commit]), '-m', 'Index'],
    env: SNAPSHOT_IDENTITY,
  });
  return { tree, commit: committed.stdout.toString('utf8').trim() };
}

/** A checkpoint that captured the folder it is written to would never be the same twice. */
async function refuseOwnDirectory(view: GitView, repo: Repository, directory: string): Promise<void> {
  const inside = relative(repo.topLevel, await realpath(directory));
  if (isOutside(inside) || !isOutside(relative(repo.gitDir, directory))) return;
  const ignored = await view.run({
    args: ['check-ignore', '--quiet', '--', inside],
    env: { GIT_INDEX_FILE: repo.indexFile },
    okExitCodes: [0, 1],
  });
  if (ignored.exitCode === 0) return;
  throw new CheckpointError(
    'run-directory-captured',
    `Cannot capture work tree "${repo.topLevel}": the run directory "${directory}" is part of it, expected it outside or ignored`,
  );
}

function isOutside(path: string): boolean {
  return path === '..' || path.startsWith('../') || isAbsolute(path);
}

function redactBytes(redactor: Redactor, bytes: Buffer): Uint8Array {
  if (!redactor.contains(bytes)) return bytes;
  return Buffer.from(redactor.redact(bytes.toString('utf8')), 'utf8');
}

/** @internal Who commits snapshots: nobody. */
export const SNAPSHOT_IDENTITY: Readonly<Record<string, string>> = {
  GIT_AUTHOR_NAME: 'Conductor',
  GIT_AUTHOR_EMAIL: 'conductor@localhost',
  GIT_AUTHOR_DATE: '@0 +0000',
  GIT_COMMITTER_NAME: 'Conductor',
  GIT_COMMITTER_EMAIL: 'conductor@localhost',
  GIT_COMMITTER_DATE: '@0 +0000',
};

/** @internal */
export const PATCH_NAME = 'changes.patch';
/** @internal */
export const INDEX_PATCH_NAME = 'index.patch';
const MIB = 1024 * 1024;
