import { describe, expect, test } from 'vitest';
import { simulate, type SimulatedDecision } from '@conductor-run/timed-jobs';

const FROM_MS = Date.UTC(2026, 0, 1);
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

describe('simulate', () => {
  test('given a year, when played, every slot is counted once', async () => {
    const { slotCount, schedules } = await simulate({
      schedules: [
        { name: 'nightly', cron: '30 2 * * *', timezone: 'America/New_York' },
        { name: 'hourly', cron: '@hourly', timezone: 'Europe/Berlin' },
      ],
      fromMs: FROM_MS,
      toMs: Date.UTC(2027, 0, 1),
    });

    expect(schedules).toEqual([
      { schedule: 'nightly', counts: { ran: 365, coalesced: 0, skipped: 0 }, skipped: {} },
      { schedule: 'hourly', counts: { ran: 8_759, coalesced: 0, skipped: 0 }, skipped: {} },
    ]);
    expect(slotCount).toBe(365 + 8_759);
  });

  test('given outages, when played, catch-up follows the policy and the reasons are counted', async () => {
    const { schedules } = await simulate({
      schedules: [
        { name: 'latest', cron: '@hourly' },
        { name: 'all', cron: '@hourly', catchUp: 'all' },
        { name: 'none', cron: '@hourly', catchUp: 'none' },
      ],
      fromMs: FROM_MS,
      toMs: FROM_MS + DAY_MS,
      outages: [
        { fromMs: FROM_MS + 2.5 * HOUR_MS, untilMs: FROM_MS + 5.5 * HOUR_MS, reason: 'down' },
        { fromMs: FROM_MS + 10.5 * HOUR_MS, untilMs: FROM_MS + 12.5 * HOUR_MS, reason: 'not-leader' },
      ],
    });

    expect(schedules).toEqual([
      { schedule: 'latest', counts: { ran: 20, coalesced: 3, skipped: 0 }, skipped: {} },
      { schedule: 'all', counts: { ran: 23, coalesced: 0, skipped: 0 }, skipped: {} },
      {
        schedule: 'none',
        counts: { ran: 18, coalesced: 0, skipped: 5 },
        skipped: { missed: 3, 'not-leader': 2 },
      },
    ]);
  });

  test('given a second-by-second schedule that was down for a year, when played, it takes a handful of decisions', async () => {
    const decisions: string[] = [];
    const [fromMs, yearMs] = [Date.UTC(2026, 0, 1), 365 * 86_400_000];

    await simulate({
      schedules: [{ name: 'secondly', cron: '* * * * * *', catchUpWindowMs: yearMs }],
      fromMs,
      toMs: fromMs + yearMs + 2_000,
      outages: [{ fromMs: fromMs + 1, untilMs: fromMs + yearMs, reason: 'down' }],
      onDecision: ({ decision, slotCount }) => decisions.push(`${decision} ${slotCount}`),
    });

    expect(decisions).toEqual(['anchored 1', 'coalesced 100000', 'ran 1', 'ran 1']);
  });

  test('given work longer than its spacing, when played, overlap skip skips', async () => {
    const decisions: SimulatedDecision[] = [];
    const { schedules } = await simulate({
      schedules: [{ name: 'careful', cron: '@hourly', overlap: 'skip' }],
      fromMs: FROM_MS,
      toMs: FROM_MS + 6.5 * HOUR_MS,
      workMs: () => 1.5 * HOUR_MS,
      onDecision: (decision) => void decisions.push(decision),
    });

    expect(schedules[0]).toMatchObject({ counts: { ran: 3, skipped: 3 }, skipped: { overlap: 3 } });
    expect(
      decisions.map(({ decision, decidedAtMs }) => [decision, (decidedAtMs - FROM_MS) / HOUR_MS]),
    ).toEqual([
      ['anchored', 0],
      ['ran', 1],
      ['skipped', 2],
      ['ran', 3],
      ['skipped', 4],
      ['ran', 5],
      ['skipped', 6],
    ]);
  });

  test('given the same input, when played twice, the decisions are the same', async () => {
    const play = async (): Promise<SimulatedDecision[]> => {
      const decisions: SimulatedDecision[] = [];
      await simulate({
        schedules: Array.from({ length: 20 }, (_, index) => ({
          name: `job-${index}`,
          cron: '*/20 * * * *',
          timezone: 'Australia/Lord_Howe',
          jitterMs: HOUR_MS / 4,
        })),
        fromMs: FROM_MS,
        toMs: FROM_MS + 10 * DAY_MS,
        onDecision: (decision) => void decisions.push(decision),
      });
      return decisions;
    };

    expect(await play()).toEqual(await play());
  });

  test('given a callback that throws, when played, the simulation rejects with it', async () => {
    const options = { schedules: [{ name: 'a', cron: '@hourly' }], fromMs: FROM_MS, toMs: FROM_MS + DAY_MS };

    await expect(
      simulate({
        ...options,
        onDecision: () => {
          throw new Error('no more');
        },
      }),
    ).rejects.toThrow('no more');
    await expect(simulate({ ...options, signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow(
      'enough',
    );
  });

  test.for([
    [1, 0],
    [0.5, 1],
    [0, Infinity],
  ] as const)('given a span from %d to %d, when played, it is refused', async ([fromMs, toMs]) => {
    await expect(simulate({ schedules: [], fromMs, toMs })).rejects.toThrow(RangeError);
  });
});
