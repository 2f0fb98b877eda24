/** Copying a file while it is in use. Invariant: a copy appears under its name only once it is whole. */
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Database } from 'better-sqlite3';

/**
 * @internal Copies what `source` sees, from one moment in time. Writers go on meanwhile; the copy is made in small steps
 * between which the event loop runs.
 */
export async function backUpFile(source: Database, path: string): Promise<void> {
  const partPath = `${path}.part`;
  try {
    // An open read transaction: without it SQLite starts over whenever another process commits.
    source.exec('begin');
    source.prepare('select count(*) from sqlite_schema').get();
    await source.backup(partPath);
    await syncPath(partPath);
    await rename(partPath, path);
    await syncPath(dirname(path));
  } finally {
    source.exec('rollback');
    await rm(partPath, { force: true });
  }
}

async function syncPath(path: string): Promise<void> {
  // Directories cannot be synced on Windows, where a rename needs no such help.
  if (process.platform === 'win32') return;
  await using file = await open(path, 'r');
  await file.sync();
}
