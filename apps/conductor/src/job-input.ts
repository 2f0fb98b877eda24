/**
 * What travels with a job in the store: its input, and for whom it runs. The door that reads it back.
 * Invariant: a payload that is not understood runs nothing.
 */
import type { JsonValue } from '@conductor-run/job-store';
import { z } from 'zod';

import { ConductorError } from './errors.ts';

/** What was enqueued with a job. */
export interface JobInput {
  /** What each step of the task gets on its standard input, as one line of JSON; `undefined` leaves it empty. */
  readonly input?: unknown;
  /** Set for a job that was submitted over ARCP. */
  readonly arcp?: ArcpOrigin | undefined;
}

/** Where a job that was submitted over ARCP comes from. */
export interface ArcpOrigin {
  /** The node whose runtime has its session. */
  readonly node: string;
  /** The version of the agent that was promised. */
  readonly version: string;
  /** W3C trace context, for the step to hand on. */
  readonly traceparent: string;
}

/**
 * Reads the payload of a job or a lease.
 *
 * @param name - of the job, for the message
 * @param payload - from the store
 * @throws ConductorError with code `payload-invalid`
 */
export function parseJobInput(name: string, payload: JsonValue | undefined): JobInput {
  const parsed = payloadSchema.safeParse(payload ?? {});
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new ConductorError(
    'payload-invalid',
    `Cannot run job "${name}": its payload is not understood at "${issue?.path.join('.') ?? ''}", ${issue?.message ?? 'expected an object'}`,
  );
}

/** The payload of a job; what is not JSON is left out. */
export function toPayload(input: JobInput): JsonValue {
  return jsonSchema.parse(JSON.parse(JSON.stringify(input)));
}

const payloadSchema = z.object({
  input: z.unknown().optional(),
  arcp: z.object({ node: z.string(), version: z.string(), traceparent: z.string() }).optional(),
});
const jsonSchema: z.ZodType<JsonValue> = z.json();
