/** Instants as people write them. Invariant: a local time in a gap or an overlap follows the same rule as a slot. */

import type { Zone } from './zone.ts';

/**
 * @internal Reads UTC ms, an ISO 8601 instant with an offset, or a local date and time in `zone`;
 * `undefined` when it is none of them.
 */
export function parseInstant(value: number | string, zone: Zone): number | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value : undefined;
  const match = ISO_8601.exec(value.trim());
  if (match === null) return undefined;
  const [, date = '', time = '00:00', offset = ''] = match;
  if (!isCalendarDate(date)) return undefined;
  // Always parsed with an offset: without one, JavaScript would read it in the machine's own zone.
  const parsedMs = Date.parse(`${date}T${time}${offset === '' ? 'Z' : offset}`);
  if (Number.isNaN(parsedMs)) return undefined;
  return offset === '' ? wallToInstant(parsedMs, zone) : parsedMs;
}

/** The first instant at which the wall clock of `zone` shows `wallMs`, or passes over it. */
function wallToInstant(wallMs: number, zone: Zone): number {
  let segment = zone.segmentAt(wallMs - LARGEST_OFFSET_MS);
  while (wallMs >= segment.endMs + segment.offsetMs) segment = zone.segmentAt(segment.endMs);
  return Math.max(segment.startMs, wallMs - segment.offsetMs);
}

/** JavaScript takes 30 February for 2 March; we do not. */
function isCalendarDate(date: string): boolean {
  const parsedMs = Date.parse(`${date}T00:00Z`);
  return !Number.isNaN(parsedMs) && new Date(parsedMs).toISOString().startsWith(date);
}

const ISO_8601 = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?)(Z|[+-]\d{2}:\d{2})?)?$/;
const LARGEST_OFFSET_MS = 26 * 3_600_000;
