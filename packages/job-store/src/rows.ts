/** The door between database rows and domain types: every row that leaves the database is parsed here. */
import { z } from 'zod';
import type { Attempt, AttemptOutcome, Job, JobStatus, JsonValue, Lease } from './jobs.ts';
import type { Slot } from './results.ts';

type EndedOutcome = Exclude<AttemptOutcome, 'running'>;

/** @internal A row of `jobs` as it is stored. */
export interface JobRow {
  readonly job_id: number;
  readonly kind: string;
  readonly key: string;
  readonly status: JobStatus;
  readonly queue: number;
  readonly priority: number;
  readonly concurrency_key: string | null;
  readonly input_watermark: number;
  readonly claimed_watermark: number | null;
  readonly last_success_watermark: number;
  readonly cancel_watermark: number | null;
  readonly due_at_ms: number;
  readonly retry_at_ms: number | null;
  readonly max_retries: number;
  readonly failed_attempts: number;
  readonly attempt: number;
  readonly token: number | null;
  readonly worker_id: string | null;
  readonly node: string | null;
  readonly run_dir: string | null;
  readonly lease_until_ms: number | null;
  readonly started_at_ms: number | null;
  readonly finished_at_ms: number | null;
  readonly last_error: string | null;
  readonly payload: string | null;
  readonly result: string | null;
  readonly large_values: number;
  readonly created_at_ms: number;
  readonly updated_at_ms: number;
  readonly ended_token: number | null;
  readonly ended_outcome: EndedOutcome | null;
}

/** @internal What a claim needs to know of a job before it changes. */
export type ClaimableRow = Pick<
  JobRow,
  'job_id' | 'kind' | 'key' | 'attempt' | 'ended_token' | 'input_watermark' | 'payload' | 'large_values'
>;

/** @internal A row of `attempts`, the view of them all. */
export interface AttemptRow {
  readonly job_id: number;
  readonly token: number;
  readonly attempt: number;
  readonly worker_id: string;
  readonly node: string | null;
  readonly run_dir: string | null;
  readonly watermark: number;
  readonly started_at_ms: number;
  readonly finished_at_ms: number | null;
  readonly outcome: AttemptOutcome;
  readonly error: string | null;
}

/** @internal What an enqueue answers. */
export interface EnqueuedRow {
  readonly job_id: number;
  readonly input_watermark: number;
}

/** @internal What the end of an attempt answers. */
export interface EndedRow {
  readonly job_id: number;
  readonly status: JobStatus;
}

/** @internal What a failure answers. */
export interface FailedRow extends EndedRow {
  readonly retry_at_ms: number | null;
}

/** @internal What a renewal answers. */
export interface HeartbeatRow {
  readonly lease_until_ms: number;
  readonly is_cancel_requested: number;
}

/** @internal A name and how often it occurs. */
export interface CountRow {
  readonly name: string;
  readonly count: number;
}

/** @internal What a claim has to see to first; 0 or 1 each. */
export interface GateRow {
  readonly has_expired: number;
  readonly has_waiting: number;
  readonly has_paused: number;
}

/** @internal A job that could be claimed. */
export interface CandidateRow {
  readonly job_id: number;
  readonly concurrency_key: string | null;
}

/** @internal Reads a large value of a job; the row says whether there is one. */
export type ReadLargeValue = (jobId: number, name: 'payload' | 'result') => unknown;

/** @internal */
export const parseJobRow = (row: unknown): JobRow => jobRow.parse(row);
/** @internal */
export const parseClaimableRow = (row: unknown): ClaimableRow => claimableRow.parse(row);
/** @internal */
export const parseAttemptRow = (row: unknown): AttemptRow => attemptRow.parse(row);
/** @internal */
export const parseEnqueuedRow = (row: unknown): EnqueuedRow => enqueuedRow.parse(row);
/** @internal */
export const parseEndedRow = (row: unknown): EndedRow => endedRow.parse(row);
/** @internal */
export const parseFailedRow = (row: unknown): FailedRow => failedRow.parse(row);
/** @internal */
export const parseHeartbeatRow = (row: unknown): HeartbeatRow => heartbeatRow.parse(row);
/** @internal */
export const parseCountRow = (row: unknown): CountRow => countRow.parse(row);
/** @internal */
export const parseCandidateRow = (row: unknown): CandidateRow => candidateRow.parse(row);
/** @internal */
export const parseGateRow = (row: unknown): GateRow => gateRow.parse(row);
/** @internal */
export const parseInteger = (value: unknown): number => integer.parse(value);
/** @internal */
export const parseStatus = (value: unknown): JobStatus => status.parse(value);
/** @internal */
export const parseText = (value: unknown): string => z.string().parse(value);

/** @internal A stored job as callers see it. */
export function rowToJob(row: JobRow, readLargeValue: ReadLargeValue): Job {
  const isExhausted = row.status === 'error' && row.retry_at_ms === null;
  return {
    jobId: row.job_id,
    kind: row.kind,
    key: row.key,
    status: row.status,
    inputWatermark: row.input_watermark,
    claimedWatermark: row.claimed_watermark ?? undefined,
    lastSuccessWatermark: row.last_success_watermark,
    isDirty: row.input_watermark > row.last_success_watermark,
    token: row.token ?? undefined,
    // The column stays behind for the attempt's record.
    workerId: row.status === 'running' ? (row.worker_id ?? undefined) : undefined,
    node: row.node ?? undefined,
    runDir: row.run_dir ?? undefined,
    leaseUntilMs: row.lease_until_ms ?? undefined,
    startedAtMs: row.started_at_ms ?? undefined,
    finishedAtMs: row.finished_at_ms ?? undefined,
    dueAtMs: row.due_at_ms,
    priority: row.priority,
    concurrencyKey: row.concurrency_key ?? undefined,
    retryAtMs: row.retry_at_ms ?? undefined,
    maxRetries: row.max_retries,
    retriesLeft: isExhausted ? 0 : Math.max(0, row.max_retries - row.failed_attempts),
    failedAttempts: row.failed_attempts,
    isExhausted,
    attempt: row.attempt,
    isCancelRequested:
      row.status === 'running' && (row.cancel_watermark ?? 0) >= (row.claimed_watermark ?? Infinity),
    lastError: row.last_error ?? undefined,
    payload: storedValue(row, 'payload', readLargeValue),
    result: storedValue(row, 'result', readLargeValue),
    createdAtMs: row.created_at_ms,
    updatedAtMs: row.updated_at_ms,
  };
}

/** @internal The lease that claiming a job gives. */
export function rowToLease(
  row: ClaimableRow,
  claim: {
    readonly token: number;
    readonly workerId: string;
    readonly node: string | undefined;
    readonly leaseUntilMs: number;
    readonly nowMs: number;
  },
  readLargeValue: ReadLargeValue,
): Lease {
  const payload = storedValue(row, 'payload', readLargeValue);
  return {
    jobId: row.job_id,
    kind: row.kind,
    key: row.key,
    token: claim.token,
    workerId: claim.workerId,
    ...(claim.node === undefined ? {} : { node: claim.node }),
    attempt: row.attempt + 1,
    watermark: row.input_watermark,
    leaseUntilMs: claim.leaseUntilMs,
    startedAtMs: claim.nowMs,
    ...(payload === undefined ? {} : { payload }),
  };
}

/** @internal A stored attempt as callers see it. */
export function rowToAttempt(row: AttemptRow): Attempt {
  return {
    attempt: row.attempt,
    token: row.token,
    workerId: row.worker_id,
    node: row.node ?? undefined,
    runDir: row.run_dir ?? undefined,
    watermark: row.watermark,
    startedAtMs: row.started_at_ms,
    finishedAtMs: row.finished_at_ms ?? undefined,
    outcome: row.outcome,
    error: row.error ?? undefined,
  };
}

/** @internal A decided slot as callers see it. */
export function rowToSlot(value: unknown): Slot {
  const row = slotRow.parse(value);
  return {
    schedule: row.schedule,
    slotMs: row.slot_ms,
    decision: row.decision,
    reason: row.reason ?? undefined,
    term: row.term,
    decidedAtMs: row.decided_at_ms,
  };
}

/** @internal Bit of `large_values` that says where a value is. */
export const LARGE_VALUE_BITS = { payload: 1, result: 2 } as const;

function storedValue(
  row: {
    readonly job_id: number;
    readonly large_values: number;
    readonly payload?: string | null;
    readonly result?: string | null;
  },
  name: 'payload' | 'result',
  readLargeValue: ReadLargeValue,
): JsonValue | undefined {
  const isLarge = (row.large_values & LARGE_VALUE_BITS[name]) !== 0;
  const json = isLarge ? parseText(readLargeValue(row.job_id, name)) : row[name];
  // The column holds only what `JSON.stringify` made of a JsonValue.
  return json === null || json === undefined ? undefined : (JSON.parse(json) as JsonValue);
}

const integer = z.int();
const maybeInteger = z.int().nullable();
const maybeText = z.string().nullable();
const endedOutcome = z.enum(['succeeded', 'failed', 'lost', 'released']);
const status = z.enum(['pending', 'running', 'done', 'error', 'cancelled']);

const jobRow = z.strictObject({
  job_id: integer,
  kind: z.string(),
  key: z.string(),
  status,
  queue: integer,
  priority: integer,
  concurrency_key: maybeText,
  input_watermark: integer,
  claimed_watermark: maybeInteger,
  last_success_watermark: integer,
  cancel_watermark: maybeInteger,
  due_at_ms: integer,
  retry_at_ms: maybeInteger,
  max_retries: integer,
  failed_attempts: integer,
  attempt: integer,
  token: maybeInteger,
  worker_id: maybeText,
  node: maybeText,
  run_dir: maybeText,
  lease_until_ms: maybeInteger,
  started_at_ms: maybeInteger,
  finished_at_ms: maybeInteger,
  last_error: maybeText,
  payload: maybeText,
  result: maybeText,
  large_values: integer,
  created_at_ms: integer,
  updated_at_ms: integer,
  ended_token: maybeInteger,
  ended_outcome: endedOutcome.nullable(),
});

const claimableRow = z.strictObject({
  job_id: integer,
  kind: z.string(),
  key: z.string(),
  attempt: integer,
  ended_token: maybeInteger,
  input_watermark: integer,
  payload: maybeText,
  large_values: integer,
});

const attemptRow = z.strictObject({
  job_id: integer,
  token: integer,
  attempt: integer,
  worker_id: z.string(),
  node: maybeText,
  run_dir: maybeText,
  watermark: integer,
  started_at_ms: integer,
  finished_at_ms: maybeInteger,
  outcome: z.enum(['running', ...endedOutcome.options]),
  error: maybeText,
});

const slotRow = z.strictObject({
  schedule: z.string(),
  slot_ms: integer,
  leadership: z.string(),
  term: integer,
  decision: z.string(),
  reason: maybeText,
  decided_at_ms: integer,
});

const enqueuedRow = z.strictObject({ job_id: integer, input_watermark: integer });
const endedRow = z.strictObject({ job_id: integer, status });
const failedRow = z.strictObject({
  job_id: integer,
  status,
  retry_at_ms: maybeInteger,
});
const heartbeatRow = z.strictObject({ lease_until_ms: integer, is_cancel_requested: integer });
const countRow = z.strictObject({ name: z.string(), count: integer });
const gateRow = z.strictObject({ has_expired: integer, has_waiting: integer, has_paused: integer });
const candidateRow = z.strictObject({ job_id: integer, concurrency_key: maybeText });
