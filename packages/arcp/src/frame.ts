/**
 * One message as text: reading it safely, writing it cheaply. Invariant: nothing a peer sends can make this throw
 * anything but INVALID_REQUEST, however deep or long it is.
 */
import { z } from 'zod';
import { ArcpError } from './errors.ts';
import { parseTraceId } from './trace-context.ts';
import { PROTOCOL_VERSION, type Envelope } from './wire.ts';

/** How much of a message is read. */
export interface FrameLimits {
  /**
   * Characters.
   *
   * @defaultValue 4,194,304
   */
  readonly maxLength?: number;
  /**
   * Nested objects and arrays.
   *
   * @defaultValue 64
   */
  readonly maxDepth?: number;
}

/**
 * Reads the envelope of a message. The payload is left as it is; unknown fields are dropped.
 *
 * @param text - one JSON object
 * @param limits - how long and how deep it may be
 * @throws ArcpError with code INVALID_REQUEST; `details.request_id` holds the message's id when it had a usable one
 */
export function parseFrame(text: string, limits: FrameLimits = {}): Envelope {
  const { maxLength = MAX_LENGTH, maxDepth = MAX_DEPTH } = limits;
  if (text.length > maxLength)
    throw invalid(`it has ${text.length} characters, expected at most ${maxLength}`);
  if (!isShallow(text, maxDepth)) throw invalid(`it is nested deeper than ${maxDepth} levels`);
  const json = parseJson(text);
  const parsed = envelopeSchema.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const why = `field "${issue?.path.join('.') ?? ''}" is wrong: ${issue?.message ?? 'unknown'}`;
    throw invalid(why, usableId(json));
  }
  const { trace_id: traceId, ...envelope } = parsed.data;
  if (traceId === undefined || traceId === null) return envelope;
  const trace = parseTraceId(traceId);
  if (trace === undefined) throw invalid('field "trace_id" is no trace id and no traceparent', envelope.id);
  return { ...envelope, trace_id: trace };
}

/** The fields of a message that is to be written. `payloadJson` is JSON text already. */
export interface FrameFields {
  /** Unique among the sender's messages. */
  readonly id: string;
  /** Such as `job.event`. */
  readonly type: string;
  /** The session, once there is one. */
  readonly sessionId?: string | undefined;
  /** 32 hex digits. */
  readonly traceId?: string | undefined;
  /** The job it is about. */
  readonly jobId?: string | undefined;
  /** Its place in the stream, for what has one. */
  readonly eventSeq?: number | undefined;
  /** JSON text, inserted as it is. */
  readonly payloadJson: string;
}

/** Writes a message. Ids, types and trace ids are our own and need no escaping; the payload is inserted as it is. */
export function formatFrame(fields: FrameFields): string {
  let text = `{"arcp":"${PROTOCOL_VERSION}","id":"${fields.id}","type":"${fields.type}"`;
  if (fields.sessionId !== undefined) text += `,"session_id":"${fields.sessionId}"`;
  if (fields.traceId !== undefined) text += `,"trace_id":"${fields.traceId}"`;
  if (fields.jobId !== undefined) text += `,"job_id":"${fields.jobId}"`;
  if (fields.eventSeq !== undefined) text += `,"event_seq":${fields.eventSeq}`;
  return `${text},"payload":${fields.payloadJson}}`;
}

/** Counts brackets outside strings, so that nothing deep reaches a recursive function. */
function isShallow(text: string, maxDepth: number): boolean {
  if (text.length <= maxDepth) return true;
  let depth = 0;
  let isString = false;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (isString) {
      if (code === BACKSLASH) at += 1;
      else if (code === QUOTE) isString = false;
    } else if (code === QUOTE) isString = true;
    else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      depth += 1;
      if (depth > maxDepth) return false;
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) depth -= 1;
  }
  return true;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ArcpError('INVALID_REQUEST', 'Cannot read message: it is no JSON, expected one object', {
      cause: error,
    });
  }
}

function usableId(json: unknown): string | undefined {
  if (typeof json !== 'object' || json === null || !('id' in json)) return undefined;
  return typeof json.id === 'string' && json.id.length <= MAX_ID ? json.id : undefined;
}

function invalid(why: string, requestId?: string): ArcpError {
  const options = requestId === undefined ? {} : { details: { request_id: requestId } };
  return new ArcpError('INVALID_REQUEST', `Cannot read message: ${why}`, options);
}

const MAX_LENGTH = 4 * 1_024 * 1_024;
const MAX_DEPTH = 64;
const MAX_ID = 256;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

const envelopeSchema = z.object({
  arcp: z.literal(PROTOCOL_VERSION),
  id: z.string().min(1).max(MAX_ID),
  type: z.string().min(1).max(64),
  session_id: z.string().min(1).max(MAX_ID).exactOptional(),
  trace_id: z.string().nullish(),
  job_id: z.string().min(1).max(MAX_ID).exactOptional(),
  event_seq: z.int().nonnegative().exactOptional(),
  payload: z.unknown().optional(),
});
