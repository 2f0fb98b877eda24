/** The client's door: what a runtime may say, parsed once. Invariant: unknown types and fields are passed over. */
import { z } from 'zod';
import { errorSchema, leaseConstraintsSchema, leaseSchema } from './event-bodies.ts';
import { ARCP_WIRE_CODES, ArcpError, type ArcpErrorPayload } from './errors.ts';
import { JOB_STATUSES } from './job-state.ts';
import type {
  Envelope,
  JobAccepted,
  JobErrorPayload,
  JobEvent,
  JobResult,
  JobSubscribed,
  SessionJobs,
  SessionWelcome,
} from './wire.ts';

/** What a runtime may say. */
export type RuntimeMessage =
  | { readonly type: 'session.welcome'; readonly payload: SessionWelcome }
  | { readonly type: 'session.error'; readonly payload: ArcpErrorPayload }
  | { readonly type: 'session.closed' }
  | { readonly type: 'session.ping'; readonly payload: { readonly nonce: string } }
  | { readonly type: 'session.pong' }
  | { readonly type: 'session.jobs'; readonly payload: SessionJobs }
  | { readonly type: 'job.accepted'; readonly payload: JobAccepted }
  | { readonly type: 'job.cancelled' }
  | { readonly type: 'job.subscribed'; readonly payload: JobSubscribed }
  | { readonly type: 'job.event'; readonly payload: JobEvent }
  | { readonly type: 'job.result'; readonly payload: JobResult }
  | { readonly type: 'job.error'; readonly payload: JobErrorPayload }
  | { readonly type: 'unknown' };

/**
 * Reads a runtime's message.
 *
 * @param envelope - as `parseFrame` gave it
 * @throws ArcpError with code INVALID_REQUEST when a known type has another payload
 */
export function parseRuntimeMessage(envelope: Envelope): RuntimeMessage {
  switch (envelope.type) {
    case 'session.welcome':
      return { type: envelope.type, payload: parsePayload(welcomeSchema, envelope) };
    case 'session.error':
      return { type: envelope.type, payload: parsePayload(errorSchema, envelope) };
    case 'session.ping':
      return { type: envelope.type, payload: parsePayload(pingSchema, envelope) };
    case 'session.closed':
    case 'session.pong':
    case 'job.cancelled':
      return { type: envelope.type };
    case 'session.jobs':
      return { type: envelope.type, payload: parsePayload(jobsSchema, envelope) };
    case 'job.accepted':
      return { type: envelope.type, payload: parsePayload(acceptedSchema, envelope) };
    case 'job.subscribed':
      return { type: envelope.type, payload: parsePayload(subscribedSchema, envelope) };
    case 'job.event':
      return { type: envelope.type, payload: parsePayload(eventSchema, envelope) };
    case 'job.result':
      return { type: envelope.type, payload: parsePayload(resultSchema, envelope) };
    case 'job.error':
      return { type: envelope.type, payload: parsePayload(jobErrorSchema, envelope) };
    default:
      return { type: 'unknown' };
  }
}

function parsePayload<T>(schema: z.ZodType<T>, envelope: Envelope): T {
  const parsed = schema.safeParse(envelope.payload);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new ArcpError(
    'INVALID_REQUEST',
    `Cannot read "${envelope.type}" of the runtime: payload "${issue?.path.join('.') ?? ''}" is wrong (${issue?.message ?? 'unknown'})`,
  );
}

const text = z.string().min(1);
const seconds = z.number().positive();
const budgetSchema = z.record(z.string(), z.number());
const credentialSchema = z.object({
  id: text,
  scheme: text,
  value: text,
  endpoint: text,
  profile: text.exactOptional(),
  constraints: z.record(z.string(), z.unknown()).exactOptional(),
});
const agentSchema = z
  .object({ name: text, versions: z.array(text).default([]), default: text.optional() })
  .transform(({ name, versions, default: preferred }) => ({
    name,
    versions,
    default: preferred ?? versions[0] ?? '',
  }));
const welcomeSchema = z.object({
  runtime: z.object({ name: z.string(), version: z.string() }),
  resume_token: text,
  resume_window_sec: seconds,
  heartbeat_interval_sec: seconds.exactOptional(),
  capabilities: z.object({
    encodings: z.array(z.string()).optional(),
    features: z.array(z.string()).optional(),
    agents: z
      .array(z.union([text.transform((name) => ({ name, versions: [], default: '' })), agentSchema]))
      .optional(),
  }),
});
const pingSchema = z.object({ nonce: text });
const jobsSchema = z.object({
  request_id: text,
  jobs: z.array(
    z.object({
      job_id: text,
      agent: text,
      status: z.enum(JOB_STATUSES),
      lease: leaseSchema,
      parent_job_id: z.string().nullable().default(null),
      created_at: text,
      trace_id: z.string().default(''),
      last_event_seq: z.int().nonnegative(),
    }),
  ),
  next_cursor: z.string().nullable().default(null),
});
const acceptedSchema = z.object({
  job_id: text,
  agent: z.string().default(''),
  lease: leaseSchema,
  lease_constraints: leaseConstraintsSchema.exactOptional(),
  budget: budgetSchema.exactOptional(),
  credentials: z.array(credentialSchema).exactOptional(),
  accepted_at: text,
  parent_job_id: text.exactOptional(),
  trace_id: z.string().default(''),
});
const subscribedSchema = z.object({
  job_id: text,
  current_status: z.enum(JOB_STATUSES),
  agent: text,
  lease: leaseSchema,
  lease_constraints: leaseConstraintsSchema.exactOptional(),
  budget: budgetSchema.exactOptional(),
  credentials: z.array(credentialSchema).exactOptional(),
  parent_job_id: z.string().nullable().default(null),
  trace_id: z.string().default(''),
  subscribed_from: z.int().nonnegative(),
  replayed: z.boolean(),
});
const eventSchema = z.object({ kind: text, ts: z.string(), body: z.unknown().optional() });
const resultSchema = z.object({
  final_status: z.literal('success'),
  result: z.unknown().optional(),
  result_id: text.exactOptional(),
  result_size: z.int().nonnegative().exactOptional(),
  summary: z.string().exactOptional(),
});
const jobErrorSchema = z.object({
  final_status: z.enum(['error', 'cancelled', 'timed_out']),
  code: z.enum(ARCP_WIRE_CODES),
  message: z.string(),
  retryable: z.boolean(),
  details: z.record(z.string(), z.unknown()).exactOptional(),
});
