import { describe, expect, test } from 'vitest';
import { nextSlots, parseSchedule, type ScheduleSpec, TimedJobsError } from '@conductor-run/timed-jobs';

const JAN_1_MS = Date.UTC(2026, 0, 1);

function refusalOf(spec: ScheduleSpec): TimedJobsError {
  try {
    parseSchedule(spec);
  } catch (error) {
    if (error instanceof TimedJobsError) return error;
    throw error;
  }
  throw new Error('Cannot see a refusal: the schedule was accepted');
}

describe('parseSchedule', () => {
  test('given a spec without policy, when parsed, the defaults are those of the documentation', () => {
    expect(parseSchedule({ name: ' nightly ', cron: '@daily' })).toMatchObject({
      name: 'nightly',
      kind: 'cron',
      timezone: 'UTC',
      catchUp: 'latest',
      catchUpWindowMs: 86_400_000,
      catchUpMax: 100,
      graceMs: 60_000,
      overlap: 'queue-one',
      delayMs: 0,
      notBeforeMs: -Infinity,
      notAfterMs: Infinity,
    });
  });

  test.for<readonly [string, ScheduleSpec]>([
    ['cron', { name: 'bad', cron: '61 * * * *' }],
    ['cron', { name: 'bad', cron: '* * * *' }],
    ['cron', { name: 'bad', cron: '0 0 0 1 1 * 2027' }],
    ['cron', { name: 'bad', cron: '@reboot' }],
    ['timezone', { name: 'bad', cron: '@daily', timezone: 'Mars/Olympus' }],
    ['everyMs', { name: 'bad', everyMs: 99 }],
    ['everyMs', { name: 'bad', everyMs: 1_000.5 }],
    ['at', { name: 'bad', at: 'tomorrow' }],
    ['at', { name: 'bad', at: '2026-02-30T00:00' }],
    ['at', { name: 'bad', at: Number.NaN }],
    ['catchUpWindowMs', { name: 'bad', cron: '@daily', catchUpWindowMs: -1 }],
    ['catchUpMax', { name: 'bad', cron: '@daily', catchUpMax: 0 }],
    ['catchUpMax', { name: 'bad', cron: '@daily', catchUpMax: 10_001 }],
    ['graceMs', { name: 'bad', cron: '@daily', graceMs: -1 }],
    ['jitterMs', { name: 'bad', cron: '@daily', jitterMs: -1 }],
    ['notBefore', { name: 'bad', cron: '@daily', notBefore: 'x' }],
    ['notAfter', { name: 'bad', cron: '@daily', notBefore: 2, notAfter: 1 }],
    ['blackouts[0].until', { name: 'bad', cron: '@daily', blackouts: [{ from: 5, until: 5 }] }],
    [
      'blackouts[1].cron',
      {
        name: 'bad',
        cron: '@daily',
        blackouts: [
          { from: 5, until: 6 },
          { cron: 'x', durationMs: 1 },
        ],
      },
    ],
    [
      'blackouts[0].durationMs',
      { name: 'bad', cron: '@daily', blackouts: [{ cron: '@daily', durationMs: 0 }] },
    ],
  ])('given a wrong %s, when parsed, the refusal names schedule and field', ([field, spec]) => {
    const { code, message } = refusalOf(spec);

    expect(code).toBe('invalid-schedule');
    expect(message).toContain(`Cannot read schedule "bad": ${field} is "`);
  });

  test('given an unknown catch-up or overlap, as from an unchecked file, when parsed, it is refused', () => {
    const unchecked = (fields: object): ScheduleSpec => ({ name: 'bad', cron: '@daily', ...fields });

    expect(refusalOf(unchecked({ catchUp: 'some' })).message).toContain('expected one of latest, all, none');
    expect(refusalOf(unchecked({ overlap: 'queue' })).message).toContain('overlap is "queue"');
    expect(refusalOf(unchecked({ everyMs: 1_000 })).message).toContain(
      'the number of cron, everyMs and at is "2", expected exactly one of them',
    );
    expect(refusalOf(unchecked({ name: ' ' })).message).toContain('non-empty');
  });
});

describe('slots', () => {
  test('given everyMs, when listed, slots are its multiples', () => {
    const schedule = parseSchedule({ name: 'every', everyMs: 90_000 });

    expect(nextSlots(schedule, { afterMs: JAN_1_MS, limit: 3 }).map((slotMs) => slotMs - JAN_1_MS)).toEqual([
      90_000, 180_000, 270_000,
    ]);
  });

  test.for([
    ['2026-03-29T10:00:00Z', '2026-03-29T10:00:00.000Z'],
    ['2026-03-29T10:00+05:30', '2026-03-29T04:30:00.000Z'],
    ['2026-03-29 10:00', '2026-03-29T08:00:00.000Z'],
    ['2026-03-29', '2026-03-28T23:00:00.000Z'],
    ['2026-03-29T02:30', '2026-03-29T01:00:00.000Z'],
    ['2026-10-25T02:30:15.5', '2026-10-25T00:30:15.500Z'],
  ] as const)('given "at" of %s in Berlin, when listed, the slot is %s', ([at, expected]) => {
    const schedule = parseSchedule({ name: 'once', at, timezone: 'Europe/Berlin' });

    const slots = nextSlots(schedule, { afterMs: 0 });

    expect(slots.map((slotMs) => new Date(slotMs).toISOString())).toEqual([expected]);
    expect(schedule.nextAfter(slots[0] ?? 0)).toBeUndefined();
  });

  test('given notBefore and notAfter, when listed, both ends count and nothing lies outside', () => {
    const schedule = parseSchedule({
      name: 'limited',
      cron: '0 * * * *',
      notBefore: '2026-01-01T05:00Z',
      notAfter: '2026-01-01T07:00Z',
    });

    expect(nextSlots(schedule, { afterMs: 0 }).map((slotMs) => new Date(slotMs).getUTCHours())).toEqual([
      5, 6, 7,
    ]);
  });

  test('given six fields, when listed, the first is seconds', () => {
    const schedule = parseSchedule({ name: 'seconds', cron: '15,45 * * * * *' });

    expect(nextSlots(schedule, { afterMs: JAN_1_MS, limit: 3 }).map((slotMs) => slotMs - JAN_1_MS)).toEqual([
      15_000, 45_000, 75_000,
    ]);
  });

  test('given jitter, when parsed anywhere, it is the same for a name, below the limit, and spread over names', () => {
    const delayOf = (name: string): number =>
      parseSchedule({ name, cron: '0 9 * * *', jitterMs: 600_000 }).delayMs;
    const delays = Array.from({ length: 200 }, (_, index) => delayOf(`job-${index}`));

    // A golden value: were the hash to change, every jittered schedule would move.
    expect(delayOf('nightly-backup')).toBe(93_614);
    expect(Math.max(...delays)).toBeLessThan(600_000);
    const perMinute = new Set(delays.map((delayMs) => Math.floor(delayMs / 60_000)));
    expect(perMinute.size).toBe(10);
  });
});

describe('blackouts', () => {
  test('given a stretch of time, when asked, its start is in it and its end is not', () => {
    const schedule = parseSchedule({
      name: 'frozen',
      cron: '@hourly',
      timezone: 'Europe/Berlin',
      blackouts: [{ from: '2026-12-24', until: '2026-12-27' }],
    });

    expect(schedule.isBlackedOut(Date.parse('2026-12-23T22:59:59Z'))).toBe(false);
    expect(schedule.isBlackedOut(Date.parse('2026-12-23T23:00:00Z'))).toBe(true);
    expect(schedule.isBlackedOut(Date.parse('2026-12-26T22:59:59Z'))).toBe(true);
    expect(schedule.isBlackedOut(Date.parse('2026-12-26T23:00:00Z'))).toBe(false);
  });

  test('given one that comes back every night, when asked, local nights count on both sides of a clock change', () => {
    const schedule = parseSchedule({
      name: 'quiet nights',
      cron: '@hourly',
      timezone: 'Europe/Berlin',
      blackouts: [{ cron: '0 22 * * *', durationMs: 8 * 3_600_000 }],
    });
    const isDark = (at: string): boolean => schedule.isBlackedOut(Date.parse(at));

    expect([
      isDark('2026-03-28T20:59Z'),
      isDark('2026-03-28T21:00Z'),
      isDark('2026-03-29T04:59Z'),
      isDark('2026-03-29T05:00Z'),
    ]).toEqual([false, true, true, false]);
    expect([isDark('2026-03-29T19:59Z'), isDark('2026-03-29T20:00Z')]).toEqual([false, true]);
  });
});
