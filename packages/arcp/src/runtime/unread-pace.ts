/**
 * How fast agents may go on whose events nobody is reading: all of them together, so many events in an interval.
 * Invariant: whoever waits goes on, in the order in which they came; nothing is dropped.
 */
import type { Clock } from '@conductor-run/clock';

/** The pace of what is not read. */
export interface UnreadPace {
  /** Takes room for one event; `undefined` when there is some, else a promise that waits for it. */
  take(): Promise<void> | undefined;
}

/**
 * Makes a pace; no timer runs while nothing is taken.
 *
 * @param clock - measures the intervals
 */
export function createUnreadPace(clock: Clock): UnreadPace {
  const waiting: (() => void)[] = [];
  let left = EVENTS_PER_INTERVAL;
  let isCounting = false;

  const count = (): void => {
    isCounting = true;
    clock.setTimer(INTERVAL_MS, renew);
  };
  const renew = (): void => {
    const next = waiting.splice(0, EVENTS_PER_INTERVAL);
    left = EVENTS_PER_INTERVAL - next.length;
    isCounting = false;
    if (next.length > 0) count();
    for (const resolve of next) resolve();
  };

  return {
    take() {
      if (!isCounting) count();
      if (left > 0) {
        left -= 1;
        return undefined;
      }
      return new Promise((resolve) => {
        waiting.push(resolve);
      });
    },
  };
}

/** 6,400 events a second: a hundred times what a person can follow, and a fraction of what a store commits. */
const EVENTS_PER_INTERVAL = 64;
const INTERVAL_MS = 10;
