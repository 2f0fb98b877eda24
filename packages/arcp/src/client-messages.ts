/** The runtime's door: what a client may say, parsed once. Invariant: what passes has the shape its type promises. */
import { z } from 'zod';
import { ArcpError } from './errors.ts';
import { leaseConstraintsSchema, leaseSchema } from './event-bodies.ts';
import type { Envelope, JobSubmit, ListJobsRequest, SessionHello } from './wire.ts';

/** What a client may say, by type. `session.bye` is read as `session.close`, `session.resume` as a hello with `resume`. */
export type ClientMessage =
  | { readonly type: 'hello'; readonly hello: SessionHello }
  | { readonly type: 'ping'; readonly nonce: string }
  | { readonly type: 'pong' }
  | { readonly type: 'ack'; readonly lastProcessedSeq: number }
  | { readonly type: 'list-jobs'; readonly request: ListJobsRequest }
  | { readonly type: 'close' }
  | { readonly type: 'submit'; readonly submit: JobSubmit }
  | { readonly type: 'cancel'; readonly jobId: string; readonly reason: string | undefined }
  | {
      readonly type: 'subscribe';
      readonly jobId: string;
      readonly fromEventSeq: number | undefined;
      readonly history: boolean;
    }
  | { readonly type: 'unsubscribe'; readonly jobId: string };

/**
 * Reads a client's message.
 *
 * @param envelope - as `parseFrame` gave it
 * @throws ArcpError with code INVALID_REQUEST; `details.request_id` is the message's id
 */
export function parseClientMessage(envelope: Envelope): ClientMessage {
  switch (envelope.type) {
    case 'session.hello':
      return { type: 'hello', hello: parseHello(envelope) };
    case 'session.resume':
      return { type: 'hello', hello: parseResume(envelope) };
    case 'session.ping':
      return { type: 'ping', nonce: parsePayload(pingSchema, envelope).nonce };
    case 'session.pong':
      return { type: 'pong' };
    case 'session.ack':
      return { type: 'ack', lastProcessedSeq: parsePayload(ackSchema, envelope).last_processed_seq };
    case 'session.list_jobs':
      return { type: 'list-jobs', request: parsePayload(listSchema, envelope) };
    case 'session.close':
    case 'session.bye':
      return { type: 'close' };
    case 'job.submit':
      return { type: 'submit', submit: parsePayload(submitSchema, envelope) };
    case 'job.cancel': {
      const payload = parsePayload(cancelSchema, envelope);
      return { type: 'cancel', jobId: jobIdOf(envelope, payload.job_id), reason: payload.reason };
    }
    case 'job.subscribe': {
      const payload = parsePayload(subscribeSchema, envelope);
      return {
        type: 'subscribe',
        jobId: jobIdOf(envelope, payload.job_id),
        fromEventSeq: payload.from_event_seq,
        history: payload.history ?? false,
      };
    }
    case 'job.unsubscribe': {
      const payload = parsePayload(cancelSchema, envelope);
      return { type: 'unsubscribe', jobId: jobIdOf(envelope, payload.job_id) };
    }
    default:
      throw invalid(envelope, 'no such type in a client');
  }
}

function parseHello(envelope: Envelope): SessionHello {
  const { capabilities, ...hello } = parsePayload(helloSchema, envelope);
  return { ...hello, features: capabilities?.features ?? [] };
}

function parseResume(envelope: Envelope): SessionHello {
  const payload = parsePayload(resumeSchema, envelope);
  const { client, auth, capabilities, session_id, resume_token, last_event_seq } = payload;
  return {
    client: client ?? { name: 'unnamed', version: '0' },
    auth,
    features: capabilities?.features ?? [],
    resume: { session_id, resume_token, last_event_seq },
  };
}

function jobIdOf(envelope: Envelope, inPayload: string | undefined): string {
  const jobId = inPayload ?? envelope.job_id;
  if (jobId === undefined) throw invalid(envelope, 'no job_id, neither in the payload nor beside it');
  return jobId;
}

function parsePayload<T>(schema: z.ZodType<T>, envelope: Envelope): T {
  const parsed = schema.safeParse(envelope.payload);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw invalid(
    envelope,
    `payload "${issue?.path.join('.') ?? ''}" is wrong: ${issue?.message ?? 'unknown'}`,
  );
}

function invalid(envelope: Envelope, why: string): ArcpError {
  const type = envelope.type.replaceAll(/[^\w.-]/g, '?');
  return new ArcpError('INVALID_REQUEST', `Cannot read "${type}": ${why}`, {
    details: { request_id: envelope.id },
  });
}

const text = z.string().min(1);
const identitySchema = z.object({ name: text.max(256), version: text.max(256) });
// A missing or strange credential is UNAUTHENTICATED, not INVALID_REQUEST: the authenticator decides.
const authSchema = z
  .object({ scheme: z.string().catch(''), token: z.string().catch('') })
  .catch({ scheme: '', token: '' });
const capabilitiesSchema = z.object({ features: z.array(z.string()).max(256).exactOptional() });
const resumeRequestSchema = z.object({
  session_id: text,
  resume_token: text,
  last_event_seq: z.int().nonnegative(),
});
const helloSchema = z.object({
  client: identitySchema,
  auth: authSchema,
  capabilities: capabilitiesSchema.exactOptional(),
  resume: resumeRequestSchema.exactOptional(),
});
const resumeSchema = resumeRequestSchema.extend({
  client: identitySchema.exactOptional(),
  auth: authSchema,
  capabilities: capabilitiesSchema.exactOptional(),
});
const pingSchema = z.object({ nonce: text.max(256) });
const ackSchema = z.object({ last_processed_seq: z.int().nonnegative() });
const listSchema: z.ZodType<ListJobsRequest> = z.object({
  filter: z
    .object({
      status: z.array(z.string()).max(16).optional(),
      agent: z.string().optional(),
      created_after: z.iso.datetime({ offset: true }).optional(),
      created_before: z.iso.datetime({ offset: true }).optional(),
    })
    .exactOptional(),
  limit: z.int().min(1).max(1_000).exactOptional(),
  cursor: z.string().max(512).nullable().exactOptional(),
});
const submitSchema: z.ZodType<JobSubmit> = z.object({
  agent: text.max(300),
  input: z.unknown().optional(),
  lease_request: leaseSchema.exactOptional(),
  lease_constraints: leaseConstraintsSchema.exactOptional(),
  idempotency_key: text.max(512).exactOptional(),
  max_runtime_sec: z.number().positive().exactOptional(),
});
const cancelSchema = z
  .object({ job_id: text.exactOptional(), reason: z.string().max(1_024).exactOptional() })
  .default({});
const subscribeSchema = z.object({
  job_id: text.exactOptional(),
  from_event_seq: z.int().nonnegative().exactOptional(),
  history: z.boolean().exactOptional(),
});
