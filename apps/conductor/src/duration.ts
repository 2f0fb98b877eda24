/** Durations as people write them in a config file: `90s`, `30m`, `1h30m`, `250ms`. */

/**
 * Reads a duration.
 *
 * @param text - one or more number-and-unit pairs, units `ms`, `s`, `m`, `h`, `d`, largest first by custom only
 * @returns whole milliseconds, or `undefined` when the text is not a duration
 */
export function parseDuration(text: string): number | undefined {
  if (!WHOLE.test(text)) return undefined;
  let totalMs = 0;
  for (const [, amount, unit] of text.matchAll(PART)) {
    const unitMs = UNIT_MS[unit ?? ''];
    if (unitMs === undefined) return undefined;
    totalMs += Number(amount) * unitMs;
  }
  return Number.isSafeInteger(Math.round(totalMs)) ? Math.round(totalMs) : undefined;
}

/**
 * Writes a duration the way a person reads it, two units at most: `1h 30m`, `2.4s`, `340ms`.
 *
 * @param durationMs - at least 0
 */
export function formatDuration(durationMs: number): string {
  if (durationMs < 1_000) return `${Math.round(durationMs)}ms`;
  if (durationMs < 60_000) return `${(Math.floor(durationMs / 100) / 10).toFixed(1)}s`;
  const seconds = Math.floor(durationMs / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m ${seconds % 60}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1_440) return `${Math.floor(minutes / 60)}h ${minutes % 60}m`;
  return `${Math.floor(minutes / 1_440)}d ${Math.floor((minutes % 1_440) / 60)}h`;
}

const PART = /(\d+(?:\.\d+)?)(ms|s|m|h|d)/g;
const WHOLE = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/;
const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
