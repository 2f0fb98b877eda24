import { describe, expect, test } from 'vitest';

import { createManualClock } from '../src/index.ts';

describe('advance', () => {
  test('given timers set out of order, when the clock advances past all, each runs once at its own instant', async () => {
    using clock = createManualClock({ nowMs: 1_000 });
    const seen: [string, number, number][] = [];
    const note = (name: string) => () => void seen.push([name, clock.nowMs(), clock.monotonicMs()]);
    clock.setTimer(30, note('c'));
    clock.setTimer(10, note('a'));
    clock.setTimer(10, note('b'));

    await clock.advance(100);

    expect(seen).toEqual([
      ['a', 1_010, 10],
      ['b', 1_010, 10],
      ['c', 1_030, 30],
    ]);
    expect(clock.nowMs()).toBe(1_100);
    expect(clock.pendingTimers()).toBe(0);
  });
});
