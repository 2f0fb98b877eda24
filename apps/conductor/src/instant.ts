/** Instants as people type them: ISO 8601, UTC unless they say another offset. */
import { ConductorError } from './errors.ts';

/**
 * Reads an instant.
 *
 * @param option - for the message, such as `--from`
 * @param text - ISO 8601, a date alone meaning its midnight; without an offset it is UTC
 * @returns UTC ms
 * @throws ConductorError with code `usage`
 */
export function parseInstant(option: string, text: string): number {
  const atMs = ISO.test(text) ? Date.parse(hasZone(text) ? text : `${text}Z`) : Number.NaN;
  if (!Number.isNaN(atMs)) return atMs;
  throw new ConductorError(
    'usage',
    `Cannot use ${option} "${text}": expected an ISO 8601 instant such as 2027-03-28 or 2027-03-28T01:30+01:00`,
  );
}

/** A date alone is UTC for Date.parse already; a time without an offset would be local. */
function hasZone(text: string): boolean {
  return !text.includes('T') || /(?:Z|[+-]\d{2}:\d{2})$/.test(text);
}

const ISO = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?(?:Z|[+-]\d{2}:\d{2})?)?$/;
