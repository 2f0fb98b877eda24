import * as fc from 'fast-check';
import { describe, expect, inject, test } from 'vitest';
import {
  parseSchedule,
  type PlanInput,
  type PlannedDecision,
  planSlots,
  type Schedule,
  type SchedulePolicy,
  type ScheduleSpec,
} from '@conductor-run/timed-jobs';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const DAY_START_MS = Date.UTC(2026, 5, 1);

/** An hourly schedule whose cursor is 00:00; hours are counted from there. */
function plan(policy: Partial<SchedulePolicy>, nowHour: number, state: Partial<PlanInput> = {}): string[] {
  const schedule = parseSchedule({ name: 'hourly', cron: '0 * * * *', ...policy });
  const nowMs = DAY_START_MS + nowHour * HOUR_MS;
  return planSlots({ schedule, cursorMs: DAY_START_MS, nowMs, ...state }).map((decision) =>
    describePlan(decision),
  );
}

function describePlan(
  { slotMs, firstSlotMs, slotCount, decision, reason }: PlannedDecision,
  unitMs: number = HOUR_MS,
): string {
  const [first, last] = [firstSlotMs, slotMs].map((ms) => (ms - DAY_START_MS) / unitMs);
  const hours = first === last ? `${first}` : `${first}-${last}`;
  return `${hours}${slotCount === 1 ? '' : ` (${slotCount})`} ${decision} ${reason}`;
}

/** A schedule that nobody decided for a year, looked at at most 600,000 times; seconds are counted from the cursor. */
function planYear(
  spec: Omit<ScheduleSpec & { readonly cron: string }, 'name'>,
  state: Partial<PlanInput> = {},
): string[] {
  const schedule = parseSchedule({ ...spec, name: 'secondly' });
  let lookedAt = 0;
  const counted: Schedule = {
    ...schedule,
    nextAfter(afterMs) {
      lookedAt += 1;
      return schedule.nextAfter(afterMs);
    },
  };
  const nowMs = DAY_START_MS + 365 * DAY_MS;
  const decisions = planSlots({ schedule: counted, cursorMs: DAY_START_MS, nowMs, ...state });
  expect(lookedAt).toBeLessThan(600_000);
  return decisions.map((decision) => describePlan(decision, 1_000));
}

describe('planSlots', () => {
  test('given nothing due, when planned, nothing is decided', () => {
    expect(plan({}, 0.99)).toEqual([]);
  });

  test('given a slot at this very instant, when planned, it runs on time', () => {
    expect(plan({}, 1)).toEqual(['1 ran on-time']);
  });

  test('given a slot later than its grace, when planned, it is caught up', () => {
    expect(plan({ graceMs: 60_000 }, 1 + 60_001 / HOUR_MS)).toEqual(['1 ran caught-up']);
    expect(plan({ graceMs: 60_000 }, 1 + 60_000 / HOUR_MS)).toEqual(['1 ran on-time']);
  });

  test('given a window shorter than the grace, when a slot is within its grace, it still runs', () => {
    expect(plan({ catchUpWindowMs: 0, graceMs: 60_000 }, 1.01)).toEqual(['1 ran on-time']);
  });

  test('given latest, when several are due, the newest runs for all', () => {
    expect(plan({ catchUp: 'latest' }, 5)).toEqual(['1-4 (4) coalesced newer-slot', '5 ran on-time']);
  });

  test('given all, when several are due, each runs', () => {
    expect(plan({ catchUp: 'all' }, 3.5)).toEqual(['1 ran caught-up', '2 ran caught-up', '3 ran caught-up']);
  });

  test('given all with a maximum, when more are due, the newest run and the others are missed', () => {
    expect(plan({ catchUp: 'all', catchUpMax: 2 }, 5)).toEqual([
      '1-3 (3) skipped missed',
      '4 ran caught-up',
      '5 ran on-time',
    ]);
  });

  test('given none, when several are due, only one on time runs', () => {
    expect(plan({ catchUp: 'none' }, 3)).toEqual(['1-2 (2) skipped missed', '3 ran on-time']);
    expect(plan({ catchUp: 'none' }, 3.5)).toEqual(['1-3 (3) skipped missed']);
    expect(plan({ catchUp: 'none' }, 1.5)).toEqual(['1 skipped missed']);
  });

  test('given none and a grace that holds several, when planned, they do not burst', () => {
    expect(plan({ catchUp: 'none', graceMs: 2 * HOUR_MS }, 4)).toEqual([
      '1 skipped missed',
      '2-3 (2) coalesced newer-slot',
      '4 ran on-time',
    ]);
  });

  test('given slots older than the window, when planned, they are one decision', () => {
    expect(plan({ catchUp: 'all', catchUpWindowMs: 2 * HOUR_MS }, 5)).toEqual([
      '1-2 (2) skipped outside-window',
      '3 ran caught-up',
      '4 ran caught-up',
      '5 ran on-time',
    ]);
    expect(plan({ catchUpWindowMs: HOUR_MS }, 5.5)).toEqual([
      '1-4 (4) skipped outside-window',
      '5 ran caught-up',
    ]);
    expect(plan({ catchUpWindowMs: 0 }, 1.5)).toEqual(['1 skipped outside-window']);
  });

  test('given a year of missed seconds, when planned, it costs a few decisions', () => {
    const schedule = parseSchedule({ name: 'secondly', cron: '* * * * * *', catchUpWindowMs: HOUR_MS });
    const nowMs = DAY_START_MS + 365 * 24 * HOUR_MS;

    const decisions = planSlots({ schedule, cursorMs: DAY_START_MS, nowMs });

    expect(decisions).toEqual([
      {
        firstSlotMs: DAY_START_MS + 1_000,
        slotMs: nowMs - HOUR_MS - 1_000,
        slotCount: 1_000,
        decision: 'skipped',
        reason: 'outside-window',
      },
      {
        firstSlotMs: nowMs - HOUR_MS,
        slotMs: nowMs - 1_000,
        slotCount: 3_600,
        decision: 'coalesced',
        reason: 'newer-slot',
      },
      { firstSlotMs: nowMs, slotMs: nowMs, slotCount: 1, decision: 'ran', reason: 'on-time' },
    ]);
  });

  test('given a window of a year of seconds, when planned, a few slots are looked at and every slot is covered', () => {
    const absences = [
      { fromMs: DAY_START_MS, untilMs: DAY_START_MS + 100 * DAY_MS, reason: 'paused' },
      { fromMs: DAY_START_MS + 100 * DAY_MS, untilMs: DAY_START_MS + 200 * DAY_MS, reason: 'not-leader' },
    ] as const;
    const blackouts = [{ from: DAY_START_MS + 300 * DAY_MS, until: DAY_START_MS + 310 * DAY_MS }];
    const year = { cron: '* * * * * *', catchUpWindowMs: 400 * DAY_MS, blackouts } as const;

    expect(planYear({ ...year, catchUp: 'latest' }, { absences })).toEqual([
      '1-25919999 (100000) coalesced newer-slot',
      '25920000-26783999 (100000) skipped blackout',
      '26784000-31535999 (100000) coalesced newer-slot',
      '31536000 ran on-time',
    ]);
    expect(planYear({ ...year, catchUp: 'none' }, { absences })).toEqual([
      '1-8639999 (100000) skipped paused',
      '8640000-17279999 (100000) skipped not-leader',
      '17280000-25919999 (100000) skipped missed',
      '25920000-26783999 (100000) skipped blackout',
      '26784000-31535939 (100000) skipped missed',
      '31535940-31535999 (60) coalesced newer-slot',
      '31536000 ran on-time',
    ]);
    expect(planYear({ ...year, catchUp: 'all', catchUpMax: 2 })).toEqual([
      '1-25919999 (100000) skipped missed',
      '25920000-26783999 (100000) skipped blackout',
      '26784000-31535998 (100000) skipped missed',
      '31535999 ran on-time',
      '31536000 ran on-time',
    ]);
    expect(planYear(year, { isPaused: true, nowMs: DAY_START_MS + 310 * DAY_MS - 1 })).toEqual([
      '1-25919999 (100000) skipped paused',
      '25920000-26783999 (100000) skipped blackout',
    ]);
  });

  test('given everything due in a blackout, when planned, nothing runs', () => {
    const blackouts = [{ cron: '0 0 1 1 *', durationMs: 400 * DAY_MS }];

    expect(planYear({ cron: '* * * * * *', catchUpWindowMs: 400 * DAY_MS, blackouts })).toEqual([
      '1-31536000 (100000) skipped blackout',
    ]);
  });

  test('given blackouts, when planned, slots in them are skipped and the others follow their policy', () => {
    const blackouts = [{ from: DAY_START_MS + 2 * HOUR_MS, until: DAY_START_MS + 4 * HOUR_MS }];

    expect(plan({ blackouts }, 5)).toEqual([
      '1 coalesced newer-slot',
      '2-3 (2) skipped blackout',
      '4 coalesced newer-slot',
      '5 ran on-time',
    ]);
    expect(plan({ blackouts }, 3)).toEqual(['1 ran caught-up', '2-3 (2) skipped blackout']);
    expect(plan({ blackouts }, 2, { cursorMs: DAY_START_MS + HOUR_MS })).toEqual(['2 skipped blackout']);
  });

  test('given a paused schedule, when planned, due slots are skipped for good', () => {
    expect(plan({}, 1, { isPaused: true })).toEqual(['1 skipped paused']);
    expect(plan({ catchUp: 'all' }, 3, { isPaused: true })).toEqual(['1-3 (3) skipped paused']);
    expect(plan({ catchUp: 'none' }, 3, { isPaused: true })).toEqual(['1-3 (3) skipped paused']);
  });

  test('given unfinished work, when planned, only overlap skip skips', () => {
    expect(plan({ overlap: 'skip' }, 1, { runningCount: 1 })).toEqual(['1 skipped overlap']);
    expect(plan({ overlap: 'skip' }, 3, { runningCount: 1 })).toEqual(['1-3 (3) skipped overlap']);
    expect(plan({ overlap: 'skip' }, 1, { runningCount: 0 })).toEqual(['1 ran on-time']);
    for (const overlap of ['queue-one', 'queue-all', 'cancel-previous', 'allow'] as const) {
      expect(plan({ overlap }, 1, { runningCount: 1 })).toEqual(['1 ran on-time']);
    }
  });

  test('given overlap skip and several to catch up, when planned, the first runs and is in the way of the others', () => {
    expect(plan({ overlap: 'skip', catchUp: 'all' }, 3)).toEqual([
      '1 ran caught-up',
      '2-3 (2) skipped overlap',
    ]);
  });

  test('given absences, when slots are not caught up, the absence is the reason', () => {
    const absences = [
      { fromMs: DAY_START_MS, untilMs: DAY_START_MS + 1.5 * HOUR_MS, reason: 'not-leader' },
      { fromMs: DAY_START_MS + 1.5 * HOUR_MS, untilMs: DAY_START_MS + 3 * HOUR_MS, reason: 'paused' },
    ] as const;

    expect(plan({ catchUp: 'none' }, 3.5, { absences })).toEqual([
      '1 skipped not-leader',
      '2 skipped paused',
      '3 skipped missed',
    ]);
    expect(plan({ catchUp: 'latest' }, 2.5, { absences })).toEqual([
      '1 coalesced newer-slot',
      '2 ran caught-up',
    ]);
  });

  test('given jitter, when planned, a slot is due that much later and on time then', () => {
    const schedule = parseSchedule({ name: 'jittered', cron: '0 * * * *', jitterMs: 1_800_000 });
    const slotMs = DAY_START_MS + HOUR_MS;
    const planAt = (nowMs: number) => planSlots({ schedule, cursorMs: DAY_START_MS, nowMs });

    expect(schedule.delayMs).toBeGreaterThan(60_000);
    expect(planAt(slotMs + schedule.delayMs - 1)).toEqual([]);
    expect(planAt(slotMs + schedule.delayMs)).toMatchObject([{ slotMs, decision: 'ran', reason: 'on-time' }]);
  });

  test('given an instant that passed before anybody looked, when planned, it is caught up within its window', () => {
    const schedule = parseSchedule({ name: 'once', at: DAY_START_MS });

    expect(planSlots({ schedule, cursorMs: -Infinity, nowMs: DAY_START_MS + HOUR_MS })).toMatchObject([
      { slotMs: DAY_START_MS, decision: 'ran', reason: 'caught-up' },
    ]);
    expect(planSlots({ schedule, cursorMs: -Infinity, nowMs: DAY_START_MS + 25 * HOUR_MS })).toMatchObject([
      { slotMs: DAY_START_MS, decision: 'skipped', reason: 'outside-window' },
    ]);
  });

  test('given any policy and state, when planned, every due slot is covered exactly once, in order', () => {
    const policies = fc.record({
      catchUp: fc.constantFrom('latest', 'all', 'none'),
      overlap: fc.constantFrom('skip', 'queue-one', 'allow'),
      catchUpWindowMs: fc.integer({ min: 0, max: 30 * HOUR_MS }),
      catchUpMax: fc.integer({ min: 1, max: 10 }),
      graceMs: fc.integer({ min: 0, max: 3 * HOUR_MS }),
      jitterMs: fc.integer({ min: 0, max: HOUR_MS }),
      blackouts: fc.constantFrom([], [{ cron: '0 */5 * * *', durationMs: HOUR_MS + 1 }]),
    } as const);
    const crons = fc.constantFrom('*/7 * * * *', '0 * * * *', '30 2 * * *', '0 0 * * MON');
    fc.assert(
      fc.property(
        policies,
        crons,
        fc.integer({ min: 0, max: 100 * HOUR_MS }),
        fc.boolean(),
        fc.integer({ min: 0, max: 1 }),
        (policy, cron, elapsedMs, isPaused, runningCount) => {
          const schedule = parseSchedule({ name: 'any', cron, timezone: 'Europe/Berlin', ...policy });
          const nowMs = DAY_START_MS + elapsedMs;

          const decisions = planSlots({ schedule, cursorMs: DAY_START_MS, nowMs, isPaused, runningCount });

          let cursorMs = DAY_START_MS;
          for (const { firstSlotMs, slotMs, slotCount, decision } of decisions) {
            let counted = 0;
            expect(firstSlotMs).toBe(schedule.nextAfter(cursorMs));
            while (cursorMs < slotMs) {
              cursorMs = schedule.nextAfter(cursorMs) ?? Infinity;
              counted += 1;
            }
            expect([cursorMs, counted]).toEqual([slotMs, slotCount]);
            expect(decision !== 'ran' || slotCount === 1).toBe(true);
          }
          expect((schedule.nextAfter(cursorMs) ?? Infinity) + schedule.delayMs).toBeGreaterThan(nowMs);
        },
      ),
      { numRuns: inject('soak') ? 20_000 : 500 },
    );
  });
});
