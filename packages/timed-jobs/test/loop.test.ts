import { describe, expect, test } from 'vitest';
import {
  createTimedJobs,
  type RunContext,
  type TickConfig,
  type TickReport,
} from '@conductor-run/timed-jobs';
import type { Clock } from '@conductor-run/clock';
import { createLatch, createTestGate, loggerSpy, manualClock, readLog, tempDir } from './fixtures/setup.ts';

const START_MS = Date.UTC(2026, 0, 1);

function setup(
  config: Partial<TickConfig> = {},
  onRun: (context: RunContext<undefined>) => unknown = () => {},
) {
  const clock = manualClock(START_MS);
  const gate = createTestGate();
  const logger = loggerSpy();
  const jobs = createTimedJobs({ config, gate, clock, logger });
  /** When the runner ran, in ms since the start, on the monotonic clock. */
  const ranAtMs: number[] = [];
  const triggers: string[] = [];
  jobs.registerRunner({
    name: 'runner',
    async run(context) {
      ranAtMs.push(clock.monotonicMs());
      triggers.push(context.trigger);
      await onRun(context);
      return 'idle' as const;
    },
  });
  return { clock, gate, logger, jobs, ranAtMs, triggers };
}

describe('start', () => {
  test('given an interval of 10 s, when started, it ticks at once and then on the grid', async () => {
    const { clock, jobs, ranAtMs, triggers } = setup();

    jobs.start();
    jobs.start();
    await clock.advance(35_000);

    expect(jobs.isStarted()).toBe(true);
    expect(ranAtMs).toEqual([0, 10_000, 20_000, 30_000]);
    expect(triggers).toEqual(['interval', 'interval', 'interval', 'interval']);
    await jobs.stop();
    expect(clock.pendingTimers()).toBe(0);
  });

  test('given autoStart false, when started, only manual ticks run', async () => {
    const { clock, jobs, ranAtMs } = setup({ autoStart: false });

    jobs.start();
    jobs.wake('enqueued');
    await clock.advance(60_000);
    expect(ranAtMs).toEqual([]);
    await jobs.runTick('manual');

    expect(ranAtMs).toEqual([60_000]);
    expect(clock.pendingTimers()).toBe(0);
  });

  test('given an interval of 40 days, when time passes, it ticks after 40 days and not before', async () => {
    const fortyDaysMs = 40 * 86_400_000;
    const { clock, jobs, ranAtMs } = setup({ intervalMs: fortyDaysMs });

    jobs.start();
    await clock.advance(fortyDaysMs - 1);
    expect(ranAtMs).toEqual([0]);
    await clock.advance(1);

    expect(ranAtMs).toEqual([0, fortyDaysMs]);
    await jobs.stop();
  });

  test('given a runner with everyTicks 3, when ticks go by, it runs in every third', async () => {
    const { clock, jobs } = setup();
    const rareAtMs: number[] = [];
    jobs.registerRunner({ name: 'rare', everyTicks: 3, run: () => void rareAtMs.push(clock.monotonicMs()) });

    jobs.start();
    await clock.advance(70_000);

    expect(rareAtMs).toEqual([0, 30_000, 60_000]);
    await jobs.stop();
  });
});

describe('everyTicks', () => {
  test('given a planned tick that met a manual one, when skipped as busy, the runner that was due runs in the next', async () => {
    const latch = createLatch();
    const { clock, jobs } = setup({}, ({ trigger }) => (trigger === 'manual' ? latch.opened : undefined));
    const rareAtMs: number[] = [];
    jobs.start();
    await clock.advance(25_000);
    jobs.registerRunner({ name: 'rare', everyTicks: 3, run: () => void rareAtMs.push(clock.monotonicMs()) });
    const manual = jobs.runTick('manual');
    await clock.advance(10_000);
    latch.open();
    await manual;
    await clock.advance(10_000);
    await jobs.stop();

    // Once in the manual tick, which runs all; then not at 30,000, which was skipped, but at 40,000.
    expect(rareAtMs).toEqual([35_000, 40_000]);
  });
});

describe('grid', () => {
  test('given ticks that take 4 s, when they run, their starts do not drift', async () => {
    const { clock, jobs, ranAtMs } = setup({}, () => clock.sleep(4_000));

    jobs.start();
    await clock.advance(40_000);

    expect(ranAtMs).toEqual([0, 10_000, 20_000, 30_000, 40_000]);
    const stopped = jobs.stop();
    await clock.advance(4_000);
    await stopped;
  });

  test('given a tick of 35 s, when it ends, one tick runs for the three that passed, and the log counts them', async () => {
    const clock = manualClock(START_MS);
    const logDir = await tempDir();
    const reports: TickReport[] = [];
    const onTick = (report: TickReport): void => void reports.push(report);
    const jobs = createTimedJobs({ gate: createTestGate(), clock, logDir, onTick });
    const ranAtMs: number[] = [];
    jobs.registerRunner({
      name: 'runner',
      async run() {
        ranAtMs.push(clock.monotonicMs());
        if (ranAtMs.length === 1) await clock.sleep(35_000);
        return 'idle' as const;
      },
    });

    jobs.start();
    await clock.advance(45_000);
    await jobs.stop();

    expect(ranAtMs).toEqual([0, 35_000, 40_000]);
    const lines = await readLog(logDir);
    const started = lines.filter((line) => line['stage'] === 'tick_started');
    expect(lines.filter((line) => line['stage'] === 'tick_skipped_no_runners')).toEqual([]);
    expect(started.map((line) => line['missed_ticks'])).toEqual([undefined, 2]);
    expect(reports).toMatchObject([
      { trigger: 'interval', decision: 'scheduled', startedAtMs: START_MS, durationMs: 35_000, lateMs: 0 },
      { startedAtMs: START_MS + 35_000, durationMs: 0, lateMs: 25_000 },
      { startedAtMs: START_MS + 40_000, lateMs: 0 },
    ]);
  });

  test('given an event loop blocked for 5 s, when it comes back, one tick runs and no burst follows', async () => {
    const clock = manualClock(START_MS);
    // A blocked loop is time that passes without timers: monotonic and wall time jump together.
    let blockedMs = 0;
    const blocking: Clock = {
      ...clock,
      nowMs: () => clock.nowMs() + blockedMs,
      monotonicMs: () => clock.monotonicMs() + blockedMs,
    };
    const ranAtMs: number[] = [];
    const jobs = createTimedJobs({ config: { intervalMs: 1_000 }, gate: createTestGate(), clock: blocking });
    jobs.registerRunner({ name: 'runner', run: () => void ranAtMs.push(blocking.monotonicMs()) });

    jobs.start();
    await clock.advance(2_500);
    blockedMs = 5_000;
    await clock.advance(1_500);
    await jobs.stop();

    // The timer for 3,000 fires at 8,000: one tick, then the grid again.
    expect(ranAtMs).toEqual([0, 1_000, 2_000, 8_000, 9_000]);
  });
});

describe('clock jumps', () => {
  test.for([3_600_000, -3_600_000])(
    'given a wall clock set by %d ms, when noticed, it is logged and a tick runs',
    async (jumpMs) => {
      const { clock, jobs, logger, ranAtMs } = setup({ intervalMs: 300_000 });
      jobs.start();
      await clock.advance(10_000);

      clock.setWallTime(clock.nowMs() + jumpMs);
      await clock.advance(30_000);

      expect(logger.entries).toMatchObject([{ level: 'warn', message: 'clock.jumped', fields: { jumpMs } }]);
      // Noticed at the next look, 30 s apart at most; the grid is monotonic and stays.
      expect(ranAtMs).toEqual([0, 30_000]);
      await clock.advance(270_000);
      expect(ranAtMs).toEqual([0, 30_000, 300_000]);
      await jobs.stop();
    },
  );

  test('given a wall clock that is slewed by 1 s, when time passes, nothing is logged', async () => {
    const { clock, jobs, logger } = setup();
    jobs.start();
    clock.setWallTime(clock.nowMs() + 1_000);
    await clock.advance(60_000);

    expect(logger.entries).toEqual([]);
    await jobs.stop();
  });

  test('given an early tick asked for and a wall clock set forward past it, when noticed, it runs', async () => {
    const { clock, jobs, ranAtMs } = setup({ intervalMs: 3_600_000 }, (context) => {
      context.wakeAt(START_MS + 600_000);
    });
    jobs.start();
    await clock.advance(1_000);

    clock.setWallTime(START_MS + 700_000);
    await clock.advance(30_000);

    expect(ranAtMs[1]).toBe(30_000);
    await jobs.stop();
  });
});

describe('wake', () => {
  test('given several wakes within 20 ms, when time passes, they become one tick', async () => {
    const { clock, jobs, ranAtMs, triggers } = setup();
    jobs.start();
    await clock.advance(1_000);

    jobs.wake('enqueued');
    await clock.advance(10);
    jobs.wake('enqueued');
    jobs.wake('resumed');
    await clock.advance(5_000);

    expect(ranAtMs).toEqual([0, 1_020]);
    expect(triggers).toEqual(['interval', 'wake']);
    await jobs.stop();
  });

  test('given a wake while a tick is in flight, when it ends, one more tick runs', async () => {
    const latch = createLatch();
    const { clock, jobs, ranAtMs } = setup({}, () => latch.opened);
    jobs.start();
    await clock.advance(0);

    jobs.wake('enqueued');
    await clock.advance(100);
    expect(ranAtMs).toEqual([0]);
    latch.open();
    await clock.advance(100);

    expect(ranAtMs).toEqual([0, 100]);
    await jobs.stop();
  });

  test('given a wake during a manual tick, when that ends, the wake is not lost', async () => {
    const latch = createLatch();
    const { clock, jobs, ranAtMs } = setup({}, () => (ranAtMs.length === 2 ? latch.opened : undefined));
    jobs.start();
    await clock.advance(1_000);
    const manual = jobs.runTick('manual');

    jobs.wake('enqueued');
    await clock.advance(1_000);
    expect(ranAtMs).toEqual([0, 1_000]);
    latch.open();
    await manual;
    await clock.advance(10);

    expect(ranAtMs).toEqual([0, 1_000, 2_000]);
    await jobs.stop();
  });

  test('given a wake that waits for a manual tick, when stopped meanwhile, it is dropped', async () => {
    const latch = createLatch();
    const { clock, jobs, ranAtMs } = setup({}, () => (ranAtMs.length === 2 ? latch.opened : undefined));
    jobs.start();
    await clock.advance(1_000);
    const manual = jobs.runTick('manual');
    jobs.wake('enqueued');
    await clock.advance(1_000);

    const stopped = jobs.stop();
    latch.open();
    await Promise.all([manual, stopped]);
    await clock.advance(60_000);

    expect(ranAtMs).toEqual([0, 1_000]);
    expect(clock.pendingTimers()).toBe(0);
  });

  test('given a stopped framework, when woken, nothing happens', async () => {
    const { clock, jobs, ranAtMs } = setup();

    jobs.wake('before start');
    jobs.start();
    await clock.advance(0);
    jobs.wake('enqueued');
    await jobs.stop();
    jobs.wake('after stop');
    await clock.advance(60_000);

    expect(ranAtMs).toEqual([0]);
    expect(clock.pendingTimers()).toBe(0);
  });
});

describe('wakeAt', () => {
  test('given a runner that asks for an instant, when it comes, that runner alone runs', async () => {
    const { clock, jobs, ranAtMs } = setup();
    const early: number[] = [];
    jobs.registerRunner({
      name: 'early',
      run(context) {
        early.push(clock.monotonicMs());
        if (early.length === 1) context.wakeAt(START_MS + 3_333);
        return 'idle';
      },
    });

    jobs.start();
    await clock.advance(15_000);

    expect(early).toEqual([0, 3_333, 10_000]);
    expect(ranAtMs).toEqual([0, 10_000]);
    await jobs.stop();
  });

  test('given a runner that always asks for the past, when it runs, it does not spin', async () => {
    const { clock, jobs, ranAtMs } = setup({}, (context) => context.wakeAt(0));

    jobs.start();
    await clock.advance(1_000);

    expect(ranAtMs.length).toBeLessThanOrEqual(201);
    await jobs.stop();
  });

  test('given NaN, when a runner asks for it, the runner fails and the loop goes on', async () => {
    const { clock, jobs, logger, ranAtMs } = setup({}, (context) => context.wakeAt(Number.NaN));
    jobs.start();
    await clock.advance(10_000);
    await jobs.stop();

    expect(ranAtMs).toEqual([0, 10_000]);
    expect(logger.entries[0]?.fields['err']).toBeInstanceOf(RangeError);
  });

  test('given a gate that shuts, when the instant comes, the wish is gone and the loop waits for the grid', async () => {
    const { clock, jobs, gate, ranAtMs } = setup({}, (context) => context.wakeAt(context.nowMs() + 3_000));
    jobs.start();
    await clock.advance(1_000);

    gate.answer = 'skipped_not_leader';
    await clock.advance(11_000);
    gate.answer = 'scheduled';
    await clock.advance(8_000);

    expect(ranAtMs).toEqual([0, 20_000]);
    await jobs.stop();
  });
});

describe('absences', () => {
  test('given a gate that was shut between two ticks, when open again, the absence reaches from the last tick to this one', async () => {
    const seen: unknown[] = [];
    const { clock, jobs, gate } = setup({}, (context) => void seen.push(context.absences()));
    jobs.start();
    await clock.advance(5_000);
    gate.answer = 'skipped_not_leader';
    await clock.advance(20_000);
    gate.answer = 'skipped_system_paused';
    await clock.advance(10_000);
    gate.answer = 'scheduled';
    await clock.advance(10_000);
    await jobs.stop();

    expect(seen).toEqual([
      [],
      [
        { fromMs: START_MS, untilMs: START_MS + 30_000, reason: 'not-leader' },
        { fromMs: START_MS + 30_000, untilMs: START_MS + 40_000, reason: 'paused' },
      ],
    ]);
  });
});
