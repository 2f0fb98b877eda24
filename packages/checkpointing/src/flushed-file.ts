/**
 * Small files that are on the disk before anything else relies on them.
 * Invariant: only the flush is waited for. Opening, writing and renaming take less time than waiting for each in turn.
 */
import { closeSync, fsync, openSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';

/** @internal Writes a file that must not exist yet. */
export async function writeFlushed(path: string, content: string | Uint8Array, mode = 0o600): Promise<void> {
  const fd = openSync(path, 'wx', mode);
  try {
    writeFileSync(fd, content);
    await flush(fd);
  } finally {
    closeSync(fd);
  }
}

/** @internal Waits until what was written to an open file is on the disk. */
export const flush: (fd: number) => Promise<void> = promisify(fsync);
