/**
 * The daylight-saving rule, as "schedule, zone, after, expected instants". Expected instants were worked out by hand
 * from the rules of each zone in the tz database, not by running the code.
 */

import { describe, expect, test } from 'vitest';
import { nextSlots, parseSchedule } from '@conductor-run/timed-jobs';

type Row = readonly [what: string, cron: string, zone: string, after: string, expected: readonly string[]];

/** The slots after an instant, as many as are expected; instants in UTC, seconds left out. */
function slotsOf([, cron, timezone, after, expected]: Row): readonly string[] {
  const schedule = parseSchedule({ name: 'golden', cron, timezone });
  const slots = nextSlots(schedule, { afterMs: Date.parse(`${after}:00Z`), limit: expected.length });
  return slots.map((slotMs) => new Date(slotMs).toISOString().slice(0, 16));
}

const NEW_YORK = 'America/New_York';
const BERLIN = 'Europe/Berlin';
const DUBLIN = 'Europe/Dublin';
const LORD_HOWE = 'Australia/Lord_Howe';
const TROLL = 'Antarctica/Troll';
const CAIRO = 'Africa/Cairo';
const HAVANA = 'America/Havana';
const SANTIAGO = 'America/Santiago';
const APIA = 'Pacific/Apia';

describe('fixed-time schedules in a gap fire once, at the first instant after it', () => {
  test.for<Row>([
    [
      '2026',
      '30 2 * * *',
      NEW_YORK,
      '2026-03-07T00:00',
      ['2026-03-07T07:30', '2026-03-08T07:00', '2026-03-09T06:30'],
    ],
    [
      '2027',
      '30 2 * * *',
      NEW_YORK,
      '2027-03-13T00:00',
      ['2027-03-13T07:30', '2027-03-14T07:00', '2027-03-15T06:30'],
    ],
    [
      '2028',
      '30 2 * * *',
      NEW_YORK,
      '2028-03-11T00:00',
      ['2028-03-11T07:30', '2028-03-12T07:00', '2028-03-13T06:30'],
    ],
    [
      'a list is fixed',
      '0,15,30,45 2 * * *',
      NEW_YORK,
      '2026-03-08T00:00',
      ['2026-03-08T07:00', '2026-03-09T06:00'],
    ],
    [
      'a range is fixed',
      '0 1-3 * * *',
      NEW_YORK,
      '2026-03-08T00:00',
      ['2026-03-08T06:00', '2026-03-08T07:00', '2026-03-09T05:00', '2026-03-09T06:00', '2026-03-09T07:00'],
    ],
    ['the edge before', '59 1 * * *', NEW_YORK, '2026-03-08T00:00', ['2026-03-08T06:59', '2026-03-09T05:59']],
    ['the edge after', '0 3 * * *', NEW_YORK, '2026-03-08T00:00', ['2026-03-08T07:00', '2026-03-09T07:00']],
    [
      'that date alone',
      '30 2 8 3 *',
      NEW_YORK,
      '2026-01-01T00:00',
      ['2026-03-08T07:00', '2027-03-08T07:30', '2028-03-08T07:30'],
    ],
    [
      '2026',
      '30 2 * * *',
      BERLIN,
      '2026-03-28T00:00',
      ['2026-03-28T01:30', '2026-03-29T01:00', '2026-03-30T00:30'],
    ],
    [
      '2027',
      '30 2 * * *',
      BERLIN,
      '2027-03-27T00:00',
      ['2027-03-27T01:30', '2027-03-28T01:00', '2027-03-29T00:30'],
    ],
    [
      '2028',
      '30 2 * * *',
      BERLIN,
      '2028-03-25T00:00',
      ['2028-03-25T01:30', '2028-03-26T01:00', '2028-03-27T00:30'],
    ],
    [
      '2026',
      '30 1 * * *',
      DUBLIN,
      '2026-03-28T00:00',
      ['2026-03-28T01:30', '2026-03-29T01:00', '2026-03-30T00:30'],
    ],
    [
      '2027',
      '30 1 * * *',
      DUBLIN,
      '2027-03-27T00:00',
      ['2027-03-27T01:30', '2027-03-28T01:00', '2027-03-29T00:30'],
    ],
    [
      '2028',
      '30 1 * * *',
      DUBLIN,
      '2028-03-25T00:00',
      ['2028-03-25T01:30', '2028-03-26T01:00', '2028-03-27T00:30'],
    ],
    [
      '30 min, 2026',
      '15 2 * * *',
      LORD_HOWE,
      '2026-10-02T00:00',
      ['2026-10-02T15:45', '2026-10-03T15:30', '2026-10-04T15:15'],
    ],
    [
      '30 min, 2027',
      '15 2 * * *',
      LORD_HOWE,
      '2027-10-01T00:00',
      ['2027-10-01T15:45', '2027-10-02T15:30', '2027-10-03T15:15'],
    ],
    [
      '30 min, 2028',
      '15 2 * * *',
      LORD_HOWE,
      '2028-09-29T00:00',
      ['2028-09-29T15:45', '2028-09-30T15:30', '2028-10-01T15:15'],
    ],
    [
      'two hours, 2026',
      '30 1 * * *',
      TROLL,
      '2026-03-28T00:00',
      ['2026-03-28T01:30', '2026-03-29T01:00', '2026-03-29T23:30'],
    ],
    [
      'two hours, 2027',
      '30 1 * * *',
      TROLL,
      '2027-03-27T00:00',
      ['2027-03-27T01:30', '2027-03-28T01:00', '2027-03-28T23:30'],
    ],
    [
      'two hours, 2028',
      '30 1 * * *',
      TROLL,
      '2028-03-25T00:00',
      ['2028-03-25T01:30', '2028-03-26T01:00', '2028-03-26T23:30'],
    ],
    [
      'midnight, 2026',
      '0 0 * * *',
      CAIRO,
      '2026-04-22T12:00',
      ['2026-04-22T22:00', '2026-04-23T22:00', '2026-04-24T21:00'],
    ],
    [
      'midnight, 2027',
      '0 0 * * *',
      CAIRO,
      '2027-04-28T12:00',
      ['2027-04-28T22:00', '2027-04-29T22:00', '2027-04-30T21:00'],
    ],
    [
      'midnight, 2028',
      '0 0 * * *',
      CAIRO,
      '2028-04-26T12:00',
      ['2028-04-26T22:00', '2028-04-27T22:00', '2028-04-28T21:00'],
    ],
    ['midnight, the date that lost it', '30 0 24 4 *', CAIRO, '2026-01-01T00:00', ['2026-04-23T22:00']],
    [
      'midnight, 2026',
      '30 0 * * *',
      HAVANA,
      '2026-03-07T00:00',
      ['2026-03-07T05:30', '2026-03-08T05:00', '2026-03-09T04:30'],
    ],
    [
      'midnight, 2026',
      '0 0 * * *',
      SANTIAGO,
      '2026-09-05T00:00',
      ['2026-09-05T04:00', '2026-09-06T04:00', '2026-09-07T03:00'],
    ],
    [
      'a skipped day',
      '0 9 * * *',
      APIA,
      '2011-12-29T00:00',
      ['2011-12-29T19:00', '2011-12-30T10:00', '2011-12-30T19:00'],
    ],
    [
      'a skipped day, at its end',
      '0 0 * * *',
      APIA,
      '2011-12-29T00:00',
      ['2011-12-29T10:00', '2011-12-30T10:00', '2011-12-31T10:00'],
    ],
    ['a skipped date', '0 12 30 12 *', APIA, '2011-01-01T00:00', ['2011-12-30T10:00', '2012-12-29T22:00']],
    ['a skipped Friday', '0 12 * * FRI', APIA, '2011-12-24T00:00', ['2011-12-30T10:00', '2012-01-05T22:00']],
    [
      'no change any more',
      '0 9 * * *',
      APIA,
      '2026-03-28T12:00',
      ['2026-03-28T20:00', '2026-03-29T20:00', '2026-03-30T20:00'],
    ],
  ])('given $2 ($0), when "$1" is planned, it fires once', (row) => expect(slotsOf(row)).toEqual(row[4]));
});

describe('fixed-time schedules in an overlap fire once, on the first pass', () => {
  test.for<Row>([
    [
      '2026',
      '30 1 * * *',
      NEW_YORK,
      '2026-10-31T00:00',
      ['2026-10-31T05:30', '2026-11-01T05:30', '2026-11-02T06:30'],
    ],
    [
      '2027',
      '30 1 * * *',
      NEW_YORK,
      '2027-11-06T00:00',
      ['2027-11-06T05:30', '2027-11-07T05:30', '2027-11-08T06:30'],
    ],
    [
      '2028',
      '30 1 * * *',
      NEW_YORK,
      '2028-11-04T00:00',
      ['2028-11-04T05:30', '2028-11-05T05:30', '2028-11-06T06:30'],
    ],
    ['asked between the passes', '30 1 * * *', NEW_YORK, '2026-11-01T06:10', ['2026-11-02T06:30']],
    [
      'a list is fixed',
      '0,30 1 * * *',
      NEW_YORK,
      '2026-11-01T00:00',
      ['2026-11-01T05:00', '2026-11-01T05:30', '2026-11-02T06:00'],
    ],
    ['the edge after', '0 2 * * *', NEW_YORK, '2026-11-01T00:00', ['2026-11-01T07:00', '2026-11-02T07:00']],
    [
      '2026',
      '30 2 * * *',
      BERLIN,
      '2026-10-24T00:00',
      ['2026-10-24T00:30', '2026-10-25T00:30', '2026-10-26T01:30'],
    ],
    [
      '2027',
      '30 2 * * *',
      BERLIN,
      '2027-10-30T00:00',
      ['2027-10-30T00:30', '2027-10-31T00:30', '2027-11-01T01:30'],
    ],
    [
      '2028',
      '30 2 * * *',
      BERLIN,
      '2028-10-28T00:00',
      ['2028-10-28T00:30', '2028-10-29T00:30', '2028-10-30T01:30'],
    ],
    [
      '2026',
      '30 1 * * *',
      DUBLIN,
      '2026-10-24T00:00',
      ['2026-10-24T00:30', '2026-10-25T00:30', '2026-10-26T01:30'],
    ],
    [
      '2027',
      '30 1 * * *',
      DUBLIN,
      '2027-10-30T00:00',
      ['2027-10-30T00:30', '2027-10-31T00:30', '2027-11-01T01:30'],
    ],
    [
      '2028',
      '30 1 * * *',
      DUBLIN,
      '2028-10-28T00:00',
      ['2028-10-28T00:30', '2028-10-29T00:30', '2028-10-30T01:30'],
    ],
    [
      '30 min, 2026',
      '45 1 * * *',
      LORD_HOWE,
      '2026-04-03T00:00',
      ['2026-04-03T14:45', '2026-04-04T14:45', '2026-04-05T15:15'],
    ],
    [
      '30 min, 2027',
      '45 1 * * *',
      LORD_HOWE,
      '2027-04-02T00:00',
      ['2027-04-02T14:45', '2027-04-03T14:45', '2027-04-04T15:15'],
    ],
    [
      '30 min, 2028',
      '45 1 * * *',
      LORD_HOWE,
      '2028-03-31T00:00',
      ['2028-03-31T14:45', '2028-04-01T14:45', '2028-04-02T15:15'],
    ],
    [
      'two hours, 2026',
      '30 2 * * *',
      TROLL,
      '2026-10-24T00:00',
      ['2026-10-24T00:30', '2026-10-25T00:30', '2026-10-26T02:30'],
    ],
    [
      'two hours, 2028',
      '30 1 * * *',
      TROLL,
      '2028-10-27T12:00',
      ['2028-10-27T23:30', '2028-10-28T23:30', '2028-10-30T01:30'],
    ],
    [
      'midnight, 2026',
      '30 23 * * *',
      CAIRO,
      '2026-10-28T12:00',
      ['2026-10-28T20:30', '2026-10-29T20:30', '2026-10-30T21:30'],
    ],
    [
      'midnight, 2027',
      '30 23 * * *',
      CAIRO,
      '2027-10-27T12:00',
      ['2027-10-27T20:30', '2027-10-28T20:30', '2027-10-29T21:30'],
    ],
    [
      'midnight, 2028',
      '30 23 * * *',
      CAIRO,
      '2028-10-25T12:00',
      ['2028-10-25T20:30', '2028-10-26T20:30', '2028-10-27T21:30'],
    ],
    [
      'the midnight that was put off',
      '0 0 * * *',
      CAIRO,
      '2026-10-28T12:00',
      ['2026-10-28T21:00', '2026-10-29T22:00', '2026-10-30T22:00'],
    ],
    [
      'a midnight twice',
      '0 0 * * *',
      HAVANA,
      '2026-10-31T00:00',
      ['2026-10-31T04:00', '2026-11-01T04:00', '2026-11-02T05:00'],
    ],
    [
      'half past it',
      '30 0 * * *',
      HAVANA,
      '2026-10-31T00:00',
      ['2026-10-31T04:30', '2026-11-01T04:30', '2026-11-02T05:30'],
    ],
  ])('given $2 ($0), when "$1" is planned, it fires once', (row) => expect(slotsOf(row)).toEqual(row[4]));
});

describe('wildcard schedules keep real spacing', () => {
  test.for<Row>([
    [
      'gap',
      '*/30 * * * *',
      NEW_YORK,
      '2026-03-08T06:00',
      ['2026-03-08T06:30', '2026-03-08T07:00', '2026-03-08T07:30'],
    ],
    [
      'overlap',
      '*/30 * * * *',
      NEW_YORK,
      '2026-11-01T05:00',
      ['2026-11-01T05:30', '2026-11-01T06:00', '2026-11-01T06:30', '2026-11-01T07:00'],
    ],
    [
      'gap, even hours',
      '0 */2 * * *',
      NEW_YORK,
      '2026-03-08T04:00',
      ['2026-03-08T05:00', '2026-03-08T08:00', '2026-03-08T10:00'],
    ],
    [
      'overlap, odd hours',
      '0 1-23/2 * * *',
      NEW_YORK,
      '2026-11-01T04:00',
      ['2026-11-01T05:00', '2026-11-01T06:00', '2026-11-01T08:00'],
    ],
    [
      'gap, some hours',
      '*/30 1-3 * * *',
      NEW_YORK,
      '2026-03-08T05:00',
      ['2026-03-08T06:00', '2026-03-08T06:30', '2026-03-08T07:00', '2026-03-08T07:30', '2026-03-09T05:00'],
    ],
    [
      'overlap, 2027',
      '@hourly',
      BERLIN,
      '2027-10-30T23:30',
      ['2027-10-31T00:00', '2027-10-31T01:00', '2027-10-31T02:00'],
    ],
    [
      'overlap, 2028',
      '@hourly',
      DUBLIN,
      '2028-10-28T23:30',
      ['2028-10-29T00:00', '2028-10-29T01:00', '2028-10-29T02:00'],
    ],
    [
      'gap of 30 min',
      '0 * * * *',
      LORD_HOWE,
      '2026-10-03T14:00',
      ['2026-10-03T14:30', '2026-10-03T16:00', '2026-10-03T17:00'],
    ],
    [
      'overlap of 30 min',
      '*/15 * * * *',
      LORD_HOWE,
      '2026-04-04T14:20',
      ['2026-04-04T14:30', '2026-04-04T14:45', '2026-04-04T15:00', '2026-04-04T15:15', '2026-04-04T15:30'],
    ],
    [
      'overlap of two hours',
      '30 * * * *',
      TROLL,
      '2026-10-24T22:00',
      [
        '2026-10-24T22:30',
        '2026-10-24T23:30',
        '2026-10-25T00:30',
        '2026-10-25T01:30',
        '2026-10-25T02:30',
        '2026-10-25T03:30',
      ],
    ],
    [
      'overlap at midnight',
      '30 * * * *',
      CAIRO,
      '2026-10-29T20:00',
      ['2026-10-29T20:30', '2026-10-29T21:30', '2026-10-29T22:30'],
    ],
    [
      'a skipped day',
      '0 */6 * * *',
      APIA,
      '2011-12-29T15:00',
      ['2011-12-29T16:00', '2011-12-29T22:00', '2011-12-30T04:00', '2011-12-30T10:00', '2011-12-30T16:00'],
    ],
  ])('given $2 ($0), when "$1" is planned, every real match fires', (row) =>
    expect(slotsOf(row)).toEqual(row[4]),
  );

  test('given a yearly slot in a gap, when asked in the last second before the gap ends, it is still found', () => {
    const schedule = parseSchedule({ name: 'yearly', cron: '30 2 8 3 *', timezone: NEW_YORK });

    expect(schedule.nextAfter(Date.parse('2026-03-08T06:59:59.500Z'))).toBe(Date.parse('2026-03-08T07:00Z'));
    expect(schedule.nextAfter(Date.parse('2026-03-08T07:00Z'))).toBe(Date.parse('2027-03-08T07:30Z'));
  });

  test('given an interval of 6 h, when clocks change, its spacing stays 6 h', () => {
    const schedule = parseSchedule({ name: 'every', everyMs: 21_600_000, timezone: NEW_YORK });

    const slots = nextSlots(schedule, { afterMs: Date.parse('2026-03-08T03:00Z'), limit: 4 });

    expect(slots.map((slotMs) => new Date(slotMs).getUTCHours())).toEqual([6, 12, 18, 0]);
  });
});

describe('2026 to 2028 in whole', () => {
  const zones = [NEW_YORK, BERLIN, DUBLIN, LORD_HOWE, TROLL, CAIRO, HAVANA, SANTIAGO, APIA];
  const fromMs = Date.parse('2026-01-02T12:00Z');
  const untilMs = Date.parse('2028-12-30T12:00Z');
  const days = (untilMs - fromMs) / 86_400_000;

  test.for(
    zones.flatMap((zone) =>
      ['0 0 * * *', '30 0 * * *', '30 1 * * *', '15 2 * * *', '30 23 * * *'].map(
        (cron) => [zone, cron] as const,
      ),
    ),
  )('given %s, when "%s" is planned, it fires once per day', ([timezone, cron]) => {
    const schedule = parseSchedule({ name: 'daily', cron, timezone });

    const slots = nextSlots(schedule, { afterMs: fromMs, untilMs, limit: 2_000 });
    const gapsMs = slots.slice(1).map((slotMs, index) => slotMs - (slots[index] ?? 0));

    expect(Math.abs(slots.length - days)).toBeLessThanOrEqual(1);
    expect(Math.min(...gapsMs)).toBeGreaterThanOrEqual(21.5 * 3_600_000);
    expect(Math.max(...gapsMs)).toBeLessThanOrEqual(26 * 3_600_000);
  });

  test.for(zones)('given %s, when "*/30 * * * *" is planned, its spacing is always 30 min', (timezone) => {
    const schedule = parseSchedule({ name: 'half-hourly', cron: '*/30 * * * *', timezone });

    const slots = nextSlots(schedule, { afterMs: fromMs, untilMs, limit: 100_000 });
    const gapsMs = new Set(slots.slice(1).map((slotMs, index) => slotMs - (slots[index] ?? 0)));

    expect([...gapsMs]).toEqual([1_800_000]);
  });
});
