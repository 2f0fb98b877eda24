/**
 * How many lines of output become events, by the time at which they were seen in the log: how late they are read, and by
 * how many processes one after the other, changes nothing. Invariant: in any time no more passes than the rate allows
 * for it, and one burst.
 */

/** Counts lines. */
export interface LineBudget {
  /**
   * Whether one more may pass.
   *
   * @param atMs - when it was seen, UTC milliseconds; `undefined` when nobody knows: together with the one before
   */
  take(atMs: number | undefined): boolean;
}

/**
 * Makes a budget that starts full and fills up again at its rate.
 *
 * @param linesPerSecond - the rate
 * @param burst - how many may pass at once: what a busy machine sees late, it sees together
 */
export function createLineBudget(linesPerSecond: number, burst: number): LineBudget {
  let left = burst;
  let lastMs = Number.NEGATIVE_INFINITY;
  return {
    take(atMs = lastMs) {
      // The system's clock may have been set back meanwhile.
      const elapsedMs = Number.isFinite(lastMs) ? Math.max(0, atMs - lastMs) : 0;
      left = Math.min(burst, left + (elapsedMs / 1_000) * linesPerSecond);
      lastMs = atMs;
      if (left < 1) return false;
      left -= 1;
      return true;
    },
  };
}
