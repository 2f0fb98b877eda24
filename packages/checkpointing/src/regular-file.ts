/**
 * Opening files that anybody may have put something else in place of.
 * Invariant: no open waits. A FIFO without a writer would hold an ordinary open for ever, and with it the whole process.
 */
import { constants, closeSync, fstatSync, openSync, readFileSync, type BigIntStats } from 'node:fs';
import { open } from 'node:fs/promises';
import { CheckpointError } from './errors.ts';

/**
 * @internal The bytes of a file; the missing file and the folder in its place are system errors.
 *
 * @throws {@link CheckpointError} with code `git-failed` when it is a FIFO or a device
 */
export async function readRegularFile(path: string): Promise<Buffer> {
  const handle = await open(path, OPEN_FLAGS);
  try {
    requireOrdinary(path, await handle.stat({ bigint: true }));
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

/** @internal As {@link readRegularFile}, at once; `undefined` for a file of more than `maxBytes`. */
export function readSmallFile(path: string, maxBytes: number): Buffer | undefined {
  const fd = openSync(path, OPEN_FLAGS);
  try {
    const stats = fstatSync(fd, { bigint: true });
    requireOrdinary(path, stats);
    return stats.size > maxBytes ? undefined : readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

function requireOrdinary(path: string, stats: BigIntStats): void {
  // Reading a folder fails by itself.
  if (stats.isFile() || stats.isDirectory()) return;
  throw new CheckpointError('git-failed', `Cannot read "${path}": it is no regular file, expected one`);
}

/** @internal */
export const OPEN_FLAGS: number = constants.O_RDONLY | constants.O_NONBLOCK;
