import { describe, expect, test } from 'vitest';
import {
  createMemorySlotStore,
  createScheduler,
  createTimedJobs,
  type DecideRequest,
  parseSchedule,
  type Schedule,
  type SchedulerOptions,
  type SlotStore,
} from '@conductor-run/timed-jobs';
import { createTestGate, LEADERSHIP, loggerSpy, manualClock } from './fixtures/setup.ts';

const START_MS = Date.UTC(2026, 0, 1);
const MINUTE_MS = 60_000;

const everyMinute: Schedule = parseSchedule({ name: 'minutely', everyMs: MINUTE_MS });

function setup(
  options: Partial<SchedulerOptions> = {},
  wrap: (slots: SlotStore) => SlotStore = (slots) => slots,
) {
  const clock = manualClock(START_MS);
  const gate = createTestGate();
  const logger = loggerSpy();
  const ran: DecideRequest[] = [];
  const store = createMemorySlotStore({ effect: (request) => void ran.push(request) });
  const scheduler = createScheduler({ schedules: [everyMinute], slots: wrap(store), logger, ...options });
  const jobs = createTimedJobs({ config: { intervalMs: 10_000 }, gate, clock, logger });
  jobs.registerRunner(scheduler);
  const ranMinutes = (): number[] => ran.map(({ slotMs }) => (slotMs - START_MS) / MINUTE_MS);
  const decisions = async (name = 'minutely') => {
    const records = await store.decisions(name, { limit: 1_000 });
    return records.toReversed().map(({ decision, reason }) => `${decision} ${reason}`);
  };
  return { clock, gate, logger, ran, store, scheduler, jobs, ranMinutes, decisions };
}

describe('scheduler', () => {
  test('given a schedule never seen before, when the first leader sees it, it begins now and says so', async () => {
    const { clock, jobs, ranMinutes, decisions } = setup();
    await clock.advance(90_000);

    jobs.start();
    await clock.advance(2 * MINUTE_MS);
    await jobs.stop();

    expect(ranMinutes()).toEqual([2, 3]);
    expect(await decisions()).toEqual(['anchored first-seen', 'ran on-time', 'ran on-time']);
  });

  test('given a slot between two ticks, when it comes, it is decided at its instant and not at the next tick', async () => {
    const clock = manualClock(START_MS);
    const decidedAtMs: number[] = [];
    const slots = createMemorySlotStore({ effect: () => void decidedAtMs.push(clock.nowMs() - START_MS) });
    const jobs = createTimedJobs({ gate: createTestGate(), clock });
    jobs.registerRunner(
      createScheduler({ schedules: [parseSchedule({ name: 'odd', everyMs: 7_300 })], slots }),
    );

    jobs.start();
    await clock.advance(30_000);
    await jobs.stop();

    const firstMs = 7_300 - (START_MS % 7_300);
    expect(decidedAtMs).toEqual(
      [firstMs, firstMs + 7_300, firstMs + 14_600, firstMs + 21_900].filter((ms) => ms <= 30_000),
    );
    expect(decidedAtMs.length).toBeGreaterThan(2);
  });

  test('given a restart, when slots passed meanwhile, it goes on from the cursor', async () => {
    const first = setup();
    first.jobs.start();
    await first.clock.advance(2.5 * MINUTE_MS);
    await first.jobs.stop();
    await first.clock.advance(3 * MINUTE_MS);

    const next = createTimedJobs({ gate: createTestGate(), clock: first.clock });
    next.registerRunner(createScheduler({ schedules: [everyMinute], slots: first.store }));
    next.start();
    await first.clock.advance(MINUTE_MS);
    await next.stop();

    expect(first.ranMinutes()).toEqual([1, 2, 5, 6]);
    expect(await first.decisions()).toEqual([
      'anchored first-seen',
      'ran on-time',
      'ran on-time',
      'coalesced newer-slot',
      'ran on-time',
      'ran on-time',
    ]);
  });

  test('given a new leader, when it takes over, it starts from the cursor of the old one', async () => {
    const { clock, gate, jobs, store, ranMinutes } = setup();
    jobs.start();
    await clock.advance(1.5 * MINUTE_MS);
    gate.answer = 'skipped_not_leader';
    await clock.advance(2 * MINUTE_MS);
    // Elsewhere, term 8 decided minute 2 before it lost the lead to us again.
    const elsewhere = {
      schedule: 'minutely',
      slotMs: START_MS + 2 * MINUTE_MS,
      firstSlotMs: START_MS + 2 * MINUTE_MS,
      slotCount: 1,
      overlap: 'queue-one',
    } as const;
    await store.decide({ ...elsewhere, decision: 'ran', reason: 'on-time', term: 8 });
    gate.leadership = { ...LEADERSHIP, term: 9 };
    gate.answer = 'scheduled';
    await clock.advance(MINUTE_MS);
    await jobs.stop();

    expect(ranMinutes()).toEqual([1, 2, 3, 4]);
  });

  test('given a gate that was shut, when nothing is caught up, the record says why', async () => {
    const { clock, gate, jobs, decisions } = setup({
      schedules: [parseSchedule({ name: 'minutely', everyMs: MINUTE_MS, catchUp: 'none', graceMs: 1_000 })],
    });
    jobs.start();
    await clock.advance(30_000);
    gate.answer = 'skipped_not_leader';
    await clock.advance(MINUTE_MS);
    gate.answer = 'skipped_system_paused';
    await clock.advance(MINUTE_MS);
    gate.answer = 'scheduled';
    await clock.advance(10_000);
    await jobs.stop();

    expect(await decisions()).toEqual(['anchored first-seen', 'skipped not-leader', 'skipped paused']);
  });

  test('given a stale term, when it tries to decide, nothing is decided and it is told', async () => {
    const { clock, jobs, store, logger, ran } = setup();
    jobs.start();
    await clock.advance(30_000);
    store.raiseTerm(8);

    await clock.advance(2 * MINUTE_MS);
    await jobs.stop();

    expect(ran).toEqual([]);
    expect(await store.cursor('minutely')).toBe(START_MS);
    expect(logger.entries.filter(({ message }) => message === 'scheduler.stale-term').length).toBeGreaterThan(
      0,
    );
  });

  test('given a store that fails for one schedule, when slots are due, the others are decided and it is tried again later and later', async () => {
    const tries: number[] = [];
    const other = parseSchedule({ name: 'other', everyMs: MINUTE_MS });
    let isAway = true;
    const { clock, jobs, logger, ran } = setup({ schedules: [everyMinute, other] }, (slots) => ({
      ...slots,
      decide(request) {
        if (request.schedule !== 'minutely' || request.decision === 'anchored' || !isAway)
          return slots.decide(request);
        tries.push((clock.nowMs() - START_MS - MINUTE_MS) / 1_000);
        return Promise.reject(new Error('disk full'));
      },
    }));

    jobs.start();
    await clock.advance(MINUTE_MS + 20_000);
    expect(ran.map(({ schedule }) => schedule)).toEqual(['other']);
    expect(tries).toEqual([0, 1, 3, 7, 15]);
    isAway = false;
    await clock.advance(20_000);
    await jobs.stop();

    expect(ran.map(({ schedule }) => schedule)).toEqual(['other', 'minutely']);
    expect(logger.entries[0]).toMatchObject({
      message: 'scheduler.failed',
      fields: { schedule: 'minutely' },
    });
    expect(logger.entries[1]?.fields['err']).toMatchObject({
      code: 'slots-undecided',
      cause: { message: 'disk full' },
    });
  });

  test('given an answer that was lost after the commit, when it goes on, the committed slot is not decided again with later ones', async () => {
    let isLost = true;
    const { clock, jobs, ran, ranMinutes } = setup({}, (slots) => ({
      ...slots,
      async decide(request) {
        const answer = await slots.decide(request);
        if (isLost && request.decision !== 'anchored') throw new Error('connection reset');
        return answer;
      },
    }));
    jobs.start();
    // Minute 1 is committed and its answer lost; the retries are lost too, until several minutes are open.
    await clock.advance(3 * MINUTE_MS + 30_000);
    isLost = false;
    await clock.advance(MINUTE_MS);
    await jobs.stop();

    expect(ranMinutes()).toEqual([1, 2, 3, 4]);
    expect(ran.map(({ firstSlotMs, slotMs }) => slotMs - firstSlotMs)).toEqual([0, 0, 0, 0]);
  });

  test('given a slot somebody else decided, when it tries, it asks for the cursor again and goes on', async () => {
    const { clock, jobs, store, ranMinutes } = setup();
    jobs.start();
    await clock.advance(30_000);
    const slotMs = START_MS + 3 * MINUTE_MS;
    await store.decide({
      schedule: 'minutely',
      slotMs,
      firstSlotMs: slotMs,
      slotCount: 1,
      overlap: 'queue-one',
      decision: 'skipped',
      reason: 'missed',
      term: LEADERSHIP.term,
    });

    await clock.advance(5 * MINUTE_MS);
    await jobs.stop();

    expect(ranMinutes()).toEqual([4, 5]);
  });

  test('given schedules replaced while it runs, when slots come, the new ones count', async () => {
    const { clock, jobs, scheduler, ran } = setup();
    jobs.start();
    await clock.advance(1.5 * MINUTE_MS);

    scheduler.replaceSchedules([parseSchedule({ name: 'halves', everyMs: 30_000 })]);
    jobs.wake('config changed');
    await clock.advance(MINUTE_MS);
    await jobs.stop();

    expect(ran.map(({ schedule }) => schedule)).toEqual(['minutely', 'halves', 'halves']);
    expect(scheduler.schedules().map(({ name }) => name)).toEqual(['halves']);
  });

  test('given a paused schedule, when resumed, what was paused is not caught up', async () => {
    let isPaused = true;
    const { clock, jobs, ranMinutes, decisions } = setup({ isPaused: () => Promise.resolve(isPaused) });
    jobs.start();
    await clock.advance(2.5 * MINUTE_MS);
    isPaused = false;
    await clock.advance(MINUTE_MS);
    await jobs.stop();

    expect(ranMinutes()).toEqual([3]);
    expect(await decisions()).toEqual([
      'anchored first-seen',
      'skipped paused',
      'skipped paused',
      'ran on-time',
    ]);
  });

  test('given no slots any more, when it runs, it asks for no early tick', async () => {
    const { clock, jobs, scheduler, ran } = setup({
      schedules: [parseSchedule({ name: 'once', at: START_MS + 5_000 })],
    });
    jobs.start();
    await clock.advance(60_000);
    await jobs.stop();

    expect(ran).toHaveLength(1);
    expect(scheduler.nextDueAtMs()).toBeUndefined();
  });

  test('given an instant that passed before the first leader saw it, when it looks, it is caught up', async () => {
    const { clock, jobs, ran, decisions } = setup({
      schedules: [parseSchedule({ name: 'once', at: START_MS - 3_600_000 })],
    });
    jobs.start();
    await clock.advance(60_000);
    await jobs.stop();

    expect(ran).toHaveLength(1);
    expect(await decisions('once')).toEqual(['ran caught-up']);
  });

  test('given a wall clock set back by an hour, when it catches up, no slot is decided twice', async () => {
    const { clock, jobs, ranMinutes } = setup();
    jobs.start();
    await clock.advance(3.5 * MINUTE_MS);

    clock.setWallTime(clock.nowMs() - 60 * MINUTE_MS);
    await clock.advance(62 * MINUTE_MS);
    await jobs.stop();

    expect(ranMinutes()).toEqual([1, 2, 3, 4, 5]);
  });

  test.for([
    [[everyMinute, everyMinute], 'duplicate-schedule'],
    [[parseSchedule({ name: 'careful', everyMs: MINUTE_MS, overlap: 'skip' })], 'invalid-schedule'],
  ] as const)(
    'given unsound schedules, when created or replaced, they are refused with %s',
    ([schedules, code]) => {
      const { scheduler } = setup();

      expect(() => setup({ schedules })).toThrow(expect.objectContaining({ code }));
      expect(() => scheduler.replaceSchedules(schedules)).toThrow(expect.objectContaining({ code }));
      expect(scheduler.schedules()).toEqual([everyMinute]);
    },
  );

  test('given many schedules, when forecast, they come by the time they fire, overdue ones first', async () => {
    const { scheduler, store } = setup({
      schedules: [everyMinute, parseSchedule({ name: 'halves', everyMs: 30_000 })],
    });
    await store.decide({
      schedule: 'minutely',
      slotMs: START_MS - MINUTE_MS,
      firstSlotMs: START_MS - MINUTE_MS,
      slotCount: 1,
      overlap: 'queue-one',
      decision: 'anchored',
      reason: 'first-seen',
      term: 1,
    });

    const entries = await scheduler.forecast(START_MS + 10_000, START_MS + 65_000);

    expect(entries.map(({ schedule, firesAtMs }) => [schedule, (firesAtMs - START_MS) / 1_000])).toEqual([
      ['minutely', 10],
      ['halves', 30],
      ['minutely', 60],
      ['halves', 60],
    ]);
  });

  test('given more slots than a turn may take, when they are decided, others have their turns in between', async () => {
    const blackouts = [{ cron: '* * * * *', durationMs: 30_000 }];
    const schedule = parseSchedule({ name: 'secondly', cron: '* * * * * *', blackouts });
    const { clock, scheduler } = setup({ schedules: [schedule] });
    const context = {
      ...LEADERSHIP,
      signal: new AbortController().signal,
      nowMs: () => clock.nowMs(),
      absences: () => [],
    };
    await scheduler.decideDue(context);
    clock.setWallTime(START_MS + 86_400_000);
    let [turnCount, isOver] = [0, false];
    const countTurn = (): void => {
      turnCount += 1;
      if (!isOver) setImmediate(countTurn);
    };

    setImmediate(countTurn);
    const { counts } = await scheduler.decideDue(context);
    isOver = true;

    expect(counts).toEqual({ ran: 1, coalesced: 1_440, skipped: 1_441, anchored: 0 });
    expect(turnCount).toBeGreaterThanOrEqual(8);
  });

  test('given all and thousands to catch up, when decided, each of the newest runs and the others are one record', async () => {
    const schedule = parseSchedule({ name: 'all', everyMs: 100, catchUp: 'all', catchUpMax: 2_500 });
    const { clock, scheduler, ran, store } = setup({ schedules: [schedule] });
    const context = {
      ...LEADERSHIP,
      signal: new AbortController().signal,
      nowMs: () => clock.nowMs(),
      absences: () => [],
    };
    await scheduler.decideDue(context);
    clock.setWallTime(START_MS + 600_000);

    const { counts } = await scheduler.decideDue(context);

    expect(counts).toEqual({ ran: 2_500, coalesced: 0, skipped: 1, anchored: 0 });
    expect(ran.map(({ slotMs }) => slotMs)).toEqual(
      Array.from({ length: 2_500 }, (_, index) => START_MS + 600_000 - (2_499 - index) * 100),
    );
    expect(await store.cursor('all')).toBe(START_MS + 600_000);
    expect(scheduler.nextDueAtMs()).toBe(START_MS + 600_100);
  });
});

describe('createMemorySlotStore', () => {
  test('given an effect that throws, when a slot is decided, nothing is decided', async () => {
    const store = createMemorySlotStore({
      effect: () => {
        throw new Error('no room');
      },
    });
    const request = {
      schedule: 'a',
      slotMs: 5,
      firstSlotMs: 5,
      slotCount: 1,
      overlap: 'queue-one',
      decision: 'ran',
      reason: 'on-time',
      term: 1,
    } as const;

    await expect(store.decide(request)).rejects.toThrow('no room');
    expect(await store.cursor('a')).toBeUndefined();
    expect(await store.decide({ ...request, decision: 'skipped', reason: 'paused' })).toEqual({
      outcome: 'decided',
    });
    expect(await store.decide(request)).toEqual({ outcome: 'already_decided' });
  });

  test('given a limit of 0, when created, it is refused', () => {
    expect(() => createMemorySlotStore({ keptDecisions: 0 })).toThrow(RangeError);
  });
});
