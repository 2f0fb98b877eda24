/** The one check both clocks make before anything is scheduled. */

/** @internal Throws RangeError unless `delayMs` is a duration a timer can wait for. */
export function requireDelay(delayMs: number): void {
  if (Number.isNaN(delayMs) || delayMs < 0) {
    throw new RangeError(`Cannot set timer of "${delayMs}" ms: expected a duration of at least 0 ms`);
  }
}
