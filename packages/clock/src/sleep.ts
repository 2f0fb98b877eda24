/** Sleeping on top of any `setTimer`. Invariant: an aborted sleep leaves no timer and no listener behind. */
import type { Clock, SleepOptions } from './clock.ts';

/** The part of a clock that sleeping needs. */
export type TimerSource = Pick<Clock, 'setTimer'>;

/** @internal Shared by both clocks; users call `clock.sleep`. */
export function sleepOn(source: TimerSource, delayMs: number, options: SleepOptions = {}): Promise<void> {
  const { signal } = options;
  return new Promise<void>((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(abortReason(signal));
      return;
    }
    const onAbort = (): void => {
      timer.cancel();
      if (signal !== undefined) reject(abortReason(signal));
    };
    const timer = source.setTimer(
      delayMs,
      () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      },
      options,
    );
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/**
 * Resolves when the *wall* clock reads `atMs` or later.
 *
 * Looks again at least every 30 s, so that a wall clock that was set, or a machine that was suspended, delays it by
 * no more than that: timers alone do not count time spent asleep.
 *
 * @param clock - where both times come from
 * @param atMs - integer UTC milliseconds; an instant in the past resolves on the next turn
 * @param options - a signal that ends it early, and whether it keeps the process alive
 * @throws RangeError when `atMs` is NaN, and the signal's reason when aborted
 */
export async function sleepUntil(clock: Clock, atMs: number, options: SleepOptions = {}): Promise<void> {
  if (Number.isNaN(atMs)) {
    throw new RangeError('Cannot sleep until "NaN": expected an instant in UTC milliseconds');
  }
  do {
    const remainingMs = Math.max(0, atMs - clock.nowMs());
    await clock.sleep(Math.min(remainingMs, LOOK_AGAIN_MS), options);
  } while (clock.nowMs() < atMs);
}

function abortReason(signal: AbortSignal): Error {
  const reason: unknown = signal.reason;
  return reason instanceof Error ? reason : new Error(String(reason), { cause: reason });
}

const LOOK_AGAIN_MS = 30_000;
