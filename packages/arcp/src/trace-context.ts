/** W3C Trace Context (section 11). Invariant: what leaves on the wire as `trace_id` is 32 lower-case hex digits. */
import { randomUUID } from 'node:crypto';

/**
 * The trace id in a `trace_id` field: bare, or inside a `traceparent`.
 *
 * @param value - what a peer sent
 * @returns 32 hex digits, or `undefined` when the field is neither form or all zero
 */
export function parseTraceId(value: string): string | undefined {
  const match = TRACE_ID.exec(value) ?? TRACEPARENT.exec(value);
  const traceId = match?.[1];
  return traceId === undefined || ALL_ZERO.test(traceId) ? undefined : traceId;
}

/** A new random trace id: 122 random bits, from the pool that `randomUUID` keeps. */
export function createTraceId(): string {
  return randomUUID().replaceAll('-', '');
}

/** A `traceparent` with a new span in the trace, marked as sampled. */
export function createTraceparent(traceId: string): string {
  return `00-${traceId}-${createTraceId().slice(-16)}-01`;
}

const TRACE_ID = /^([0-9a-f]{32})$/;
const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/;
const ALL_ZERO = /^0+$/;
