/** Comparing checkpoints. Invariant: nothing is written anywhere but in a scratch directory that is gone afterwards. */
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { recordPath, recordedToBytePath } from './byte-path.ts';
import { CheckpointError } from './errors.ts';
import { silentRedactor, type Redactor } from './options.ts';
import type { CheckpointRecord, DiffStat, GitDiffRecord, RecordedPath } from './record.ts';
import {
  obtainTreeAlone,
  requireBase,
  requireSnapshot,
  withWorkbench,
  type SnapshotOptions,
  type Workbench,
} from './snapshot-source.ts';
import { listTreeChanges, patchOfPath, totalsOf, writeTreePatch, type TreeChange } from './tree-diff.ts';

/** How to compare. */
export interface DiffOptions extends SnapshotOptions {
  /**
   * What hides secrets in patch text.
   *
   * @defaultValue nothing is hidden
   */
  readonly redactor?: Redactor;
}

/** What happened to a file. */
export type FileStatus = 'added' | 'deleted' | 'modified' | 'type-changed';

/** One file that differs. */
export interface FileDiff extends RecordedPath {
  /** What happened to it from `a` to `b`. */
  readonly status: FileStatus;
  /** Its mode in `a`, octal; `000000` when it is not there. */
  readonly oldMode: string;
  /** Its mode in `b`, octal; `000000` when it is not there. */
  readonly newMode: string;
  /** Lines added; `null` for a binary file. */
  readonly insertions: number | null;
  /** Lines removed; `null` for a binary file. */
  readonly deletions: number | null;
}

/** How two trees differ. */
export interface CheckpointDiff {
  /** The files, in git's order. */
  readonly files: readonly FileDiff[];
  /** Their totals. */
  readonly diffStat: DiffStat;
  /**
   * The patch of one file, redacted. Opens the repository again, so it stays usable as long as that and the records exist.
   *
   * @param file - one of `files`
   */
  patch(file: RecordedPath): Promise<string>;
  /**
   * Writes the patch of all files to a stream, as `git apply` takes it: exact, so not redacted. Waits while the stream is full and
   * does not end it; nothing is written when git fails.
   *
   * @param target - the stream
   * @throws what the stream fails with, and as {@link diffCheckpoints}
   */
  writePatch(target: Writable): Promise<void>;
}

/**
 * Compares two snapshots, or one with its base.
 *
 * @param a - the older side; `'base'` is the base of `b`
 * @param b - the newer side; `'base'` is the base of `a`
 * @param options - which repository, and where the trees come from
 * @throws {@link CheckpointError} with code `not-a-snapshot`, `snapshot-unavailable`, `replay-mismatch` or `not-a-repository`
 * @throws TypeError when both are `'base'`
 */
export async function diffCheckpoints(
  a: CheckpointRecord | 'base',
  b: CheckpointRecord | 'base',
  options: DiffOptions = {},
): Promise<CheckpointDiff> {
  const known = b === 'base' ? a : b;
  if (known === 'base')
    throw new TypeError('Cannot compare base with base: expected at least one checkpoint');
  const one = requireSnapshot(known);
  const repository = options.repo ?? one.repository;
  const sides = { a: a === 'base' ? a : requireSnapshot(a), b: b === 'base' ? b : requireSnapshot(b), one };
  const changes = await withWorkbench(repository, options, async (bench) => {
    const [from, to] = await treesOf(bench, sides, options);
    return listTreeChanges(bench.view, from, to);
  });
  const { redactor = silentRedactor } = options;
  return {
    files: changes.map(toFileDiff),
    diffStat: totalsOf(changes),
    patch: (file) =>
      withWorkbench(repository, options, async (bench) => {
        const [from, to] = await treesOf(bench, sides, options);
        return redactor.redact(await patchOfPath(bench.view, from, to, recordedToBytePath(file)));
      }),
    writePatch: (target) =>
      withWorkbench(repository, options, async (bench) => {
        const [from, to] = await treesOf(bench, sides, options);
        const path = join(bench.view.gitDir, 'whole.patch');
        await writeTreePatch(bench.view, from, to, path);
        await pipeline(createReadStream(path), target, { end: false });
      }),
  };
}

interface Sides {
  readonly a: GitDiffRecord | 'base';
  readonly b: GitDiffRecord | 'base';
  /** The one whose base `'base'` means. */
  readonly one: GitDiffRecord;
}

async function treesOf(bench: Workbench, sides: Sides, options: DiffOptions): Promise<[string, string]> {
  const treeOf = async (side: GitDiffRecord | 'base'): Promise<string> => {
    if (side !== 'base') return (await obtainTreeAlone(bench, side, options.from)).tree;
    await requireBase(bench, sides.one);
    return sides.one.baseTree;
  };
  return [await treeOf(sides.a), await treeOf(sides.b)];
}

function toFileDiff(change: TreeChange): FileDiff {
  return Object.assign(recordPath(change.path), {
    status: toStatus(change.letter),
    oldMode: change.oldMode,
    newMode: change.newMode,
    insertions: change.insertions ?? null,
    deletions: change.deletions ?? null,
  });
}

function toStatus(letter: string): FileStatus {
  const status = STATUSES[letter];
  if (status !== undefined) return status;
  throw new CheckpointError('git-failed', `Cannot read git diff: it says "${letter}", expected A, D, M or T`);
}

const STATUSES: Readonly<Record<string, FileStatus>> = {
  A: 'added',
  D: 'deleted',
  M: 'modified',
  T: 'type-changed',
};
