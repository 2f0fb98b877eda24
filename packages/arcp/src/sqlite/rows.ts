/** Rows read back from a file: a door like any other. Invariant: what is not as we write it is refused by name. */
import { z } from 'zod';
import { ArcpError } from '../errors.ts';
import { JOB_STATUSES } from '../job-state.ts';
import type { StoredCredential, StoredEvent, StoredJob, StoredSession } from '../runtime/event-store.ts';

/** Event types by the number they are stored as. */
export const EVENT_TYPES: readonly StoredEvent['type'][] = ['job.event', 'job.result', 'job.error'];

/** A session with its number and the size of its events. */
export interface SessionRow {
  readonly sessionNo: number;
  readonly bufferedBytes: number;
  readonly session: StoredSession;
}

/** @throws ArcpError with code store-unreadable */
export function readSessionRow(row: unknown): SessionRow {
  const found = read(sessionSchema, row, 'session');
  return {
    sessionNo: found.session_no,
    bufferedBytes: found.buffered_bytes,
    session: {
      sessionId: found.session_id,
      principal: found.principal,
      features: found.features,
      tokenHash: found.token_hash,
      previousTokenHash: found.previous_token_hash ?? undefined,
      lastSeq: found.last_seq,
      evictedSeq: found.evicted_seq,
      ackedSeq: found.acked_seq,
      createdAtMs: found.created_at_ms,
      detachedAtMs: found.detached_at_ms ?? undefined,
      isClosed: found.is_closed === 1,
      subscriptions: found.subscriptions,
    },
  };
}

/** @throws ArcpError with code store-unreadable */
export function readJobRow(row: unknown): StoredJob {
  const found = read(jobSchema, row, 'job');
  return {
    jobId: found.job_id,
    sessionId: found.session_id,
    principal: found.principal,
    agent: found.agent,
    status: found.status,
    createdAtMs: found.created_at_ms,
    finishedAtMs: found.finished_at_ms ?? undefined,
    lastEventSeq: found.last_event_seq,
    parentJobId: found.parent_job_id ?? undefined,
    traceId: found.trace_id,
    idempotencyKey: found.idempotency_key ?? undefined,
    requestHash: found.request_hash,
    acceptedJson: found.accepted,
    submitJson: found.submit,
    budget: found.budget,
    expiresAtMs: found.expires_at_ms ?? undefined,
    deadlineAtMs: found.deadline_at_ms ?? undefined,
    position: found.position ?? undefined,
    stream: found.stream ?? undefined,
  };
}

/** @throws ArcpError with code store-unreadable */
export function readEventRow(sessionId: string, row: unknown): StoredEvent {
  const found = read(eventSchema, row, 'event');
  return {
    sessionId,
    seq: found.seq,
    jobId: found.job_id,
    type: EVENT_TYPES[found.type] ?? 'job.event',
    traceId: found.trace_id,
    payloadJson: found.payload,
  };
}

/** @throws ArcpError with code store-unreadable */
export function readCredentialRow(row: unknown): StoredCredential {
  const found = read(credentialSchema, row, 'credential');
  return {
    handle: found.handle,
    jobId: found.job_id,
    credentialId: found.credential_id,
    failedRevocations: found.failed_revocations,
  };
}

function read<T>(schema: z.ZodType<T>, row: unknown, what: string): T {
  const parsed = schema.safeParse(row);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new ArcpError(
    'store-unreadable',
    `Cannot read ${what} row: column "${issue?.path.join('.') ?? ''}" is wrong (${issue?.message ?? 'unknown'}), expected what this version writes`,
  );
}

const count = z.int().nonnegative();

/** JSON text in a column. */
function json<T>(schema: z.ZodType<T>): z.ZodType<T> {
  return z
    .string()
    .transform((text, context): unknown => {
      try {
        return JSON.parse(text);
      } catch (error) {
        context.addIssue({ code: 'custom', message: `no JSON: ${String(error)}` });
        return z.NEVER;
      }
    })
    .pipe(schema) as z.ZodType<T>;
}

const sessionSchema = z.object({
  session_no: count,
  session_id: z.string(),
  principal: z.string(),
  features: json(z.array(z.string())),
  token_hash: z.string(),
  previous_token_hash: z.string().nullable(),
  last_seq: count,
  evicted_seq: count,
  acked_seq: count,
  created_at_ms: z.int(),
  detached_at_ms: z.int().nullable(),
  is_closed: z.int(),
  subscriptions: json(z.array(z.object({ jobId: z.string(), copiedSeq: count }))),
  buffered_bytes: count,
});
const jobSchema = z.object({
  job_id: z.string(),
  session_id: z.string(),
  principal: z.string(),
  agent: z.string(),
  status: z.enum(JOB_STATUSES),
  created_at_ms: z.int(),
  finished_at_ms: z.int().nullable(),
  last_event_seq: count,
  parent_job_id: z.string().nullable(),
  trace_id: z.string(),
  idempotency_key: z.string().nullable(),
  request_hash: z.string(),
  accepted: z.string(),
  submit: z.string(),
  budget: json(z.record(z.string(), z.object({ initial: z.string(), spent: z.string() }))),
  expires_at_ms: z.int().nullable(),
  deadline_at_ms: z.number().nullable(),
  position: z.string().nullable(),
  stream: json(
    z.object({ resultId: z.string(), nextChunk: count, size: count, isDone: z.boolean() }),
  ).nullable(),
});
const eventSchema = z.object({
  seq: count,
  job_id: z.string(),
  type: z.int().min(0).max(2),
  trace_id: z.string(),
  payload: z.string(),
});
const credentialSchema = z.object({
  handle: z.string(),
  job_id: z.string(),
  credential_id: z.string(),
  failed_revocations: count,
});
