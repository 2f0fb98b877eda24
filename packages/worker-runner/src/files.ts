/** The few calls to the file system that more than one file of this package makes, with what each takes for an answer. */
import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  watch,
  writeSync,
  type FSWatcher,
} from 'node:fs';

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

/** Writes a file, readable by this user alone; with `durable` its bytes are on the disk when this returns. */
export function writePrivate(path: string, content: string, options: { durable?: boolean } = {}): void {
  const fd = openSync(path, 'w', 0o600);
  try {
    writeSync(fd, content);
    if (options.durable === true) fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Writes a file beside its place and moves it there: a reader finds all of it or what was there before. */
export function writeWhole(path: string, content: string, options: { durable?: boolean } = {}): void {
  const temporary = `${path}.tmp`;
  writePrivate(temporary, content, options);
  renameSync(temporary, path);
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

/** Whether a path of a tree that others work in is gone by now, not to be entered, or too deep to be named. */
export function isOutOfReach(error: unknown): boolean {
  return OUT_OF_REACH.has(systemCodeOf(error) ?? '');
}

const OUT_OF_REACH: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'EACCES', 'ENAMETOOLONG']);
