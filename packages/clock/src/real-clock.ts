/**
 * The real clock: the only file of the project that reads the system's time or sets its timers.
 * Invariant: a timer never fires early, however long its delay.
 */
import type { Clock, SleepOptions, Timer, TimerOptions } from './clock.ts';
import { requireDelay } from './delay.ts';
import { sleepOn } from './sleep.ts';

/**
 * Makes a clock on the system's wall and monotonic time.
 *
 * @returns a clock without state of its own; any number of them may exist
 */
export function createRealClock(): Clock {
  return {
    nowMs: () => Date.now(),
    monotonicMs,
    setTimer: setRealTimer,
    sleep: (delayMs: number, options?: SleepOptions) => sleepOn({ setTimer: setRealTimer }, delayMs, options),
  };
}

/** The system's monotonic clock in ms: CLOCK_MONOTONIC on Linux, counted from boot. */
function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / NANOSECONDS_PER_MS;
}

function setRealTimer(delayMs: number, callback: () => void, options: TimerOptions = {}): Timer {
  requireDelay(delayMs);
  const dueAtMs = monotonicMs() + delayMs;
  let handle: NodeJS.Timeout | undefined;

  const arm = (remainingMs: number): void => {
    // Rounded up: Node cuts fractions off, and a timer must not fire early.
    handle = setTimeout(onTimeout, Math.min(Math.ceil(remainingMs), MAX_TIMEOUT_MS));
    if (options.keepAlive === false) handle.unref();
  };
  const onTimeout = (): void => {
    const remainingMs = dueAtMs - monotonicMs();
    if (remainingMs > 0) {
      arm(remainingMs);
      return;
    }
    handle = undefined;
    callback();
  };
  const cancel = (): void => {
    clearTimeout(handle);
    handle = undefined;
  };

  arm(delayMs);
  return { cancel, [Symbol.dispose]: cancel };
}

const NANOSECONDS_PER_MS = 1e6;
/** Node's largest timeout; anything longer fires after 1 ms (setTimeout in the Node documentation). */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;
