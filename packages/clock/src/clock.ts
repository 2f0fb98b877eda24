/**
 * The clock port every package takes instead of reading time itself.
 * Invariant: wall time decides *when*, monotonic time decides *how long*; nothing here mixes the two.
 */

/** A pending callback. Cancelling twice, or after it ran, does nothing. */
export interface Timer extends Disposable {
  /** Drops the callback if it has not run yet. */
  cancel(): void;
}

/** How a timer treats the process that waits for it. */
export interface TimerOptions {
  /**
   * Whether the pending timer keeps the process alive.
   *
   * @defaultValue true
   */
  readonly keepAlive?: boolean;
}

/** How a sleep can be ended early, and whether it keeps the process alive. */
export interface SleepOptions extends TimerOptions {
  /** Ends the sleep early: the promise rejects with the signal's reason and the timer is gone. */
  readonly signal?: AbortSignal;
}

/** Where code gets the time and its timers from. */
export interface Clock {
  /** Wall time as integer UTC milliseconds since 1970. May jump in either direction. */
  nowMs(): number;
  /**
   * Milliseconds that never go back, with a fraction. On the real clock it counts from boot and is shared by all
   * processes of the machine until the next boot; like the kernel's CLOCK_MONOTONIC it stands still while the machine is suspended.
   */
  monotonicMs(): number;
  /**
   * Runs `callback` once, `delayMs` of monotonic time from now, never early and never synchronously.
   *
   * @param delayMs - at least 0; may exceed 2^31-1 ms; `Infinity` never runs
   * @param callback - must not throw: what it throws reaches the process as an uncaught exception
   * @param options - whether the timer keeps the process alive
   * @returns a handle that cancels it
   * @throws RangeError when `delayMs` is negative or NaN
   */
  setTimer(delayMs: number, callback: () => void, options?: TimerOptions): Timer;
  /**
   * Resolves after `delayMs` of monotonic time.
   *
   * @param delayMs - at least 0; may exceed 2^31-1 ms
   * @param options - a signal that ends it early, and whether it keeps the process alive
   * @throws RangeError when `delayMs` is negative or NaN, and the signal's reason when aborted
   */
  sleep(delayMs: number, options?: SleepOptions): Promise<void>;
}
