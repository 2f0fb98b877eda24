/**
 * How many lines of output become events, by the time at which they were written: how late they are read, and by how
 * many processes one after the other, changes nothing. Invariant: of any second no more than twice the rate passes.
 */

/** Counts lines. */
export interface LineBudget {
  /**
   * Whether one more may pass.
   *
   * @param atMs - when it was written, UTC milliseconds; `undefined` when nobody knows: together with the one before
   */
  take(atMs: number | undefined): boolean;
}

/**
 * Makes a budget that starts full and fills up again at its rate.
 *
 * @param linesPerSecond - the rate, and how many may pass at once
 */
export function createLineBudget(linesPerSecond: number): LineBudget {
  let left = linesPerSecond;
  let lastMs = Number.NEGATIVE_INFINITY;
  return {
    take(atMs = lastMs) {
      // The system's clock may have been set back meanwhile.
      const elapsedMs = Number.isFinite(lastMs) ? Math.max(0, atMs - lastMs) : 0;
      left = Math.min(linesPerSecond, left + (elapsedMs / 1_000) * linesPerSecond);
      lastMs = atMs;
      if (left < 1) return false;
      left -= 1;
      return true;
    },
  };
}
