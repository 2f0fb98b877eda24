import { describe, expect, test } from 'vitest';

import { createScratch } from './fixtures/scratch.ts';

const CONFIG = `jobs:
  nightly: { command: "true", schedule: { cron: "30 2 * * *", timezone: Europe/Berlin } }
  often: { command: "true", schedule: { every: 10m } }
  manual: { command: "true" }
`;

describe('conductor forecast', () => {
  test('given schedules and no daemon, it lists their slots in order and draws a line for each', async () => {
    const scratch = createScratch({ 'conductor.yaml': CONFIG });

    const { stdout } = await scratch.conductor('forecast', '--hours', '48', '--json');
    const text = (await scratch.conductor('forecast', '--limit', '3')).stdout.split('\n');

    const { slots } = JSON.parse(stdout) as { slots: { schedule: string; firesAtMs: number }[] };
    expect(slots.filter((slot) => slot.schedule === 'nightly')).toHaveLength(2);
    expect(slots.filter((slot) => slot.schedule === 'often')).toHaveLength(288);
    expect(slots.map((slot) => slot.firesAtMs)).toEqual(
      slots.map((slot) => slot.firesAtMs).toSorted((one, other) => one - other),
    );
    expect(text.some((line) => /^nightly +│ *•/.test(line))).toBe(true);
    expect(text.some((line) => /^often +│[3-9• ]+/.test(line))).toBe(true);
    expect(text.join('\n')).toContain('… and 286 of often, 1 of nightly (--limit, --job)');
    // A job that runs often does not hide the one that runs at night.
    expect(text.filter((line) => /  nightly  ran/.test(line))).toHaveLength(1);
    expect(text.join('\n')).toContain('• once, 2 to 9 so often');
  });

  test('given a paused job, its slots are foretold as skipped', async () => {
    const scratch = createScratch({ 'conductor.yaml': CONFIG });
    await scratch.conductor('enqueue', 'nightly');
    await scratch.conductor('jobs', 'pause', 'nightly');

    const { stdout } = await scratch.conductor('forecast', '--json');

    const { slots } = JSON.parse(stdout) as { slots: { schedule: string; reason: string }[] };
    expect(slots.filter((slot) => slot.schedule === 'nightly').map((slot) => slot.reason)).toEqual([
      'paused',
      'paused',
    ]);
  });

  test('given a schedule with more slots than are listed, it says so', async () => {
    const scratch = createScratch({
      'conductor.yaml': 'jobs:\n  quick: { command: "true", schedule: { every: 1s } }\n',
    });

    const { stdout } = await scratch.conductor('forecast');

    expect(stdout).toContain('… and 9980 or more of quick');
    expect(stdout).toMatch(/^quick +│#+…+\n/);
  });
});

describe('conductor simulate', () => {
  test('given a month with a change to summer time, every night counts once and the hour that is missing none', async () => {
    const scratch = createScratch({ 'conductor.yaml': CONFIG });

    const { stdout } = await scratch.conductor(
      'simulate',
      '--from',
      '2027-03-01',
      '--to',
      '2027-04-01',
      '--json',
    );

    // The schedules are first seen at the first instant, so a slot of that very instant is not theirs.
    expect(JSON.parse(stdout)).toMatchObject({
      schedules: [
        { schedule: 'nightly', counts: { ran: 31 } },
        { schedule: 'often', counts: { ran: 31 * 144 - 1 } },
      ],
    });
  });

  test('given a night without a daemon, the table says what is coalesced', async () => {
    const scratch = createScratch({ 'conductor.yaml': CONFIG });

    const { stdout } = await scratch.conductor(
      'simulate',
      '--from',
      '2027-01-01',
      '--to',
      '2027-01-03',
      '--down',
      '2027-01-01T12:00Z/2027-01-01T18:00Z',
    );

    expect(stdout).toMatch(/JOB +RAN +COALESCED +SKIPPED/);
    expect(stdout).toMatch(/nightly +2 +0 +0/);
    expect(stdout).toMatch(/often +2\d\d +3\d +0/);
  });

  test('given instants out of order or unreadable, it refuses with 2', async () => {
    const scratch = createScratch({ 'conductor.yaml': CONFIG });

    const outOfOrder = await scratch.conductor('simulate', '--from', '2027-02-01', '--to', '2027-01-01');
    const unreadable = await scratch.conductor('simulate', '--from', 'now', '--to', '2027-01-01');

    expect(outOfOrder).toMatchObject({ exitCode: 2 });
    expect(unreadable.stderr).toContain('--from "now"');
  });
});
