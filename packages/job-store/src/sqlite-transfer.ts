/**
 * Export and import of the SQLite engine, each on connections of its own: an export reads one snapshot while writers go
 * on, an import is one transaction that may wait for its input.
 */
import Database, { type Statement } from 'better-sqlite3';
import { z } from 'zod';
import { isLarge } from './enqueue.ts';
import { JobStoreError } from './errors.ts';
import { LARGE_VALUE_BITS } from './rows.ts';
import {
  formatTransferHeader,
  formatTransferRecord,
  LEADERSHIP_TABLES,
  parseTransferRecord,
  requireTransferHeader,
  TRANSFER_COLUMNS,
  type TransferRecord,
  type TransferTable,
  type TransferValue,
} from './transfer.ts';

/** @internal The two files of a store, opened for this transfer alone. Disposing closes them. */
export interface TransferFiles extends Disposable {
  readonly main: Database.Database;
  readonly leadership: Database.Database;
}

/** @internal Every record of the store. */
export function* exportLines(files: TransferFiles, nowMs: number): Generator<string> {
  // The main file first: a term it knows is then never missing from the leadership file read after it.
  files.main.exec('begin');
  yield formatTransferHeader(nowMs);
  for (const table of transferTables()) {
    const db = LEADERSHIP_TABLES.includes(table) ? files.leadership : files.main;
    if (db === files.leadership && !db.inTransaction) db.exec('begin');
    for (const row of db.prepare(selectOf(table)).iterate()) {
      yield formatTransferRecord({ table, row: rowSchema.parse(row) });
    }
  }
}

/**
 * @internal Takes in an export, all or nothing, into a store without jobs; answers the number of records. Both files
 * must be in a write transaction. The leadership file is committed first: after a crash between the two its terms are
 * higher than needed, which is harmless, never lower.
 */
export async function importLines(
  files: TransferFiles,
  path: string,
  lines: AsyncIterable<string> | Iterable<string>,
): Promise<number> {
  if (files.main.prepare('select 1 from jobs limit 1').get() !== undefined) {
    throw new JobStoreError(
      'not-empty',
      `Cannot import into job store "${path}": it holds jobs, expected an empty one`,
    );
  }
  const insert = createInserter(files);
  let lineNumber = 0;
  for await (const line of lines) {
    lineNumber += 1;
    if (lineNumber === 1) requireTransferHeader(line);
    else if (line !== '') insertLine(insert, line, lineNumber);
  }
  if (lineNumber === 0) requireTransferHeader('');
  files.leadership.exec('commit');
  files.main.exec('commit');
  return lineNumber - 1;
}

function insertLine(insert: (record: TransferRecord) => void, line: string, lineNumber: number): void {
  try {
    insert(parseTransferRecord(line, lineNumber));
  } catch (error) {
    if (!(error instanceof Database.SqliteError) || !error.code.startsWith('SQLITE_CONSTRAINT')) throw error;
    throw new JobStoreError(
      'transfer-invalid',
      `Cannot import line ${lineNumber}: its values contradict each other or an earlier line, expected those of an export`,
      { cause: error },
    );
  }
}

function createInserter(files: TransferFiles): (record: TransferRecord) => void {
  const statements = new Map<TransferTable, Statement<[Record<string, TransferValue>]>>();
  for (const table of transferTables()) {
    const db = LEADERSHIP_TABLES.includes(table) ? files.leadership : files.main;
    statements.set(table, db.prepare(insertOf(table)));
  }
  const insertLarge = files.main.prepare<[TransferValue, string, string]>(
    'insert into job_large_values (job_id, name, value) values (?, ?, ?)',
  );
  return ({ table, row }) => {
    const statement = statements.get(table);
    if (table !== 'jobs') {
      statement?.run({ ...row });
      return;
    }
    const { inline, large, bits } = splitLargeValues(row);
    statement?.run({ ...inline, large_values: bits });
    for (const [name, value] of large) insertLarge.run(row['job_id'] ?? null, name, value);
  };
}

function splitLargeValues(row: TransferRecord['row']): {
  readonly inline: Record<string, TransferValue>;
  readonly large: readonly (readonly [string, string])[];
  readonly bits: number;
} {
  const inline = { ...row };
  const large: (readonly [string, string])[] = [];
  let bits = 0;
  for (const name of ['payload', 'result'] as const) {
    const value = row[name] ?? null;
    if (typeof value !== 'string' || !isLarge(value)) continue;
    inline[name] = null;
    large.push([name, value]);
    bits |= LARGE_VALUE_BITS[name];
  }
  return { inline, large, bits };
}

/** All of these texts are built from constants of this package alone. */
function selectOf(table: TransferTable): string {
  const columns = TRANSFER_COLUMNS[table];
  if (table === 'jobs') return `select ${columns.map(jobColumn).join(', ')} from jobs`;
  if (table !== 'job_attempts') return `select ${columns.join(', ')} from ${table}`;
  // Also those whose record is still in their job's row.
  return `select ${columns.join(', ')} from attempts where outcome <> 'running' order by job_id, token`;
}

function jobColumn(name: string): string {
  // What is left of the last owner is part of the attempt's record, which travels on its own.
  if (name === 'worker_id') return `iif(status = 'running', worker_id, null) as worker_id`;
  if (name !== 'payload' && name !== 'result') return name;
  return `coalesce((select value from job_large_values v
    where v.job_id = jobs.job_id and v.name = '${name}' and large_values & ${LARGE_VALUE_BITS[name]}), ${name}) as ${name}`;
}

function insertOf(table: TransferTable): string {
  if (table === 'job_tokens') return 'update job_tokens set value = max(value, @value), owner = 0';
  const columns = [...TRANSFER_COLUMNS[table], ...(table === 'jobs' ? ['large_values'] : [])];
  const values = columns.map((name) => `@${name}`);
  return `insert or replace into ${table} (${columns.join(', ')}) values (${values.join(', ')})`;
}

function transferTables(): readonly TransferTable[] {
  // The literal keys of the record, in their order.
  return Object.keys(TRANSFER_COLUMNS) as TransferTable[];
}

const rowSchema = z.record(z.string(), z.union([z.string(), z.int(), z.null()]));
