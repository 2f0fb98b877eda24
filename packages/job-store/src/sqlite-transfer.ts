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
  formatTransferEnd,
  formatTransferHeader,
  formatTransferRecord,
  LEADERSHIP_TABLES,
  readTransfer,
  TRANSFER_COLUMNS,
  type NumberedRecord,
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
  let records = 0;
  for (const table of transferTables()) {
    const db = fileOf(files, table);
    if (db === files.leadership && !db.inTransaction) db.exec('begin');
    for (const row of db.prepare(selectOf(table)).iterate()) {
      records += 1;
      yield formatTransferRecord({ table, row: rowSchema.parse(row) });
    }
  }
  yield formatTransferEnd(records);
}

/**
 * @internal Takes in an export, all or nothing, into an empty store; answers the number of records. Both files must be in
 * a write transaction. The leadership file is committed first: after a crash between the two its terms are higher than
 * needed, which is harmless, never lower.
 */
export async function importLines(
  files: TransferFiles,
  path: string,
  lines: AsyncIterable<string> | Iterable<string>,
): Promise<number> {
  requireEmpty(files, path);
  const insert = createInserter(files);
  let records = 0;
  for await (const record of readTransfer(lines)) {
    insertRecord(insert, record);
    records += 1;
  }
  requireAgreement(files);
  // Whatever the counter said: a token that some lease or attempt has must not be given out again.
  files.main.exec(RAISE_TOKENS);
  files.leadership.exec('commit');
  files.main.exec('commit');
  return records;
}

/** Merging two histories would lower terms, fences and cursors of one of them; a pause in advance is fine. */
function requireEmpty(files: TransferFiles, path: string): void {
  const held = transferTables().find((table) => {
    if (table === 'paused_kinds' || table === 'job_tokens') return false;
    return fileOf(files, table).prepare(`select 1 from ${table} limit 1`).get() !== undefined;
  });
  if (held === undefined) return;
  throw new JobStoreError(
    'not-empty',
    `Cannot import into job store "${path}": it has rows of "${held}", expected a new one`,
  );
}

function insertRecord(insert: (record: TransferRecord) => void, record: NumberedRecord): void {
  try {
    insert(record);
  } catch (error) {
    if (!(error instanceof Database.SqliteError) || !error.code.startsWith('SQLITE_CONSTRAINT')) throw error;
    throw new JobStoreError(
      'transfer-invalid',
      `Cannot import line ${record.lineNumber}: its values contradict each other or an earlier line, expected those of an export`,
      { cause: error },
    );
  }
}

/** What no single line shows: numbers that would be given out a second time. */
function requireAgreement(files: TransferFiles): void {
  const token = files.main.prepare(REPEATED_TOKEN).pluck().get();
  const term = files.leadership.prepare(TERM_AHEAD).pluck().get();
  const [what, value] = token === undefined ? ['term', term] : ['token', token];
  if (value === undefined) return;
  throw new JobStoreError(
    'transfer-invalid',
    `Cannot import ${what} "${JSON.stringify(value)}": another line disagrees with it, expected numbers that only grow`,
  );
}

function createInserter(files: TransferFiles): (record: TransferRecord) => void {
  const statements = new Map<TransferTable, Statement<[Record<string, TransferValue>]>>();
  for (const table of transferTables()) {
    statements.set(table, fileOf(files, table).prepare(insertOf(table)));
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
  const insert = `insert into ${table} (${columns.join(', ')}) values (${values.join(', ')})`;
  return table === 'paused_kinds' ? `${insert} on conflict do nothing` : insert;
}

function fileOf(files: TransferFiles, table: TransferTable): Database.Database {
  return LEADERSHIP_TABLES.includes(table) ? files.leadership : files.main;
}

function transferTables(): readonly TransferTable[] {
  // The literal keys of the record, in their order.
  return Object.keys(TRANSFER_COLUMNS) as TransferTable[];
}

const RAISE_TOKENS = `
update job_tokens set
  owner = 0,
  value = max(value,
              coalesce((select max(token) from jobs), 0),
              coalesce((select max(token) from job_attempts), 0))`;

/** A token that two claims have. */
const REPEATED_TOKEN = `
select token from (select token from jobs where token is not null union all select token from job_attempts)
group by token
having count(*) > 1
limit 1`;

/** The next leader's term starts above the leadership's own: one above that would be given out again. */
const TERM_AHEAD = `
select t.term from leadership_terms t left join leaderships l on l.name = t.name
where l.term is null or l.term < t.term
limit 1`;

const rowSchema = z.record(z.string(), z.union([z.string(), z.int(), z.null()]));
