/**
 * The store as lines of JSON, for backups people can read and for the way to another engine and back: a header, one line
 * per record, and a last line that counts them.
 * Invariants: what one store exports, another imports without loss, tokens and watermarks included; an export that was
 * cut off anywhere is refused.
 */
import { z } from 'zod';
import { JobStoreError } from './errors.ts';
import { TRANSFER_ROWS, type TransferTable } from './transfer-rows.ts';

export type { TransferTable } from './transfer-rows.ts';

/** @internal A value of a row that travels. */
export type TransferValue = string | number | null;

/** @internal One row on its way. Payloads and results are JSON text, wherever an engine keeps them. */
export interface TransferRecord {
  readonly table: TransferTable;
  readonly row: Readonly<Record<string, TransferValue>>;
}

/** @internal The first line of every export. */
export function formatTransferHeader(exportedAtMs: number): string {
  return JSON.stringify({ format: FORMAT, version: VERSION, exportedAtMs });
}

/** @internal One record as a line, without the line break. */
export function formatTransferRecord(record: TransferRecord): string {
  return JSON.stringify({ table: record.table, row: record.row });
}

/** Checks the first line; throws with code `transfer-invalid`. */
function requireTransferHeader(line: string): void {
  parseLine(header, line, 1);
}

/** Every line between the first and this one is a record. */
function requireTransferEnd(line: string, lineNumber: number, records: number): void {
  const { records: promised } = parseLine(end, line, lineNumber);
  if (promised !== records) {
    throw invalid(lineNumber, `promises ${promised} records after ${records} of them`, 'each of them once');
  }
}

/** @internal The last line of every export. */
export function formatTransferEnd(records: number): string {
  return JSON.stringify({ records });
}

/** Parses any line between the first and the last; throws with code `transfer-invalid`. */
function parseTransferRecord(line: string, lineNumber: number): TransferRecord {
  const { table, row } = parseLine(record, line, lineNumber);
  const { error } = TRANSFER_ROWS[table].safeParse(row);
  if (error === undefined) return { table, row };
  const issue = error.issues[0];
  throw new JobStoreError(
    'transfer-invalid',
    `Cannot import line ${lineNumber}: its row of "${table}" has ${issue?.path.join('.') || 'columns'}: ${issue?.message}, expected "${TRANSFER_COLUMNS[table].join(' ')}"`,
    { cause: error },
  );
}

/** @internal A record and where it stood. */
export interface NumberedRecord extends TransferRecord {
  /** From 1. */
  readonly lineNumber: number;
}

/**
 * @internal The records of a whole export, for any engine to take in within one transaction; throws with code
 * `transfer-invalid`, also after the last record: nothing may be committed before this has ended.
 */
export async function* readTransfer(
  lines: AsyncIterable<string> | Iterable<string>,
): AsyncGenerator<NumberedRecord> {
  let lineNumber = 0;
  let endLineNumber = 0;
  let records = 0;
  for await (const line of lines) {
    lineNumber += 1;
    if (lineNumber === 1) {
      requireTransferHeader(line);
    } else if (line !== '') {
      if (endLineNumber > 0)
        throw invalid(lineNumber, `comes after the end in line ${endLineNumber}`, 'nothing');
      if (line.startsWith(END_START)) {
        requireTransferEnd(line, lineNumber, records);
        endLineNumber = lineNumber;
      } else {
        records += 1;
        yield { ...parseTransferRecord(line, lineNumber), lineNumber };
      }
    }
  }
  if (lineNumber === 0) requireTransferHeader('');
  if (endLineNumber === 0) {
    throw invalid(
      lineNumber + 1,
      'is missing, the export was cut off',
      'the count of records as its last line',
    );
  }
}

/** @internal The columns that travel, by table; the tables in an order that foreign keys allow. */
export const TRANSFER_COLUMNS: Readonly<Record<TransferTable, readonly string[]>> = {
  jobs: Object.keys(TRANSFER_ROWS.jobs.shape),
  job_attempts: Object.keys(TRANSFER_ROWS.job_attempts.shape),
  job_tokens: Object.keys(TRANSFER_ROWS.job_tokens.shape),
  paused_kinds: Object.keys(TRANSFER_ROWS.paused_kinds.shape),
  leadership_fences: Object.keys(TRANSFER_ROWS.leadership_fences.shape),
  schedule_cursors: Object.keys(TRANSFER_ROWS.schedule_cursors.shape),
  schedule_slots: Object.keys(TRANSFER_ROWS.schedule_slots.shape),
  leaderships: Object.keys(TRANSFER_ROWS.leaderships.shape),
  leadership_terms: Object.keys(TRANSFER_ROWS.leadership_terms.shape),
};

/** @internal The tables of the leadership file; all others are in the main one. */
export const LEADERSHIP_TABLES: readonly TransferTable[] = ['leaderships', 'leadership_terms'];

const FORMAT = 'conductor-job-store';
const VERSION = 1;

const header = z.strictObject({
  format: z.literal(FORMAT),
  version: z.literal(VERSION),
  exportedAtMs: z.int(),
});
const record = z.strictObject({
  table: z.enum([
    'jobs',
    'job_attempts',
    'job_tokens',
    'paused_kinds',
    'leadership_fences',
    'schedule_cursors',
    'schedule_slots',
    'leaderships',
    'leadership_terms',
  ]),
  row: z.record(z.string(), z.union([z.string(), z.int(), z.null()])),
});
const end = z.strictObject({ records: z.int().min(0) });
const END_START = '{"records":';

function parseLine<Value>(schema: z.ZodType<Value>, line: string, lineNumber: number): Value {
  try {
    return schema.parse(JSON.parse(line));
  } catch (error) {
    throw new JobStoreError(
      'transfer-invalid',
      `Cannot import line ${lineNumber}: "${line.slice(0, 80)}" is not a record, expected a line of an export`,
      { cause: error },
    );
  }
}

function invalid(lineNumber: number, state: string, wanted: string): JobStoreError {
  return new JobStoreError(
    'transfer-invalid',
    `Cannot import line ${lineNumber}: it ${state}, expected ${wanted}`,
  );
}
