/** Opening a SQLite file the one way this package uses it. */
import { closeSync, openSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock } from '@conductor-run/clock';
import Database from 'better-sqlite3';
import { JobStoreError } from './errors.ts';
import { APPLICATION_ID, migrate, type Migration } from './migrate.ts';
import { retryBusy } from './retry-busy.ts';
import { toJobStoreError } from './sqlite-errors.ts';

/** @internal What to open, and how. */
export interface ConnectionOptions {
  readonly path: string;
  readonly synchronous: 'normal' | 'full';
  readonly migrations: readonly Migration[];
  readonly clock: Clock;
  readonly random: () => number;
  readonly busyTimeoutMs: number;
}

/**
 * @internal Opens and migrates a file.
 * @throws JobStoreError with code `network-file-system`, `schema-too-new`, `schema-mismatch`, `busy`, `corrupt`, `io`
 */
export async function openConnection(options: ConnectionOptions): Promise<Database.Database> {
  const { path, synchronous, migrations, clock, random, busyTimeoutMs } = options;
  await refuseNetworkFileSystem(path);
  let db: Database.Database | undefined;
  try {
    const opened = openFile(path);
    db = opened;
    requireOwn(opened, path);
    // Counts for a new file only: an existing one keeps the size it was made with.
    opened.pragma(`page_size = ${PAGE_BYTES}`);
    await retryBusy(clock, busyTimeoutMs, random, () => opened.pragma('journal_mode = wal'));
    opened.pragma(`synchronous = ${synchronous}`);
    opened.pragma('foreign_keys = on');
    opened.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
    await retryBusy(clock, busyTimeoutMs, random, () => migrate(opened, path, migrations, clock.nowMs()));
    return opened;
  } catch (error) {
    db?.close();
    throw toJobStoreError('open', path, error);
  }
}

/** @internal The name of a network file system by the number Linux gives it; undefined for any other. */
export function networkFileSystemName(type: number): string | undefined {
  return NETWORK_FILE_SYSTEMS.get(type >>> 0);
}

function openFile(path: string): Database.Database {
  try {
    // SQLite gives the log and its index the mode of the file.
    closeSync(openSync(path, 'a', OWNER_ONLY));
  } catch {
    // Not ours to create or write: SQLite says why, or opens it for reading.
  }
  try {
    // No timeout: SQLite would sleep with the event loop; see retry-busy.ts.
    return new Database(path, { timeout: 0 });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new JobStoreError(
      'io',
      `Cannot open job store "${path}": no such directory, expected an existing one`,
      {
        cause: error,
      },
    );
  }
}

/** Before anything is written: the tables of a browser or of another program are not ours to join. */
function requireOwn(db: Database.Database, path: string): void {
  const id = db.pragma('application_id', { simple: true });
  const tables = db.prepare(`select name from sqlite_schema where type = 'table'`).pluck().all();
  const isNew = tables.length === 0;
  if ((isNew || tables.includes('job_store_migrations')) && (id === 0 || id === APPLICATION_ID)) return;
  throw new JobStoreError(
    'schema-mismatch',
    `Cannot open job store "${path}": it is a database of something else, expected a job store or a new file`,
  );
}

async function refuseNetworkFileSystem(path: string): Promise<void> {
  let type: number;
  try {
    ({ type } = await statfs(dirname(path)));
  } catch (error) {
    throw new JobStoreError(
      'io',
      `Cannot open job store "${path}": its directory is not readable, expected one`,
      {
        cause: error,
      },
    );
  }
  const name = process.platform === 'linux' ? networkFileSystemName(type) : undefined;
  if (name === undefined) return;
  throw new JobStoreError(
    'network-file-system',
    `Cannot open job store "${path}": it is on ${name}, expected a local file system, since SQLite's locks do not hold over a network`,
  );
}

/** A claim and its end write five pages, each of them whole: half the size saves a tenth of a job's time. */
const PAGE_BYTES = 2048;

/** Of log, 4 MB: a checkpoint stops the event loop for 16 ms at most (3,000: 21 ms), and jobs run as fast one by one as with 4,000. */
const CHECKPOINT_PAGES = 2000;

/** @internal Payloads may hold what only the owner of a store should read: the mode of every file it creates. */
export const OWNER_ONLY = 0o600;

/** From Linux's magic.h and the file systems' own headers. */
const NETWORK_FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB2'],
  [0x5346414f, 'AFS'],
  [0x00c36400, 'Ceph'],
  [0x0bd00bd0, 'Lustre'],
  [0x47504653, 'GPFS'],
  [0x7461636f, 'OCFS2'],
  [0x01161970, 'GFS2'],
  [0x01021997, '9P'],
]);
