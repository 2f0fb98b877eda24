/** Instants as people read them in a table. */
import { formatDuration } from '../duration.ts';

/**
 * Says how far an instant is from now: `3.0s ago`, `in 4m 0s`, `-` for none.
 *
 * @param atMs - UTC ms
 * @param nowMs - UTC ms
 */
export function formatRelative(atMs: number | null | undefined, nowMs: number): string {
  if (atMs === undefined || atMs === null) return '-';
  const deltaMs = atMs - nowMs;
  if (Math.abs(deltaMs) < 1_000) return 'now';
  return deltaMs > 0 ? `in ${formatDuration(deltaMs)}` : `${formatDuration(-deltaMs)} ago`;
}

/** The instant in ISO 8601, UTC; `-` for none. */
export function formatInstant(atMs: number | null | undefined): string {
  return atMs === undefined || atMs === null ? '-' : new Date(atMs).toISOString();
}
