/**
 * The store as lines of JSON, for backups people can read and for the way to another engine and back.
 * Invariant: what one store exports, another imports without loss, tokens and watermarks included.
 */
import { z } from 'zod';
import { JobStoreError } from './errors.ts';

/** @internal The tables that travel, in an order that foreign keys allow. */
export type TransferTable =
  | 'jobs'
  | 'job_attempts'
  | 'job_tokens'
  | 'paused_kinds'
  | 'leadership_fences'
  | 'schedule_cursors'
  | 'schedule_slots'
  | 'leaderships'
  | 'leadership_terms';

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

/** @internal Checks the first line; throws with code `transfer-invalid`. */
export function requireTransferHeader(line: string): void {
  parseLine(header, line, 1);
}

/** @internal Parses any further line; throws with code `transfer-invalid`. */
export function parseTransferRecord(line: string, lineNumber: number): TransferRecord {
  const { table, row } = parseLine(record, line, lineNumber);
  const unknownColumn = Object.keys(row).find((name) => !TRANSFER_COLUMNS[table].includes(name));
  if (unknownColumn !== undefined || Object.keys(row).length !== TRANSFER_COLUMNS[table].length) {
    throw new JobStoreError(
      'transfer-invalid',
      `Cannot import line ${lineNumber}: its columns of "${table}" are "${Object.keys(row).join(' ')}", expected "${TRANSFER_COLUMNS[table].join(' ')}"`,
    );
  }
  return { table, row };
}

/** @internal The columns that travel, by table. */
export const TRANSFER_COLUMNS: Readonly<Record<TransferTable, readonly string[]>> = {
  jobs: words(`
    job_id kind key status queue priority concurrency_key input_watermark claimed_watermark last_success_watermark
    cancel_watermark due_at_ms retry_at_ms max_retries failed_attempts attempt token worker_id node run_dir
    lease_until_ms started_at_ms finished_at_ms last_error payload result created_at_ms updated_at_ms`),
  job_attempts: words(`
    job_id token attempt worker_id node run_dir watermark started_at_ms finished_at_ms outcome error`),
  job_tokens: ['value'],
  paused_kinds: ['kind', 'paused_at_ms'],
  leadership_fences: ['leadership', 'term'],
  schedule_cursors: ['schedule', 'cursor_slot_ms'],
  schedule_slots: words('schedule slot_ms leadership term decision reason decided_at_ms'),
  leaderships: words(`
    name term version holder_id host ttl_ms acquired_at_ms renewed_at_ms lease_expires_at_ms`),
  leadership_terms: words('name term holder_id host acquired_at_ms ended_at_ms ended_by'),
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

function words(text: string): readonly string[] {
  return text.trim().split(/\s+/);
}

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
