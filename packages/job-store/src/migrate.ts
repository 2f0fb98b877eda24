/**
 * Numbered migrations, each applied once, in one exclusive transaction, with its checksum kept.
 * Invariant: a file is never opened with a schema this code does not know.
 */
import { createHash } from 'node:crypto';
import type { Database } from 'better-sqlite3';
import { z } from 'zod';
import { JobStoreError } from './errors.ts';

/** @internal One step of a schema; its place in the list, from 1, is its number. */
export interface Migration {
  readonly name: string;
  readonly sql: string;
}

/** @internal 'CJob': tells a file of this package from any other. */
export const APPLICATION_ID = 0x434a6f62;

/** @internal Brings the file up to date. Throws SQLITE_BUSY when another process is at it: try again. */
export function migrate(db: Database, path: string, migrations: readonly Migration[], nowMs: number): void {
  if (isUpToDate(db, path, migrations)) return;
  db.exec('begin exclusive');
  try {
    db.exec(`
create table if not exists job_store_migrations (
  number        integer primary key,
  name          text    not null,
  checksum      text    not null,
  applied_at_ms integer not null
) strict`);
    db.pragma(`application_id = ${APPLICATION_ID}`);
    const record = db.prepare<[number, string, string, number]>(
      'insert into job_store_migrations (number, name, checksum, applied_at_ms) values (?, ?, ?, ?)',
    );
    for (const [index, migration] of migrations.entries()) {
      if (index < appliedMigrations(db).length) continue;
      db.exec(migration.sql);
      record.run(index + 1, migration.name, checksumOf(migration), nowMs);
    }
    requireKnown(path, appliedMigrations(db), migrations);
    db.exec('commit');
  } catch (error) {
    if (db.inTransaction) db.exec('rollback');
    throw error;
  }
}

interface Applied {
  readonly number: number;
  readonly name: string;
  readonly checksum: string;
}

const appliedRow = z.strictObject({ number: z.int(), name: z.string(), checksum: z.string() });

function isUpToDate(db: Database, path: string, migrations: readonly Migration[]): boolean {
  const hasTable = db.prepare(`select 1 from sqlite_schema where name = 'job_store_migrations'`).get();
  if (hasTable === undefined) return false;
  const applied = appliedMigrations(db);
  requireKnown(path, applied, migrations);
  return applied.length === migrations.length;
}

function appliedMigrations(db: Database): Applied[] {
  return db
    .prepare('select number, name, checksum from job_store_migrations order by number')
    .all()
    .map((row) => appliedRow.parse(row));
}

function requireKnown(path: string, applied: readonly Applied[], migrations: readonly Migration[]): void {
  if (applied.length > migrations.length) {
    throw new JobStoreError(
      'schema-too-new',
      `Cannot open job store "${path}": its schema is at ${applied.length}, expected at most ${migrations.length}`,
    );
  }
  for (const [index, { number, name, checksum }] of applied.entries()) {
    const known = migrations[index];
    if (known !== undefined && number === index + 1 && checksum === checksumOf(known)) continue;
    throw new JobStoreError(
      'schema-mismatch',
      `Cannot open job store "${path}": migration ${number} "${name}" differs, expected checksum ${known === undefined ? 'none' : checksumOf(known)}`,
    );
  }
}

function checksumOf(migration: Migration): string {
  return createHash('sha256').update(migration.sql).digest('hex').slice(0, 16);
}
