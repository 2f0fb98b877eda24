/** Deadlines: how long is left, on monotonic time. Invariant: a deadline, once set, never moves. */
import type { Clock, Timer, TimerOptions } from './clock.ts';

/** A fixed point in monotonic time. */
export interface Deadline {
  /** The instant on the clock's monotonic time line, in ms; `Infinity` when there is none. */
  readonly atMonotonicMs: number;
  /** Milliseconds left, never negative. */
  remainingMs(): number;
  /** True once nothing is left. */
  isExpired(): boolean;
  /**
   * Runs `callback` once when the deadline passes, on the next turn if it has passed.
   *
   * @returns a handle; cancel it when the work is done in time
   */
  onExpired(callback: () => void, options?: TimerOptions): Timer;
}

/**
 * Sets a deadline `timeoutMs` from now.
 *
 * @param clock - whose monotonic time counts
 * @param timeoutMs - at least 0; `Infinity` for a deadline that never passes
 * @throws RangeError when `timeoutMs` is negative or NaN
 */
export function createDeadline(clock: Clock, timeoutMs: number): Deadline {
  if (Number.isNaN(timeoutMs) || timeoutMs < 0) {
    throw new RangeError(`Cannot set deadline of "${timeoutMs}" ms: expected a duration of at least 0 ms`);
  }
  const atMonotonicMs = clock.monotonicMs() + timeoutMs;
  const remainingMs = (): number => Math.max(0, atMonotonicMs - clock.monotonicMs());
  return {
    atMonotonicMs,
    remainingMs,
    isExpired: () => remainingMs() === 0,
    onExpired: (callback, options) => clock.setTimer(remainingMs(), callback, options),
  };
}
