import { getEventListeners } from 'node:events';

import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { createManualClock, type Timer } from '../src/index.ts';

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

  test('given any timers, cancellations and steps, each timer runs exactly when a sorted list says so', async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('set' as const), ms: fc.nat({ max: 50 }) }),
      fc.record({ kind: fc.constant('cancel' as const), ms: fc.nat({ max: 30 }) }),
      fc.record({ kind: fc.constant('advance' as const), ms: fc.nat({ max: 40 }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        using clock = createManualClock();
        const ran: string[] = [];
        const expected: string[] = [];
        const timers: Timer[] = [];
        let pending: { readonly id: number; readonly atMs: number }[] = [];
        for (const { kind, ms } of steps) {
          if (kind === 'set') {
            const id = timers.length;
            timers.push(clock.setTimer(ms, () => void ran.push(`${id}@${clock.monotonicMs()}`)));
            pending.push({ id, atMs: clock.monotonicMs() + ms });
          } else if (kind === 'cancel') {
            timers[ms]?.cancel();
            pending = pending.filter(({ id }) => id !== ms);
          } else {
            const untilMs = clock.monotonicMs() + ms;
            const due = pending
              .filter(({ atMs }) => atMs <= untilMs)
              .sort((a, b) => a.atMs - b.atMs || a.id - b.id);
            expected.push(...due.map(({ id, atMs }) => `${id}@${atMs}`));
            pending = pending.filter(({ atMs }) => atMs > untilMs);
            await clock.advance(ms);
          }
          expect(clock.pendingTimers()).toBe(pending.length);
        }
        expect(ran).toEqual(expected);
      }),
      { numRuns: 200 },
    );
  });

  test('given a loop that sleeps an hour at a time, a year of it runs, each round at its hour', async () => {
    using clock = createManualClock({ nowMs: Date.UTC(2026, 0, 1) });
    const hours: number[] = [];
    const loop = (async () => {
      for (let hour = 0; hour < 24 * 365; hour++) {
        await clock.sleep(3_600_000);
        hours.push(clock.nowMs());
      }
    })();

    await clock.advance(365 * 86_400_000);
    await loop;

    expect(hours).toHaveLength(24 * 365);
    expect(hours.every((atMs, index) => atMs === Date.UTC(2026, 0, 1, index + 1))).toBe(true);
  });

  test('given a callback that throws, the step fails with it and the clock goes on from there', async () => {
    using clock = createManualClock();
    const seen: number[] = [];
    clock.setTimer(10, () => {
      throw new Error('boom');
    });
    clock.setTimer(20, () => void seen.push(clock.monotonicMs()));

    await expect(clock.advance(100)).rejects.toThrow('boom');
    await clock.advance(10);

    expect(seen).toEqual([20]);
  });

  test.for([[-1], [Number.NaN], [Number.POSITIVE_INFINITY]])(
    'given %d ms, it throws and nothing moves',
    async ([deltaMs = 0]) => {
      using clock = createManualClock();

      await expect(clock.advance(deltaMs)).rejects.toThrow(RangeError);

      expect(clock.monotonicMs()).toBe(0);
    },
  );
});

describe('advanceToNextTimer', () => {
  test('given timers, it runs one at a time and says when there is none; one at infinity is none', async () => {
    using clock = createManualClock();
    const seen: number[] = [];
    clock.setTimer(5, () => void seen.push(5));
    clock.setTimer(3_000_000_000, () => void seen.push(3e9));
    clock.setTimer(Number.POSITIVE_INFINITY, () => void seen.push(Infinity));

    expect(clock.nextTimerInMs()).toBe(5);
    expect(await clock.advanceToNextTimer()).toBe(true);
    expect(clock.nextTimerInMs()).toBe(3_000_000_000 - 5);
    expect(await clock.advanceToNextTimer()).toBe(true);
    expect(await clock.advanceToNextTimer()).toBe(false);

    expect(seen).toEqual([5, 3e9]);
    expect(clock.pendingTimers()).toBe(1);
  });
});

describe('setWallTime', () => {
  test('given a wall clock set back and forth, timers run on monotonic time alone', async () => {
    using clock = createManualClock({ nowMs: 1000, monotonicMs: 7 });
    const seen: [number, number][] = [];
    clock.setTimer(10, () => void seen.push([clock.nowMs(), clock.monotonicMs()]));

    clock.setWallTime(50);
    await clock.advance(9);
    clock.setWallTime(9_000_000);
    expect(seen).toEqual([]);
    await clock.advance(1);

    expect(seen).toEqual([[9_000_001, 17]]);
  });

  test('given times that are no numbers, it throws', () => {
    expect(() => createManualClock({ nowMs: Number.NaN })).toThrow(RangeError);
    expect(() => createManualClock({ monotonicMs: Infinity })).toThrow(RangeError);
    using clock = createManualClock();
    expect(() => clock.setWallTime(Number.NaN)).toThrow(RangeError);
  });
});

describe('timers', () => {
  test('given a timer cancelled before, after and during its run, it runs at most once', async () => {
    using clock = createManualClock();
    let runs = 0;
    const cancelled = clock.setTimer(1, () => void (runs += 1));
    cancelled.cancel();
    cancelled.cancel();
    const own: Timer = clock.setTimer(2, () => {
      runs += 1;
      own.cancel();
    });
    {
      using _scoped = clock.setTimer(3, () => void (runs += 100));
    }

    await clock.advance(10);
    own.cancel();

    expect(runs).toBe(1);
    expect(clock.nextTimerInMs()).toBeUndefined();
  });

  test('given a timer of no delay, it does not run synchronously but on the next step', async () => {
    using clock = createManualClock();
    let hasRun = false;
    clock.setTimer(0, () => {
      hasRun = true;
    });
    expect(hasRun).toBe(false);

    await clock.advance(0);

    expect(hasRun).toBe(true);
  });

  test.for([[-1], [Number.NaN]])('given a delay of %d ms, it throws', ([delayMs = 0]) => {
    using clock = createManualClock();
    expect(() => clock.setTimer(delayMs, () => {})).toThrow(RangeError);
  });

  test('given a clock that is disposed, nothing pending runs any more', async () => {
    const clock = createManualClock();
    let runs = 0;
    const timer = clock.setTimer(1, () => void (runs += 1));
    clock[Symbol.dispose]();
    timer.cancel();

    await clock.advance(10);

    expect([runs, clock.pendingTimers()]).toEqual([0, 0]);
  });
});

describe('sleep', () => {
  test('given an abort before, during and after, it rejects with the reason or not at all, and leaves nothing', async () => {
    using clock = createManualClock();
    const early = AbortSignal.abort(new Error('early'));
    const during = new AbortController();
    const after = new AbortController();

    await expect(clock.sleep(5, { signal: early })).rejects.toThrow('early');
    const sleeping = clock.sleep(5, { signal: during.signal });
    during.abort(new Error('during'));
    await expect(sleeping).rejects.toThrow('during');
    const slept = clock.sleep(5, { signal: after.signal });
    await clock.advance(5);
    await slept;
    after.abort();

    expect(clock.pendingTimers()).toBe(0);
    expect(getEventListeners(during.signal, 'abort')).toEqual([]);
    expect(getEventListeners(after.signal, 'abort')).toEqual([]);
  });

  test('given an abort with a reason that is no error, it rejects with an error that carries it', async () => {
    using clock = createManualClock();

    await expect(clock.sleep(5, { signal: AbortSignal.abort('stop') })).rejects.toMatchObject({
      message: 'stop',
      cause: 'stop',
    });
  });

  test('given a bad duration, it rejects', async () => {
    using clock = createManualClock();
    await expect(clock.sleep(-1)).rejects.toThrow(RangeError);
  });
});
