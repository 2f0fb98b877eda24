/**
 * A clock that stands still until a test or a simulation moves it.
 * Invariant: timers run in the order of their due time, then of their creation, and each sees exactly its due time.
 */
import type { Clock, SleepOptions, Timer, TimerOptions } from './clock.ts';
import { requireDelay } from './delay.ts';
import { createTimerHeap, type PendingTimer } from './timer-heap.ts';
import { sleepOn } from './sleep.ts';

/** Where a manual clock starts. */
export interface ManualClockOptions {
  /**
   * The first wall time, integer UTC milliseconds.
   *
   * @defaultValue 2026-01-01T00:00:00Z
   */
  readonly nowMs?: number;
  /**
   * The first monotonic time in ms.
   *
   * @defaultValue 0
   */
  readonly monotonicMs?: number;
}

/** A clock under the caller's control. Disposing it cancels what is pending; see `pendingTimers` to assert there is nothing. */
export interface ManualClock extends Clock, Disposable {
  /**
   * Moves both times forward, running every timer that falls due on the way at its own instant. Between timers, and
   * once at the end, promise callbacks and one turn of the event loop run, so that code woken by a timer may set the next one.
   *
   * @param deltaMs - at least 0
   * @throws RangeError when `deltaMs` is negative or not finite, and whatever a timer's callback throws
   */
  advance(deltaMs: number): Promise<void>;
  /** Moves to the next pending timer and runs it; false when there is none. */
  advanceToNextTimer(): Promise<boolean>;
  /**
   * Sets the wall clock only, as an administrator or NTP would: no timer runs, monotonic time stays.
   *
   * @param nowMs - integer UTC milliseconds, earlier or later than now
   * @throws RangeError when `nowMs` is not a finite number
   */
  setWallTime(nowMs: number): void;
  /** Timers waiting to run. Zero after a clean `stop()` of whatever used this clock. */
  pendingTimers(): number;
  /** Monotonic ms until the next timer, or `undefined` when none is pending. */
  nextTimerInMs(): number | undefined;
}

/**
 * Makes a clock that only moves when told to.
 *
 * @param options - where it starts
 * @throws RangeError when a start is not a finite number
 */
export function createManualClock(options: ManualClockOptions = {}): ManualClock {
  let wallMs = requireFinite('create manual clock at wall time', options.nowMs ?? Date.UTC(2026, 0, 1));
  let monotonic = requireFinite('create manual clock at monotonic time', options.monotonicMs ?? 0);
  let sequence = 0;
  const timers = createTimerHeap();

  const setTimer = (delayMs: number, callback: () => void, _options?: TimerOptions): Timer => {
    requireDelay(delayMs);
    const timer: PendingTimer = { dueAtMs: monotonic + delayMs, sequence: sequence++, callback, index: -1 };
    timers.push(timer);
    const cancel = (): void => timers.remove(timer);
    return { cancel, [Symbol.dispose]: cancel };
  };
  const moveTo = (targetMs: number): void => {
    const deltaMs = Math.max(0, targetMs - monotonic);
    wallMs += deltaMs;
    monotonic += deltaMs;
  };
  /** Runs the earliest timer due by `limitMs`; false when there is none. */
  const runNext = async (limitMs: number): Promise<boolean> => {
    const next = timers.peek();
    if (next === undefined || next.dueAtMs > limitMs || next.dueAtMs === Number.POSITIVE_INFINITY)
      return false;
    timers.remove(next);
    moveTo(next.dueAtMs);
    next.callback();
    await settle();
    return true;
  };

  return {
    nowMs: () => Math.floor(wallMs),
    monotonicMs: () => monotonic,
    setTimer,
    sleep: (delayMs: number, sleepOptions?: SleepOptions) => sleepOn({ setTimer }, delayMs, sleepOptions),
    async advance(deltaMs) {
      if (!Number.isFinite(deltaMs) || deltaMs < 0) {
        throw new RangeError(
          `Cannot advance clock by "${deltaMs}" ms: expected a finite duration of at least 0 ms`,
        );
      }
      const targetMs = monotonic + deltaMs;
      await settle();
      while (await runNext(targetMs));
      moveTo(targetMs);
      await settle();
    },
    async advanceToNextTimer() {
      await settle();
      return runNext(Number.MAX_VALUE);
    },
    setWallTime(nowMs) {
      wallMs = requireFinite('set wall time to', nowMs);
    },
    pendingTimers: () => timers.size(),
    nextTimerInMs() {
      const next = timers.peek();
      return next === undefined ? undefined : Math.max(0, next.dueAtMs - monotonic);
    },
    [Symbol.dispose]: () => timers.clear(),
  };
}

/** One turn of the event loop: every promise callback that is ready runs, also those that lead to further ones. */
function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function requireFinite(verb: string, value: number): number {
  if (!Number.isFinite(value)) {
    throw new RangeError(`Cannot ${verb} "${value}": expected a finite number of ms`);
  }
  return value;
}
