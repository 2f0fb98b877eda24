import { execFile } from 'node:child_process';
import { getEventListeners } from 'node:events';
import { promisify } from 'node:util';

import { describe, expect, onTestFinished, test, vi } from 'vitest';

import { createRealClock } from '../src/index.ts';

const run = promisify(execFile);
const fixture = (name: string): string => new URL(`fixtures/${name}`, import.meta.url).pathname;

describe('createRealClock', () => {
  test('given many short timers, none runs early, none synchronously', async () => {
    const clock = createRealClock();
    const earliest = await Promise.all(
      Array.from({ length: 200 }, async (_, index) => {
        const delayMs = (index % 20) * 0.7;
        const startMs = clock.monotonicMs();
        await clock.sleep(delayMs);
        return clock.monotonicMs() - startMs - delayMs;
      }),
    );
    expect(Math.min(...earliest)).toBeGreaterThanOrEqual(0);

    let hasRun = false;
    using _timer = clock.setTimer(0, () => {
      hasRun = true;
    });
    expect(hasRun).toBe(false);
  });

  test('given a delay beyond what Node can count, the timer waits for all of it', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'hrtime'] });
    onTestFinished(() => void vi.useRealTimers());
    const clock = createRealClock();
    const delayMs = 3 * 2 ** 31;
    let runs = 0;
    using _timer = clock.setTimer(delayMs, () => void (runs += 1), { keepAlive: false });
    using _never = clock.setTimer(Number.POSITIVE_INFINITY, () => void (runs += 100));

    await vi.advanceTimersByTimeAsync(delayMs - 1);
    expect(runs).toBe(0);
    await vi.advanceTimersByTimeAsync(2 * delayMs);

    expect(runs).toBe(1);
  });

  test('given a timer cancelled twice and one cancelled after it ran, nothing more happens', async () => {
    const clock = createRealClock();
    let runs = 0;
    const cancelled = clock.setTimer(1, () => void (runs += 1));
    cancelled.cancel();
    cancelled[Symbol.dispose]();
    const timer = clock.setTimer(1, () => void (runs += 1));
    await clock.sleep(20);
    timer.cancel();

    expect(runs).toBe(1);
  });

  test.for([[-1], [Number.NaN]])('given a delay of %d ms, it throws', ([delayMs = 0]) => {
    expect(() => createRealClock().setTimer(delayMs, () => {})).toThrow(RangeError);
  });

  test('given a sleep of hours that is aborted, it ends at once and leaves no listener', async () => {
    const clock = createRealClock();
    const stop = new AbortController();
    const sleeping = clock.sleep(3_600_000, { signal: stop.signal });

    stop.abort(new Error('enough'));

    await expect(sleeping).rejects.toThrow('enough');
    expect(getEventListeners(stop.signal, 'abort')).toEqual([]);
  });

  test('given a timer that does not keep the process alive, the process ends without waiting', async () => {
    const { stdout } = await run(process.execPath, [fixture('unref-timer.ts')], { timeout: 30_000 });

    expect(stdout).toBe('set\n');
  });

  test('given two processes, their monotonic times are of one line; wall time is the system’s', async () => {
    const clock = createRealClock();
    const before = [clock.monotonicMs(), clock.nowMs()];
    const { stdout } = await run(process.execPath, [fixture('print-times.ts')], { timeout: 30_000 });
    const after = [clock.monotonicMs(), clock.nowMs()];

    const [monotonicMs = 0, nowMs = 0] = JSON.parse(stdout) as number[];
    expect(monotonicMs).toBeGreaterThan(before[0] ?? 0);
    expect(monotonicMs).toBeLessThan(after[0] ?? 0);
    expect(nowMs).toBeGreaterThanOrEqual((before[1] ?? 0) - 1);
    expect(Number.isSafeInteger(clock.nowMs())).toBe(true);
  });
});
