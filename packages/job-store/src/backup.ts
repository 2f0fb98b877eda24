/**
 * Copying a store while it is in use. Invariants: a copy appears under its name only once it is whole and was read back;
 * no file of an open store, this one or another, is ever replaced.
 */
import { open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import Database from 'better-sqlite3';
import { OWNER_ONLY } from './connection.ts';
import { JobStoreError } from './errors.ts';
import { nextTurn } from './retry-busy.ts';

/** @internal A file to copy and where to. */
export interface Copy {
  readonly source: Database.Database;
  readonly path: string;
}

/**
 * @internal Copies each file, one after the other, if none of the copies would harm a store.
 *
 * @param ownPaths - every file of the store itself
 */
export async function backUpFiles(copies: readonly Copy[], ownPaths: readonly string[]): Promise<void> {
  for (const { path } of copies) await requireTarget(path, ownPaths);
  for (const copy of copies) await backUpFile(copy, ownPaths);
}

/** Copies what `source` sees, from one moment in time, in small steps between which writers and the event loop go on. */
async function backUpFile({ source, path }: Copy, ownPaths: readonly string[]): Promise<void> {
  const partPath = `${path}.part`;
  try {
    await removePart(partPath);
    await (await open(partPath, 'wx', OWNER_ONLY)).close();
    // An open read transaction: without it SQLite starts over whenever another process commits.
    source.exec('begin');
    source.prepare('select count(*) from sqlite_schema').get();
    await source.backup(partPath);
    await requireWhole(partPath);
    await syncPath(partPath);
    await requireTarget(path, ownPaths);
    await rename(partPath, path);
    await syncPath(dirname(path));
  } finally {
    if (source.inTransaction) source.exec('rollback');
    await removePart(partPath);
  }
}

/** SQLite would play what lies beside the former copy into the new one. */
async function requireTarget(path: string, ownPaths: readonly string[]): Promise<void> {
  const target = await identityOf(path);
  const place = await identityOf(dirname(path));
  for (const own of ownPaths) {
    const isOwnFile = target !== undefined && target === (await identityOf(own));
    const isOwnName = basename(path) === basename(own) && place === (await identityOf(dirname(own)));
    if (isOwnFile || isOwnName) {
      throw new RangeError(`Cannot back up to "${path}": it is a file of the store, expected another path`);
    }
  }
  for (const suffix of BESIDE) {
    if ((await identityOf(path + suffix)) === undefined) continue;
    throw new JobStoreError(
      'io',
      `Cannot back up to "${path}": beside it lies "${path}${suffix}" of a store that is open or was killed, expected none: open and close that store, or remove the file`,
    );
  }
}

/** Which file it is, whatever its name; undefined for none. */
async function identityOf(path: string): Promise<string | undefined> {
  try {
    const { dev, ino } = await stat(path, { bigint: true });
    return `${dev}/${ino}`;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Reads the copy, table by table: a damaged store must not replace its last good copy. */
async function requireWhole(path: string): Promise<void> {
  using copy = closing(new Database(path));
  const tables = copy.db.prepare(`select name from sqlite_schema where type = 'table'`).pluck().all();
  for (const table of tables) {
    const found = copy.db.pragma(`quick_check('${String(table).replaceAll("'", "''")}')`, { simple: true });
    if (found !== 'ok') {
      throw new JobStoreError(
        'corrupt',
        `Cannot back up to "${path}": ${String(found)}, expected a sound store`,
      );
    }
    await nextTurn();
  }
}

function closing(db: Database.Database): Disposable & { readonly db: Database.Database } {
  return { db, [Symbol.dispose]: () => db.close() };
}

async function removePart(partPath: string): Promise<void> {
  for (const suffix of ['', ...BESIDE]) await rm(partPath + suffix, { force: true });
}

async function syncPath(path: string): Promise<void> {
  // Directories cannot be synced on Windows, where a rename needs no such help.
  if (process.platform === 'win32') return;
  await using file = await open(path, 'r');
  await file.sync();
}

const BESIDE = ['-wal', '-shm', '-journal'];
