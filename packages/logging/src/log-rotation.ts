/**
 * Rotation of a log that several processes append to: names, order, and who may do it.
 * Invariant: a rename never replaces a file, so that whatever goes wrong, no line is lost; the lock is only there for order.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, fstatSync, openSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/**
 * Lists the files that a log was rotated into, oldest first, without the log itself. A line is in exactly one of them or
 * in the log; the lines of one process are in order along the list.
 *
 * @param file - the path given to `createLogger`
 * @returns their paths; empty when the directory is not there
 */
export async function listRotatedLogs(file: string): Promise<readonly string[]> {
  try {
    return rotatedNames(file, await readdir(dirname(file))).map((name) => join(dirname(file), name));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}

/** @internal Which file it is, whatever it is called by now. */
export interface FileId {
  readonly dev: bigint;
  readonly ino: bigint;
}

/** @internal */
export function isSameFile(one: FileId, other: FileId | undefined): boolean {
  return one.dev === other?.dev && one.ino === other.ino;
}

/** @internal A rotator; it remembers a lock that is in the way. */
export interface LogRotator {
  /**
   * Moves `current` out of the way and removes the oldest files beyond those kept, unless somebody else does or did.
   * Throws what the system threw.
   */
  rotate(current: FileId, nowMs: number): void;
}

/** @internal */
export function createLogRotator(file: string, keep: number): LogRotator {
  const lockPath = `${file}.lock`;
  let lockInTheWay: { readonly id: FileId; readonly sinceMs: number } | undefined;

  /** A lock is held for milliseconds: one that stays for seconds is what a killed process left. */
  const breakOldLock = (nowMs: number): void => {
    const id = statSync(lockPath, { bigint: true, throwIfNoEntry: false });
    if (id === undefined) return;
    if (lockInTheWay === undefined || !isSameFile(id, lockInTheWay.id)) {
      lockInTheWay = { id, sinceMs: nowMs };
    } else if (nowMs - lockInTheWay.sinceMs >= LOCK_IS_LEFT_AFTER_MS) {
      lockInTheWay = undefined;
      rmSync(lockPath, { force: true });
    }
  };

  return {
    rotate(current, nowMs) {
      const lock = openNew(lockPath);
      if (lock === undefined) return breakOldLock(nowMs);
      try {
        if (!isSameFile(current, statSync(file, { bigint: true, throwIfNoEntry: false }))) return;
        const names = rotatedNames(file, readdirSync(dirname(file)));
        const number = numberOf(file, names.at(-1)) + 1;
        renameSync(file, `${file}.${String(number).padStart(DIGITS, '0')}-${randomBytes(4).toString('hex')}`);
        const removed = names.slice(0, Math.max(0, names.length + 1 - keep));
        for (const name of removed) rmSync(join(dirname(file), name), { force: true });
      } finally {
        const own = fstatSync(lock, { bigint: true });
        closeSync(lock);
        // Ours may have been taken for a left one while this process was suspended.
        if (isSameFile(own, statSync(lockPath, { bigint: true, throwIfNoEntry: false }))) {
          rmSync(lockPath, { force: true });
        }
      }
    },
  };
}

function openNew(path: string): number | undefined {
  try {
    return openSync(path, 'wx', 0o600);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return undefined;
    throw error;
  }
}

/** Of the names in the directory those of rotated files, oldest first. */
function rotatedNames(file: string, names: readonly string[]): readonly string[] {
  const prefix = `${basename(file)}.`;
  return names.filter((name) => name.startsWith(prefix) && SUFFIX.test(name.slice(prefix.length))).toSorted();
}

function numberOf(file: string, name: string | undefined): number {
  const from = basename(file).length + 1;
  return name === undefined ? 0 : Number(name.slice(from, from + DIGITS));
}

const DIGITS = 8;
const SUFFIX = /^\d{8}-[0-9a-f]{8}$/;
const LOCK_IS_LEFT_AFTER_MS = 5_000;
