/**
 * The door for imported rows: what a row of each table may hold, whichever engine wrote it.
 * Invariant: a row that passes can be read, claimed, ended and exported again. What rows must be to each other is checked
 * by the tables they go into and by the engine.
 */
import { z } from 'zod';
import { isStorable, MAX_INSTANT_MS, MAX_KIND_LENGTH, MAX_NUMBER, MAX_TEXT_LENGTH } from './options.ts';

/** @internal The tables that travel. */
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

const text = (maxLength: number): z.ZodType<string> =>
  z.string().min(1).max(maxLength).refine(isStorable, { error: 'expected well-formed text without NUL' });
const name = text(MAX_TEXT_LENGTH);
const kind = text(MAX_KIND_LENGTH);
/** From 1: numbers of rows, attempts, tokens, terms and watermarks. */
const ordinal = z.int().min(1).max(MAX_NUMBER);
const count = z.int().min(0);
const instant = z.int().min(0).max(MAX_INSTANT_MS);
const json = z.string().refine(isJson, { error: 'expected JSON' });
const outcome = z.enum(['succeeded', 'failed', 'lost', 'released']);

/** @internal By table, in an order that foreign keys allow. */
export const TRANSFER_ROWS: Readonly<Record<TransferTable, z.ZodObject>> = {
  jobs: z.strictObject({
    job_id: ordinal,
    kind,
    key: name,
    status: z.enum(['pending', 'running', 'done', 'error', 'cancelled']),
    queue: z.int().min(0).max(2),
    priority: z.int(),
    concurrency_key: name.nullable(),
    input_watermark: ordinal,
    claimed_watermark: ordinal.nullable(),
    last_success_watermark: count,
    cancel_watermark: count.nullable(),
    due_at_ms: instant,
    retry_at_ms: instant.nullable(),
    max_retries: count,
    failed_attempts: count,
    attempt: count.max(MAX_NUMBER),
    token: ordinal.nullable(),
    worker_id: name.nullable(),
    node: name.nullable(),
    run_dir: name.nullable(),
    lease_until_ms: instant.nullable(),
    started_at_ms: instant.nullable(),
    finished_at_ms: instant.nullable(),
    last_error: z.string().nullable(),
    payload: json.nullable(),
    result: json.nullable(),
    created_at_ms: instant,
    updated_at_ms: instant,
  }),
  job_attempts: z.strictObject({
    job_id: ordinal,
    token: ordinal,
    attempt: ordinal,
    worker_id: name,
    node: name.nullable(),
    run_dir: name.nullable(),
    watermark: ordinal,
    started_at_ms: instant,
    finished_at_ms: instant,
    outcome,
    error: z.string().nullable(),
  }),
  job_tokens: z.strictObject({ value: count.max(MAX_NUMBER) }),
  // The kind '' stands for all of them.
  paused_kinds: z.strictObject({ kind: z.union([kind, z.literal('')]), paused_at_ms: instant }),
  leadership_fences: z.strictObject({ leadership: name, term: ordinal }),
  schedule_cursors: z.strictObject({ schedule: name, cursor_slot_ms: instant }),
  schedule_slots: z.strictObject({
    schedule: name,
    slot_ms: instant,
    leadership: name,
    term: ordinal,
    decision: name,
    reason: z.string().nullable(),
    decided_at_ms: instant,
  }),
  leaderships: z.strictObject({
    name,
    term: ordinal,
    version: ordinal,
    holder_id: name.nullable(),
    host: name.nullable(),
    ttl_ms: instant,
    acquired_at_ms: instant,
    renewed_at_ms: instant,
    lease_expires_at_ms: instant,
  }),
  leadership_terms: z.strictObject({
    name,
    term: ordinal,
    holder_id: name,
    host: name,
    acquired_at_ms: instant,
    ended_at_ms: instant.nullable(),
    ended_by: z.enum(['resigned', 'superseded']).nullable(),
  }),
};

function isJson(value: string): boolean {
  try {
    JSON.parse(value);
    return true;
  } catch {
    return false;
  }
}
