/** The few calls to the file system that more than one file of this package makes, with what each takes for an answer. */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  watch,
  writeSync,
  type FSWatcher,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

import { systemCodeOf } from './errors.ts';

/** The whole file, or `undefined` when there is none. */
export function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Whether a file ends with these bytes; false when there is none. Reads no more than them. */
export function endsWith(path: string, end: string): boolean {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return false;
    throw error;
  }
  try {
    const bytes = Buffer.alloc(Buffer.byteLength(end));
    const position = fstatSync(fd).size - bytes.length;
    return (
      position >= 0 &&
      readSync(fd, bytes, 0, bytes.length, position) === bytes.length &&
      bytes.equals(Buffer.from(end))
    );
  } finally {
    closeSync(fd);
  }
}

/** Writes all of it, or throws: a disk that fills up takes the first part of what it is given and calls that a success. */
export function writeFully(fd: number, content: string): void {
  const bytes = Buffer.from(content);
  for (let written = 0; written < bytes.length;) written += writeSync(fd, bytes, written);
}

/** Writes a file, readable by this user alone; with `durable` its bytes are on the disk when this returns. */
export function writePrivate(path: string, content: string, options: { durable?: boolean } = {}): void {
  const fd = openSync(path, 'w', 0o600);
  try {
    writeFully(fd, content);
    if (options.durable === true) fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Writes a file beside its place and moves it there: a reader finds all of it or what was there before. What could not
 * be written whole takes no room.
 */
export function writeWhole(path: string, content: string, options: { durable?: boolean } = {}): void {
  const temporary = `${path}.tmp`;
  try {
    writePrivate(temporary, content, options);
    renameSync(temporary, path);
  } catch (error) {
    try {
      rmSync(temporary, { force: true });
    } catch {
      // The first error says what is wrong.
    }
    throw error;
  }
}

/** The names in a directory are on the disk when this returns. */
export function syncDirectory(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Tells of changes, for callers that poll as well: where the system has no watches left, the poll does all the work. */
export function watchPath(path: string, onChange: () => void): FSWatcher | undefined {
  try {
    return watch(path, { persistent: false }, onChange).on('error', () => undefined);
  } catch {
    return undefined;
  }
}

/**
 * The one spelling of a directory's path, which need not exist yet: without symbolic links, trailing slashes and dots.
 * Two processes that name the same directory otherwise mean the same one.
 */
export function canonicalDirectory(path: string): string {
  const absolute = resolve(path);
  try {
    return realpathSync.native(absolute);
  } catch (error) {
    const parent = dirname(absolute);
    if (systemCodeOf(error) !== 'ENOENT' || parent === absolute) throw error;
    return join(canonicalDirectory(parent), basename(absolute));
  }
}

/** Whether a path of a tree that others work in is gone by now, not to be entered, or too deep to be named. */
export function isOutOfReach(error: unknown): boolean {
  return OUT_OF_REACH.has(systemCodeOf(error) ?? '');
}

const OUT_OF_REACH: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'EACCES', 'ENAMETOOLONG']);
