/** Our matching against croner's where the two must agree: in UTC, where there is no policy. */

import { Cron } from 'croner';
import * as fc from 'fast-check';
import { describe, expect, inject, test } from 'vitest';
import { parseSchedule } from '@conductor-run/timed-jobs';

function field(least: number, most: number): fc.Arbitrary<string> {
  const number = fc.integer({ min: least, max: most });
  const range = fc
    .tuple(number, number)
    .map(([one, other]) => `${Math.min(one, other)}-${Math.max(one, other)}`);
  const step = fc.integer({ min: 2, max: Math.max(2, Math.floor((most - least) / 2)) });
  return fc.oneof(
    { weight: 3, arbitrary: fc.constant('*') },
    { weight: 3, arbitrary: number.map(String) },
    { weight: 1, arbitrary: fc.array(number, { minLength: 2, maxLength: 4 }).map((list) => list.join(',')) },
    { weight: 1, arbitrary: range },
    { weight: 1, arbitrary: step.map((every) => `*/${every}`) },
  );
}

const dayOfMonth = fc.oneof(
  { weight: 6, arbitrary: field(1, 28) },
  { weight: 1, arbitrary: fc.constantFrom('L', 'LW', '15W', '31W', '1W', 'L,10', '29', '30', '31') },
);
const dayOfWeek = fc.oneof(
  { weight: 5, arbitrary: fc.constant('*') },
  { weight: 3, arbitrary: field(0, 7) },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      'MON',
      'FRI#2',
      'SUN#L',
      '1-5',
      'SAT,SUN',
      '3#5',
      '+1-5',
      '+FRI',
      '5L',
      'MON#1,WED#3',
    ),
  },
);
const pattern = fc
  .tuple(
    fc.option(field(0, 59), { nil: undefined, freq: 3 }),
    field(0, 59),
    field(0, 23),
    dayOfMonth,
    field(1, 12),
    dayOfWeek,
  )
  .map((fields) => fields.filter((text) => text !== undefined).join(' '));
const instant = fc.integer({ min: Date.UTC(1995, 0, 1), max: Date.UTC(2045, 0, 1) });

describe('nextAfter', () => {
  test('given any pattern in UTC, when the next slot is asked for, it is the one croner finds', () => {
    fc.assert(
      fc.property(pattern, instant, (cron, afterMs) => {
        const peer = new Cron(cron, { timezone: 'UTC', mode: '5-or-6-parts' });
        const expectedMs = peer.nextRun(new Date(afterMs))?.getTime();

        const slotMs = parseSchedule({ name: 'any', cron }).nextAfter(afterMs);

        expect(slotMs).toBe(expectedMs);
      }),
      { numRuns: inject('soak') ? 20_000 : 1_500 },
    );
  });

  test('given any pattern and zone, when slots are walked, each is after the one before and a match of the wall clock or the end of a gap', () => {
    const zone = fc.constantFrom(
      'America/New_York',
      'Australia/Lord_Howe',
      'Africa/Cairo',
      'Pacific/Apia',
      'Europe/Dublin',
      'Africa/Casablanca',
      'America/Havana',
    );
    fc.assert(
      fc.property(pattern, zone, instant, (cron, timezone, startMs) => {
        const schedule = parseSchedule({ name: 'any', cron, timezone });
        let afterMs = startMs;
        for (let count = 0; count < 20; count++) {
          const slotMs = schedule.nextAfter(afterMs);
          if (slotMs === undefined) return;
          expect(slotMs).toBeGreaterThan(afterMs);
          // From anywhere in between, the answer is the same.
          const middleMs = Math.floor((afterMs + slotMs) / 2);
          expect(schedule.nextAfter(middleMs)).toBe(slotMs);
          expect(schedule.nextAfter(slotMs - 1)).toBe(slotMs);
          afterMs = slotMs;
        }
      }),
      { numRuns: inject('soak') ? 5_000 : 400 },
    );
  });

  test('given a pattern that never matches, when asked, it says so', () => {
    expect(parseSchedule({ name: 'never', cron: '0 0 30 2 *' }).nextAfter(0)).toBeUndefined();
    expect(
      parseSchedule({ name: 'never', cron: '0 0 31 4 *', timezone: 'Europe/Berlin' }).nextAfter(0),
    ).toBeUndefined();
  });

  test('given a leap day that is a given weekday, when asked, it looks as far as needed', () => {
    const schedule = parseSchedule({ name: 'rare', cron: '0 0 29 2 +MON', timezone: 'Europe/Berlin' });

    expect(new Date(schedule.nextAfter(Date.UTC(2026, 0, 1)) ?? 0).toISOString()).toBe(
      '2044-02-28T23:00:00.000Z',
    );
  });
});
