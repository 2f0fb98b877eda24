/** `forecast` and `why` for a slot of every reason. Slots are hours of 1 June 2026. */

import { describe, expect, test } from 'vitest';
import {
  createMemorySlotStore,
  createScheduler,
  explainSlot,
  forecast,
  type ForecastState,
  parseSchedule,
  type SchedulePolicy,
  type Absence,
} from '@conductor-run/timed-jobs';

const HOUR_MS = 3_600_000;
const DAY_START_MS = Date.UTC(2026, 5, 1);
const at = (hour: number): number => DAY_START_MS + hour * HOUR_MS;

function hourly(policy: Partial<SchedulePolicy> = {}) {
  return parseSchedule({ name: 'hourly', cron: '0 * * * *', ...policy });
}

function foresee(
  policy: Partial<SchedulePolicy>,
  fromHour: number,
  toHour: number,
  state: ForecastState = {},
): string[] {
  return forecast(hourly(policy), at(fromHour), at(toHour), state).map(
    ({ slotMs, firesAtMs, decision, reason }) =>
      `${(slotMs - DAY_START_MS) / HOUR_MS} at ${(firesAtMs - DAY_START_MS) / HOUR_MS} ${decision} ${reason}`,
  );
}

describe('forecast', () => {
  test('given a free road, when asked, it lists what will fire, without the end', () => {
    expect(foresee({}, 1, 3)).toEqual(['1 at 1 ran on-time', '2 at 2 ran on-time']);
  });

  test('given a blackout, when asked, the slots in it say so', () => {
    expect(foresee({ blackouts: [{ from: at(2), until: at(3) }] }, 1, 4)).toEqual([
      '1 at 1 ran on-time',
      '2 at 2 skipped blackout',
      '3 at 3 ran on-time',
    ]);
  });

  test('given a paused schedule, when asked, its slots say so', () => {
    expect(foresee({}, 1, 2, { isPaused: true })).toEqual(['1 at 1 skipped paused']);
  });

  test('given work that lasts until 02:30, when asked, the slots before say overlap', () => {
    expect(foresee({ overlap: 'skip' }, 1, 4, { runningUntilMs: at(2.5) })).toEqual([
      '1 at 1 skipped overlap',
      '2 at 2 skipped overlap',
      '3 at 3 ran on-time',
    ]);
  });

  test('given an overdue cursor, when asked, it says what happens now', () => {
    expect(foresee({}, 4.5, 5.5, { cursorMs: at(2) })).toEqual([
      '3 at 4.5 coalesced newer-slot',
      '4 at 4.5 ran caught-up',
      '5 at 5 ran on-time',
    ]);
    expect(foresee({ catchUpWindowMs: HOUR_MS }, 4.5, 4.6, { cursorMs: at(2) })).toEqual([
      '3 at 4.5 skipped outside-window',
      '4 at 4.5 ran caught-up',
    ]);
    expect(foresee({ catchUp: 'none' }, 4.5, 4.6, { cursorMs: at(3) })).toEqual(['4 at 4.5 skipped missed']);
    const absences: Absence[] = [{ fromMs: at(3.5), untilMs: at(4.2), reason: 'not-leader' }];
    expect(foresee({ catchUp: 'none' }, 4.5, 4.6, { cursorMs: at(3), absences })).toEqual([
      '4 at 4.5 skipped not-leader',
    ]);
  });

  test('given a slot under all with more open ones than a forecast lists, when asked at its instant, it is explained', () => {
    const schedule = parseSchedule({ name: 'all', everyMs: 100, catchUp: 'all', catchUpMax: 5_000 });
    const state = { cursorMs: DAY_START_MS, nowMs: at(0.1) };

    expect(forecast(schedule, at(0), at(1), state)).toHaveLength(1_000);
    expect(explainSlot(schedule, at(0.1), state)).toMatchObject({ decision: 'ran', reason: 'on-time' });
  });

  test('given a limit, when asked, no more is listed', () => {
    expect(foresee({}, 1, 1_000, { limit: 2 })).toHaveLength(2);
  });

  test('given a cursor ahead, as after a clock set back, when asked, decided slots are left out', () => {
    expect(foresee({}, 1, 4, { cursorMs: at(2) })).toEqual(['3 at 3 ran on-time']);
  });
});

describe('explainSlot', () => {
  test.for([
    [0.5, { status: 'not-a-slot', reason: 'between-slots', nextSlotMs: at(1) }],
    [-3, { status: 'not-a-slot', reason: 'before-not-before', nextSlotMs: at(0) }],
    [30, { status: 'not-a-slot', reason: 'after-not-after', nextSlotMs: undefined }],
    [3, { status: 'not-a-slot', reason: 'before-first-seen', nextSlotMs: at(6) }],
    [6, { status: 'upcoming', decision: 'ran', reason: 'on-time', firesAtMs: at(6) }],
  ] as const)('given 05:30 and no cursor, when %d o’clock is asked about, it says so', ([hour, expected]) => {
    const schedule = hourly({ notBefore: at(0), notAfter: at(24) });

    expect(explainSlot(schedule, at(hour), { nowMs: at(5.5) })).toEqual(expected);
  });

  test('given an open slot before now, when asked about, it says what will become of it', () => {
    const state = { nowMs: at(5.5), cursorMs: at(3) };

    expect(explainSlot(hourly(), at(4), state)).toEqual({
      status: 'overdue',
      decision: 'coalesced',
      reason: 'newer-slot',
      firesAtMs: at(5.5),
    });
    expect(explainSlot(hourly(), at(5), state)).toEqual({
      status: 'overdue',
      decision: 'ran',
      reason: 'caught-up',
      firesAtMs: at(5.5),
    });
  });
});

describe('why', () => {
  /** Decides everything up to `nowHour`, in passes at the given hours, and gives access to `why`. */
  async function decided(
    policy: Partial<SchedulePolicy>,
    passHours: readonly number[],
    state: { isPaused?: boolean; runningCount?: number; absences?: readonly Absence[] } = {},
    keptDecisions = 2_000,
  ) {
    const slots = createMemorySlotStore({ keptDecisions });
    const scheduler = createScheduler({
      schedules: [hourly(policy)],
      slots,
      isPaused: () => Promise.resolve(state.isPaused ?? false),
      runningCount: () => Promise.resolve(state.runningCount ?? 0),
    });
    for (const hour of passHours) {
      await scheduler.decideDue({
        term: 1,
        signal: new AbortController().signal,
        nowMs: () => at(hour),
        absences: () => state.absences ?? [],
      });
    }
    const nowMs = at(passHours.at(-1) ?? 0);
    return async (hour: number) => {
      const answer = await scheduler.why('hourly', at(hour), nowMs);
      return 'decision' in answer ? `${answer.status} ${answer.decision} ${answer.reason}` : answer.status;
    };
  }

  test('given slots decided on time and late, when asked, it says ran, caught up, coalesced', async () => {
    const why = await decided({}, [0.5, 1, 4.5]);

    expect(await why(1)).toBe('decided ran on-time');
    expect(await why(2)).toBe('decided coalesced newer-slot');
    expect(await why(3)).toBe('decided coalesced newer-slot');
    expect(await why(4)).toBe('decided ran caught-up');
    expect(await why(0.5)).toBe('not-a-slot');
    expect(await why(5)).toBe('upcoming ran on-time');
  });

  test.for<
    readonly [
      string,
      Partial<SchedulePolicy>,
      { isPaused?: boolean; runningCount?: number; absences?: readonly Absence[] },
    ]
  >([
    ['overlap', { overlap: 'skip' }, { runningCount: 1 }],
    ['paused', {}, { isPaused: true }],
    ['paused', { catchUp: 'none' }, { absences: [{ fromMs: at(0.5), untilMs: at(1.5), reason: 'paused' }] }],
    [
      'not-leader',
      { catchUp: 'none' },
      { absences: [{ fromMs: at(0.5), untilMs: at(1.5), reason: 'not-leader' }] },
    ],
    ['blackout', { blackouts: [{ from: at(1), until: at(1.1) }] }, {}],
    ['outside-window', { catchUpWindowMs: 60_000 }, {}],
    ['missed', { catchUp: 'none' }, {}],
  ])('given a slot skipped for %s, when asked, it says so', async ([reason, policy, state]) => {
    const why = await decided(policy, [0.5, 1.5], state);

    expect(await why(1)).toBe(`decided skipped ${reason}`);
  });

  test('given thousands of decisions after it, when asked about an early slot that was coalesced, it finds the decision', async () => {
    const hours = Array.from({ length: 700 }, (_, index) => 10.5 + 2 * index);
    const why = await decided({}, [0.5, ...hours]);

    expect(await why(7)).toBe('decided coalesced newer-slot');
    expect(await why(10)).toBe('decided ran caught-up');
    expect(await why(601)).toBe('decided coalesced newer-slot');
  });

  test('given decisions that were pruned, when asked about one of them, it says forgotten and not something later', async () => {
    const hours = Array.from({ length: 700 }, (_, index) => 10.5 + 2 * index);
    const why = await decided({}, [0.5, ...hours], {}, 100);

    expect(await why(7)).toBe('forgotten');
    expect(await why(1_401)).toBe('decided coalesced newer-slot');
  });

  test('given a record that is gone, when asked, it says forgotten', async () => {
    const slots = createMemorySlotStore();
    const scheduler = createScheduler({
      schedules: [hourly()],
      slots: { ...slots, decisions: () => Promise.resolve([]) },
    });
    await slots.decide({
      schedule: 'hourly',
      slotMs: at(3),
      firstSlotMs: at(3),
      slotCount: 1,
      decision: 'ran',
      reason: 'on-time',
      term: 1,
      overlap: 'queue-one',
    });

    expect(await scheduler.why('hourly', at(2), at(4))).toEqual({ status: 'forgotten' });
  });

  test('given an unknown schedule, when asked, it is refused', async () => {
    const scheduler = createScheduler({ schedules: [], slots: createMemorySlotStore() });

    await expect(scheduler.why('nightly', 0, 0)).rejects.toMatchObject({ code: 'unknown-schedule' });
  });
});
