import { describe, expect, test } from 'vitest';

import { createDeadline, createManualClock, createRealClock, sleepUntil } from '../src/index.ts';

describe('createDeadline', () => {
  test('given a deadline, what is left shrinks with monotonic time and never goes below zero', async () => {
    using clock = createManualClock({ monotonicMs: 100 });
    const deadline = createDeadline(clock, 50);

    await clock.advance(20);
    clock.setWallTime(0);

    expect(deadline.atMonotonicMs).toBe(150);
    expect([deadline.remainingMs(), deadline.isExpired()]).toEqual([30, false]);
    await clock.advance(30);
    expect([deadline.remainingMs(), deadline.isExpired()]).toEqual([0, true]);
    await clock.advance(1000);
    expect(deadline.remainingMs()).toBe(0);
  });

  test('given a callback, it runs when the deadline passes, at once when it has, never when cancelled or there is none', async () => {
    using clock = createManualClock();
    const seen: string[] = [];
    const deadline = createDeadline(clock, 50);
    deadline.onExpired(() => void seen.push(`at ${clock.monotonicMs()}`));
    deadline.onExpired(() => void seen.push('cancelled')).cancel();
    const never = createDeadline(clock, Number.POSITIVE_INFINITY);
    never.onExpired(() => void seen.push('never'));

    await clock.advance(60);
    deadline.onExpired(() => void seen.push(`late at ${clock.monotonicMs()}`));
    await clock.advance(0);

    expect(seen).toEqual(['at 50', 'late at 60']);
    expect([never.isExpired(), never.remainingMs()]).toEqual([false, Infinity]);
  });

  test.for([[-1], [Number.NaN]])('given %d ms, it throws', ([timeoutMs = 0]) => {
    expect(() => createDeadline(createRealClock(), timeoutMs)).toThrow(RangeError);
  });
});

describe('sleepUntil', () => {
  test('given an instant days away, it wakes at it, looking at the wall clock twice a minute', async () => {
    using clock = createManualClock({ nowMs: 0 });
    let wokeAtMs = 0;
    const sleeping = sleepUntil(clock, 3 * 86_400_000 + 5).then(() => {
      wokeAtMs = clock.nowMs();
    });

    await clock.advance(4 * 86_400_000);
    await sleeping;

    expect(wokeAtMs).toBe(3 * 86_400_000 + 5);
  });

  test('given a wall clock set ahead, as after a suspend, it wakes within 30 s; set back, it waits longer', async () => {
    using clock = createManualClock({ nowMs: 0 });
    let isAwake = false;
    const sleeping = sleepUntil(clock, 3_600_000).then(() => {
      isAwake = true;
    });
    await clock.advance(1000);

    clock.setWallTime(-3_600_000);
    await clock.advance(3_600_000);
    expect(isAwake).toBe(false);
    clock.setWallTime(3_600_001);
    await clock.advance(30_000);

    await sleeping;
    expect(isAwake).toBe(true);
  });

  test('given an instant in the past, it resolves on the next turn; given NaN or an abort, it rejects', async () => {
    using clock = createManualClock({ nowMs: 1000 });
    const sleeping = sleepUntil(clock, 10);
    await clock.advance(0);
    await sleeping;

    await expect(sleepUntil(clock, Number.NaN)).rejects.toThrow(RangeError);
    await expect(sleepUntil(clock, 5000, { signal: AbortSignal.abort(new Error('no')) })).rejects.toThrow(
      'no',
    );
    expect(clock.pendingTimers()).toBe(0);
  });
});
