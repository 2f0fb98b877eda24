/**
 * Reading paths of a work tree that others are writing to.
 * Invariant: every answer is what was there at one instant, or says why there is none; nothing that happens to a file while
 * it is read is an error. Symbolic links are never followed, also not as a directory on the way.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readlinkSync,
  readSync,
  type BigIntStats,
} from 'node:fs';
import { absolutePath, parentOf, type BytePath } from './byte-path.ts';
import { systemErrorCode } from './errors.ts';
import type { LeftOutReason } from './record.ts';

/** @internal What tells that a file has not been touched since: taken from one `lstat`. */
export interface FileSignature {
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly mode: bigint;
}

/** @internal */
export type PathLook =
  | { readonly kind: 'absent' }
  | { readonly kind: 'directory' }
  | { readonly kind: 'left-out'; readonly reason: LeftOutReason }
  | { readonly kind: 'file' | 'symlink'; readonly signature: FileSignature };

/** @internal */
export type PathContent =
  | { readonly kind: 'absent' }
  | { readonly kind: 'left-out'; readonly reason: LeftOutReason; readonly bytes?: number }
  | {
      readonly kind: 'content';
      /** Valid until the next read. */
      readonly bytes: Buffer;
      readonly oid: string;
      readonly signature: FileSignature;
    };

/** @internal */
export interface WorktreeReader {
  look(path: BytePath): PathLook;
  /** Reads at most `maxBytes`; a larger file is left out. */
  read(path: BytePath, maxBytes: number): PathContent;
}

/** @internal */
export function createWorktreeReader(topLevel: string, objectFormat: 'sha1' | 'sha256'): WorktreeReader {
  const realDirectories = new Map<BytePath, boolean>([['', true]]);
  let scratch = Buffer.allocUnsafe(256 * 1024);

  const isRealDirectory = (path: BytePath): boolean => {
    const known = realDirectories.get(path);
    if (known !== undefined) return known;
    const isReal =
      isRealDirectory(parentOf(path)) &&
      lstatSync(absolutePath(topLevel, path), { throwIfNoEntry: false })?.isDirectory() === true;
    realDirectories.set(path, isReal);
    return isReal;
  };

  const look = (path: BytePath): PathLook => {
    try {
      if (!isRealDirectory(parentOf(path))) return { kind: 'absent' };
      const stats = lstatSync(absolutePath(topLevel, path), { bigint: true });
      if (stats.isDirectory()) return { kind: 'directory' };
      if (stats.isFile()) return { kind: 'file', signature: toSignature(stats) };
      if (stats.isSymbolicLink()) return { kind: 'symlink', signature: toSignature(stats) };
      return { kind: 'left-out', reason: 'special-file' };
    } catch (error) {
      return unreachable(error);
    }
  };

  const readFile = (path: BytePath, maxBytes: number): PathContent => {
    const fd = openSync(
      absolutePath(topLevel, path),
      constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
    );
    try {
      const stats = fstatSync(fd, { bigint: true });
      if (!stats.isFile()) return { kind: 'left-out', reason: 'special-file' };
      if (stats.size > BigInt(maxBytes)) {
        return { kind: 'left-out', reason: 'too-large', bytes: Number(stats.size) };
      }
      // The size of this instant decides: what is appended meanwhile belongs to the next checkpoint.
      const wanted = Number(stats.size);
      if (scratch.length < wanted) scratch = Buffer.allocUnsafe(wanted);
      const length = readFully(fd, scratch, wanted);
      const bytes = scratch.subarray(0, length);
      return { kind: 'content', bytes, oid: blobOid(objectFormat, bytes), signature: toSignature(stats) };
    } finally {
      closeSync(fd);
    }
  };

  return {
    look,
    read(path, maxBytes) {
      const seen = look(path);
      if (seen.kind === 'directory') return { kind: 'absent' };
      if (seen.kind === 'absent' || seen.kind === 'left-out') return seen;
      try {
        if (seen.kind === 'file') return readFile(path, maxBytes);
        const bytes = readlinkSync(absolutePath(topLevel, path), 'buffer');
        return { kind: 'content', bytes, oid: blobOid(objectFormat, bytes), signature: seen.signature };
      } catch (error) {
        return unreachable(error);
      }
    },
  };
}

/** The name git gives to a blob of these bytes. */
function blobOid(objectFormat: 'sha1' | 'sha256', bytes: Uint8Array): string {
  return createHash(objectFormat).update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
}

/** @internal */
export function isSameSignature(a: FileSignature, b: FileSignature): boolean {
  return (
    a.ino === b.ino &&
    a.size === b.size &&
    a.mtimeNs === b.mtimeNs &&
    a.ctimeNs === b.ctimeNs &&
    a.mode === b.mode
  );
}

/**
 * @internal True when a file changed so shortly before `nowMs` that a later change may leave the same times behind: whoever has
 * it mapped into memory moves its times with the first write alone, until the kernel has written the page out.
 */
export function isRacy(signature: FileSignature, nowMs: number): boolean {
  const newestMs = Number(
    (signature.mtimeNs > signature.ctimeNs ? signature.mtimeNs : signature.ctimeNs) / 1_000_000n,
  );
  return newestMs > nowMs - WRITTEN_OUT_MS;
}

function toSignature(stats: BigIntStats): FileSignature {
  const { ino, size, mtimeNs, ctimeNs, mode } = stats;
  return { ino, size, mtimeNs, ctimeNs, mode };
}

function readFully(fd: number, into: Buffer, wanted: number): number {
  let length = 0;
  while (length < wanted) {
    const count = readSync(fd, into, length, wanted - length, length);
    if (count === 0) break;
    length += count;
  }
  return length;
}

function unreachable(error: unknown): { kind: 'absent' } | { kind: 'left-out'; reason: LeftOutReason } {
  switch (systemErrorCode(error)) {
    case 'ENOENT':
    case 'ENOTDIR':
      return { kind: 'absent' };
    // Became a symbolic link, a socket or a device between the look and the open.
    case 'ELOOP':
    case 'ENXIO':
      return { kind: 'left-out', reason: 'special-file' };
    case undefined:
      throw error;
    default:
      return { kind: 'left-out', reason: 'unreadable' };
  }
}

/** Linux writes out what has been dirty for 30 s, and looks every 5 s. */
const WRITTEN_OUT_MS = 35_000;
