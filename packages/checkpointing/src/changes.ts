/**
 * From a list of touched paths to the contents of a snapshot.
 * Invariant: one pass, each path read at most once; what a path contributes is what was on disk when it was read.
 */
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { leaveOut, recordPath, type BytePath } from './byte-path.ts';
import type { TreeImport } from './fast-import.ts';
import type { StatusEntry } from './git-status.ts';
import type { Redactor } from './options.ts';
import type { LeftOutPath, LeftOutReason, RecordedPath } from './record.ts';
import {
  isRacy,
  isSameSignature,
  type FileSignature,
  type PathLook,
  type WorktreeReader,
} from './worktree-reader.ts';

/** @internal How much a snapshot may hold. */
export interface CaptureLimits {
  readonly maxUntrackedFileBytes: number;
  readonly maxTrackedFileBytes: number;
  readonly maxTotalBytes: number;
  readonly maxUntrackedFiles: number;
}

/** @internal What an earlier capture knew about a path. */
export interface KnownFile {
  readonly signature: FileSignature;
  readonly oid: string;
  readonly mode: string;
  readonly bytes: number;
  readonly hasSecret: boolean;
  /** Whether the signature alone tells that nothing has changed since. */
  readonly isSettled: boolean;
}

/** @internal */
export interface ChangeContext {
  readonly reader: WorktreeReader;
  readonly limits: CaptureLimits;
  readonly redactor: Redactor;
  /** False where the file system has no executable bit; modes then come from git. */
  readonly hasExecutableBit: boolean;
  readonly known: ReadonlyMap<BytePath, KnownFile>;
  readonly nowMs: number;
}

/** @internal What the touched paths turned out to be. */
export interface Changes {
  readonly removed: readonly BytePath[];
  /** Paths whose content is known from an earlier capture. */
  readonly reused: ReadonlyMap<BytePath, KnownFile>;
  /** Paths to be read. */
  readonly toRead: readonly StatusEntry[];
  readonly leftOut: readonly LeftOutPath[];
}

/**
 * @internal Looks at every path, and reads again those whose times say nothing yet. What turns out to be what it was is neither
 * handed to git nor searched for secrets once more.
 */
export async function lookAtChanges(
  entries: readonly StatusEntry[],
  context: ChangeContext,
): Promise<Changes> {
  const removed: BytePath[] = [];
  const reused = new Map<BytePath, KnownFile>();
  const toRead: StatusEntry[] = [];
  const leftOut: LeftOutPath[] = [];
  let turn = 0;
  for (const entry of entries) {
    const seen = context.reader.look(entry.path);
    if (isRefusedName(entry.path, seen.kind)) {
      leftOut.push(leaveOut(entry.path, 'refused-name'));
    } else if (seen.kind === 'directory' && entry.isGitlink) {
      leftOut.push(leaveOut(entry.path, 'submodule-changed'));
    } else if (seen.kind === 'absent' || seen.kind === 'directory') {
      if (entry.mayBeAbsent === true) continue;
      if (entry.baseOid !== undefined || entry.isUnmerged) removed.push(entry.path);
    } else if (seen.kind === 'left-out') {
      leftOut.push(leaveOut(entry.path, seen.reason));
    } else {
      const known = findKnown(entry.path, seen.signature, context);
      if (known?.isSettled === false && ++turn % ENTRIES_PER_TURN === 0) await nextTurn();
      if (known !== undefined) reused.set(entry.path, known);
      else toRead.push(entry);
      // Whatever takes the place of a directory or a submodule replaces all that was below it.
      if (entry.isGitlink && entry.baseOid !== undefined) removed.push(entry.path);
    }
  }
  return { removed, reused, toRead, leftOut };
}

/** What an earlier capture knew of a file, if it still holds. */
function findKnown(path: BytePath, signature: FileSignature, context: ChangeContext): KnownFile | undefined {
  const known = context.known.get(path);
  if (known === undefined || !isSameSignature(known.signature, signature)) return undefined;
  if (known.isSettled) return known;
  const found = context.reader.read(path, known.bytes);
  const isSame =
    found.kind === 'content' && found.oid === known.oid && isSameSignature(found.signature, signature);
  return isSame ? { ...known, isSettled: !isRacy(signature, context.nowMs) } : undefined;
}

/** @internal What reading added. */
export interface ReadOutcome {
  readonly known: ReadonlyMap<BytePath, KnownFile>;
  readonly leftOut: readonly LeftOutPath[];
  readonly secretPaths: readonly RecordedPath[];
  /** Kept paths that turned out to be what the base has. */
  readonly rawPaths: readonly RecordedPath[];
  /** True when the resulting tree may differ from the base's. */
  readonly hasChanges: boolean;
  /** True when `known` holds every path that was kept, so that it can be recognised as a whole. */
  readonly isComplete: boolean;
}

/** @internal Starts the import when the first change needs it. */
export type OpenImport = () => Promise<TreeImport>;

/** @internal Reads what must be read and hands everything to the import. */
export async function importChanges(
  entries: readonly StatusEntry[],
  changes: Changes,
  context: ChangeContext,
  openImport: OpenImport,
): Promise<ReadOutcome> {
  const known = new Map<BytePath, KnownFile>();
  const secretPaths: RecordedPath[] = [];
  const rawPaths: RecordedPath[] = [];
  const leftOut: LeftOutPath[] = [...changes.leftOut];
  const toRead = new Set(changes.toRead);
  let hasChanges = false;
  let isComplete = true;
  let totalBytes = 0;
  let untrackedFiles = 0;

  const leave = (path: BytePath, reason: LeftOutReason, bytes?: number): void => {
    leftOut.push(leaveOut(path, reason, bytes));
    isComplete = false;
  };
  const keep = async (entry: StatusEntry, file: KnownFile, bytes: Uint8Array | undefined): Promise<void> => {
    totalBytes += file.bytes;
    if (file.hasSecret) secretPaths.push(recordPath(entry.path));
    known.set(entry.path, file);
    if (file.oid === entry.baseOid && file.mode === entry.baseMode) {
      rawPaths.push(recordPath(entry.path));
      return;
    }
    hasChanges = true;
    const target = await openImport();
    if (bytes === undefined) await target.link(entry.path, file.mode, file.oid);
    else await target.add(entry.path, file.mode, bytes);
  };
  const readOne = async (entry: StatusEntry): Promise<void> => {
    const { limits } = context;
    const maxBytes = entry.isTracked ? limits.maxTrackedFileBytes : limits.maxUntrackedFileBytes;
    const found = context.reader.read(entry.path, Math.min(maxBytes, limits.maxTotalBytes));
    if (found.kind === 'left-out') leave(entry.path, found.reason, found.bytes);
    else if (found.kind === 'content') {
      if (totalBytes + found.bytes.length > limits.maxTotalBytes) {
        leave(entry.path, 'total-too-large', found.bytes.length);
        return;
      }
      const { oid, signature, bytes } = found;
      const mode = modeOf(entry, signature, context.hasExecutableBit);
      const hasSecret =
        context.redactor.contains(bytes) || context.redactor.contains(Buffer.from(entry.path, 'latin1'));
      const isSettled = !isRacy(signature, context.nowMs);
      await keep(entry, { signature, oid, mode, bytes: bytes.length, hasSecret, isSettled }, bytes);
    } else if (entry.baseOid !== undefined || entry.isUnmerged) {
      // Vanished since it was looked at. Removing it now cannot take away anything added below it: it was a file.
      hasChanges = true;
      isComplete = false;
      await (await openImport()).remove(entry.path);
    }
  };

  for (const path of changes.removed) {
    hasChanges = true;
    await (await openImport()).remove(path);
  }
  let turn = 0;
  for (const entry of entries) {
    const reused = changes.reused.get(entry.path);
    if (reused === undefined && !toRead.has(entry)) continue;
    if (!entry.isTracked && ++untrackedFiles > context.limits.maxUntrackedFiles) {
      leave(entry.path, 'too-many-files');
      continue;
    }
    if (reused !== undefined) await keep(entry, reused, undefined);
    else await readOne(entry);
    if (++turn % ENTRIES_PER_TURN === 0) await nextTurn();
  }
  return { known, leftOut, secretPaths, rawPaths, hasChanges, isComplete };
}

/** @internal Equal for equal sets of removed and kept paths. */
export function fingerprintOf(removed: readonly BytePath[], kept: ReadonlyMap<BytePath, KnownFile>): string {
  const lines = removed.map((path) => `D ${path}\0`);
  for (const [path, file] of kept) lines.push(`${file.mode} ${file.oid} ${path}\0`);
  return createHash('sha256').update(lines.join(''), 'latin1').digest('hex');
}

/**
 * Names that git takes into no index: a snapshot with one of them could be written, and never be brought back. In a tree
 * that has one already, what is there is not touched.
 */
function isRefusedName(path: BytePath, kind: PathLook['kind']): boolean {
  return GIT_FOLDER.test(path) || (kind === 'symlink' && GIT_MODULES.test(path));
}

function modeOf(entry: StatusEntry, signature: FileSignature, hasExecutableBit: boolean): string {
  if ((signature.mode & S_IFMT) === S_IFLNK) return '120000';
  if (!hasExecutableBit) return entry.worktreeMode === '100755' ? '100755' : '100644';
  return (signature.mode & 0o100n) === 0n ? '100644' : '100755';
}

/** Lets timers and sockets of this process have their turn. */
const nextTurn: () => Promise<void> = promisify(setImmediate);

const S_IFMT = 0o170000n;
const S_IFLNK = 0o120000n;
const ENTRIES_PER_TURN = 200;
const GIT_FOLDER = /(?:^|\/)\.git(?:\/|$)/i;
const GIT_MODULES = /(?:^|\/)\.gitmodules$/i;
