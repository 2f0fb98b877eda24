/** How many lines of output become events. Invariant: over any second no more than twice the rate passes. */
import type { Clock } from '@conductor-run/clock';

/** Counts lines. */
export interface LineBudget {
  /** Whether one more may pass now. */
  take(): boolean;
}

/**
 * Makes a budget that starts full and fills up again at its rate.
 *
 * @param linesPerSecond - the rate, and how many may pass at once
 * @param clock - whose monotonic time counts
 */
export function createLineBudget(linesPerSecond: number, clock: Clock): LineBudget {
  let left = linesPerSecond;
  let atMs = clock.monotonicMs();
  return {
    take() {
      const nowMs = clock.monotonicMs();
      left = Math.min(linesPerSecond, left + ((nowMs - atMs) / 1_000) * linesPerSecond);
      atMs = nowMs;
      if (left < 1) return false;
      left -= 1;
      return true;
    },
  };
}
