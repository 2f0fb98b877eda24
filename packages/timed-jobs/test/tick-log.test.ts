import { appendFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createTimedJobs, type Runner, type TimedJobs } from '@conductor-run/timed-jobs';
import { createTestGate, loggerSpy, manualClock, readLog, tempDir } from './fixtures/setup.ts';

const START_MS = Date.UTC(2026, 0, 1, 23, 59, 30);

async function setup(runners: readonly Runner[] = []) {
  const clock = manualClock(START_MS);
  const logDir = join(await tempDir(), 'ticks');
  const logger = loggerSpy();
  const gate = createTestGate();
  const jobs: TimedJobs = createTimedJobs({ gate, clock, logDir, logger });
  for (const runner of runners) jobs.registerRunner(runner);
  return { clock, logDir, logger, gate, jobs };
}

describe('tick log', () => {
  test('given a runner that works, when ticked, every stage is a line with the fixed fields first', async () => {
    const { jobs, logDir } = await setup([
      {
        name: 'reaper',
        run(context) {
          context.log('reaped', { job: 'build', stage: 'not mine', ts: 1 });
          return { result: 'worked', details: { reaped_count: 2 } };
        },
      },
    ]);

    jobs.start();
    const { batchId } = await jobs.runTick('manual');
    await jobs.stop();

    const lines = await readLog(logDir);
    const ts = '2026-01-01T23:59:30.000Z';
    const fixed = { ts, batch_id: batchId, duration_ms: null, result: null, error: null };
    const framework = { ...fixed, runner: 'timed-jobs.framework' };
    expect(lines).toEqual([
      { ...framework, stage: 'started', batch_id: null },
      { ...framework, stage: 'tick_started', trigger: 'manual' },
      { ...fixed, runner: 'reaper', stage: 'runner_started' },
      { ...fixed, runner: 'reaper', stage: 'reaped', job: 'build', details_stage: 'not mine', details_ts: 1 },
      {
        ...fixed,
        runner: 'reaper',
        stage: 'runner_completed',
        duration_ms: 0,
        result: 'worked',
        reaped_count: 2,
      },
      {
        ...framework,
        stage: 'tick_completed',
        duration_ms: 0,
        result: 'scheduled',
        runner_count: 1,
        failed_runner_count: 0,
      },
      { ...framework, stage: 'stopped', batch_id: null },
    ]);
    expect(Object.keys(lines[0] ?? {})).toEqual([
      'ts',
      'runner',
      'stage',
      'batch_id',
      'duration_ms',
      'result',
      'error',
    ]);
  });

  test('given idle runners, when ticked, the tick is one line', async () => {
    const { jobs, logDir } = await setup([
      { name: 'one', run: () => 'idle' },
      { name: 'two', run: () => ({ result: 'idle', details: { looked_at: 5 } }) },
    ]);

    await jobs.runTick('manual');
    await jobs.stop();

    expect(await readLog(logDir)).toMatchObject([{ stage: 'tick_completed', result: 'idle' }]);
  });

  test('given an idle runner and one that fails, when ticked, no line is missing', async () => {
    const { jobs, logDir } = await setup([
      { name: 'one', run: () => 'idle' },
      { name: 'two', run: () => Promise.reject(new TypeError('no such job')) },
    ]);

    await jobs.runTick('manual');
    await jobs.stop();

    expect((await readLog(logDir)).map((line) => [line['runner'], line['stage'], line['error']])).toEqual([
      ['timed-jobs.framework', 'tick_started', null],
      ['one', 'runner_started', null],
      ['one', 'runner_completed', null],
      ['two', 'runner_started', null],
      ['two', 'runner_failed', 'TypeError: no such job'],
      ['timed-jobs.framework', 'tick_completed', null],
    ]);
  });

  test('given a runner that takes longer than 1 s, when it is still running, its start is on disk', async () => {
    const { jobs, clock, logDir } = await setup([
      { name: 'slow', timeoutMs: 5_000, run: () => new Promise(() => {}) },
    ]);

    const tick = jobs.runTick('manual');
    await clock.advance(1_000);
    const seen = (await untilLines(logDir, 2)).map((line) => line['stage']);
    await clock.advance(4_000);
    await tick;
    const stopped = jobs.stop();
    await clock.advance(1_000);
    await stopped;

    expect(seen).toEqual(['tick_started', 'runner_started']);
    expect((await readLog(logDir)).map((line) => line['stage'])).toEqual([
      'tick_started',
      'runner_started',
      'runner_timed_out',
      'tick_completed',
    ]);
  });

  test('given gates and business, when ticks are skipped or fail, the lines say which', async () => {
    const { jobs, gate, logDir } = await setup();
    await jobs.runTick('manual');
    jobs.registerRunner({ name: 'one', run: () => 'idle' });
    gate.answer = 'skipped_not_leader';
    await jobs.runTick('manual');
    gate.answer = new Error('away');
    await jobs.runTick('manual');
    gate.answer = 'scheduled';
    await Promise.all([jobs.runTick('manual'), jobs.runTick('manual')]);
    await jobs.stop();

    expect((await readLog(logDir)).map((line) => [line['stage'], line['result']])).toEqual([
      ['tick_skipped_no_runners', 'skipped_no_runners'],
      ['tick_completed', 'skipped_not_leader'],
      ['tick_started', null],
      ['tick_failed', 'failed'],
      ['tick_skipped_busy', 'skipped_busy'],
      ['tick_completed', 'idle'],
    ]);
  });

  test('given details that cannot be written, when logged, the line stays', async () => {
    const circular: Record<string, unknown> = {};
    circular['self'] = circular;
    const { jobs, logDir } = await setup([
      {
        name: 'one',
        run(context) {
          context.log('seen', { circular });
          context.log('looked', {
            get size() {
              throw new Error('no size');
            },
          });
          context.log('counted', { count: 12n, cause: new RangeError('too far') });
        },
      },
    ]);

    await jobs.runTick('manual');
    await jobs.stop();

    const lines = await readLog(logDir);
    expect(lines.find((line) => line['stage'] === 'seen')?.['details_error']).toContain('circular');
    expect(lines.find((line) => line['stage'] === 'looked')?.['details_error']).toBe('no size');
    expect(lines.find((line) => line['stage'] === 'counted')).toMatchObject({
      count: '12',
      cause: 'RangeError: too far',
    });
  });

  test('given a runner that logs a stage of the framework, when it does, it is refused', async () => {
    const { jobs, logger } = await setup([{ name: 'one', run: (context) => context.log('tick_completed') }]);

    expect(await jobs.runTick('manual')).toMatchObject({ failedRunnerCount: 1 });
    expect(logger.entries[0]?.fields['err']).toBeInstanceOf(RangeError);
    await jobs.stop();
  });

  test('given midnight, when it passes, lines go to the file of their day', async () => {
    const { jobs, clock, logDir } = await setup([{ name: 'one', run: () => 'idle' }]);
    jobs.start();
    await clock.advance(60_000);
    await jobs.stop();

    expect((await readdir(logDir)).toSorted()).toEqual(['2026-01-01.jsonl', '2026-01-02.jsonl']);
    expect(await readFile(join(logDir, '2026-01-02.jsonl'), 'utf8')).toMatch(
      /^\{"ts":"2026-01-02T00:00:00.000Z"/,
    );
  });

  test('given more days than are kept, when a day begins, the oldest go and others stay', async () => {
    const { jobs, logDir } = await setup([{ name: 'one', run: () => 'idle' }]);
    await mkdir(logDir, { recursive: true });
    const days = Array.from(
      { length: 31 },
      (_, index) => `2025-11-${String(index + 1).padStart(2, '0')}.jsonl`,
    );
    for (const name of [...days, '2025-01-01.jsonl', '2025-01-01.jsonl.gz', 'notes.txt']) {
      await writeFile(join(logDir, name), '');
    }

    await jobs.runTick('manual');
    await jobs.stop();

    expect((await readdir(logDir)).toSorted()).toEqual([
      '2025-01-01.jsonl.gz',
      ...days.slice(2),
      '2026-01-01.jsonl',
      'notes.txt',
    ]);
  });

  test('given a wall clock that jumps a year ahead and back, when ticked on the way, the recent days stay', async () => {
    const { jobs, clock, logDir } = await setup([{ name: 'one', run: () => 'idle' }]);
    await mkdir(logDir, { recursive: true });
    const days = ['2025-12-29.jsonl', '2025-12-30.jsonl', '2025-12-31.jsonl'];
    for (const name of days) await writeFile(join(logDir, name), '');

    clock.setWallTime(Date.UTC(2027, 0, 1));
    await jobs.runTick('manual');
    await jobs.stop();
    clock.setWallTime(START_MS);
    await jobs.runTick('manual');
    await jobs.stop();

    expect((await readdir(logDir)).toSorted()).toEqual([...days, '2026-01-01.jsonl', '2027-01-01.jsonl']);
  });

  test('given a wall clock set back before every kept day, when ticked, the day that is written stays', async () => {
    const { jobs, clock, logDir } = await setup([{ name: 'one', run: () => 'idle' }]);
    await mkdir(logDir, { recursive: true });
    for (let day = 1; day <= 30; day++) {
      await writeFile(join(logDir, `2025-12-${String(day).padStart(2, '0')}.jsonl`), '');
    }

    clock.setWallTime(0);
    await jobs.runTick('manual');
    await jobs.stop();

    const names = (await readdir(logDir)).toSorted();
    expect([names.length, names[0], names[1]]).toEqual([30, '1970-01-01.jsonl', '2025-12-02.jsonl']);
  });

  test('given a line torn by a crash, when written on, only that line is lost', async () => {
    const { jobs, logDir } = await setup([{ name: 'one', run: () => 'idle' }]);
    await mkdir(logDir, { recursive: true });
    const path = join(logDir, '2026-01-01.jsonl');
    await appendFile(path, '{"ts":"2026-01-01T00:00:00.000Z","runner":"o');

    await jobs.runTick('manual');
    await jobs.stop();

    const [torn, whole] = (await readFile(path, 'utf8')).split('\n');
    expect(torn).toBe('{"ts":"2026-01-01T00:00:00.000Z","runner":"o');
    expect(JSON.parse(whole ?? '')).toMatchObject({ stage: 'tick_completed' });
  });

  test('given a disk that fails, when ticks go on, none fails and the logger hears of it once a minute', async () => {
    const { jobs, clock, logDir, logger } = await setup([{ name: 'one', run: () => 'idle' }]);
    // A file where the directory should be fails every write, for root as well.
    await writeFile(logDir, '');

    const decisions: string[] = [];
    for (let second = 0; second < 90; second += 10) {
      decisions.push((await jobs.runTick('manual')).decision);
      await jobs.stop();
      await clock.advance(10_000);
    }

    expect(new Set(decisions)).toEqual(new Set(['scheduled']));
    expect(logger.entries.map(({ message }) => message)).toEqual([
      'tick-log.write-failed',
      'tick-log.write-failed',
    ]);
    expect(logger.entries[1]?.fields['droppedCount']).toBe(7);

    await rm(logDir);
    await jobs.runTick('manual');
    await jobs.stop();
    expect(await readLog(logDir)).toHaveLength(1);
  });

  test('given a flood, when the disk cannot follow, lines are dropped and the rest is in order', async () => {
    const { jobs, logDir, logger } = await setup([
      {
        name: 'flood',
        run(context) {
          const padding = 'x'.repeat(1_000);
          for (let index = 0; index < 3_000; index++) context.log('flooded', { index, padding });
        },
      },
    ]);

    await jobs.runTick('manual');
    await jobs.stop();

    const indexes = (await readLog(logDir)).flatMap((line) =>
      typeof line['index'] === 'number' ? [line['index']] : [],
    );
    expect(indexes.length).toBeLessThan(1_500);
    expect(indexes).toEqual(indexes.map((_value, index) => index));
    expect(logger.entries).toMatchObject([{ message: 'tick-log.write-failed' }]);
  });

  test('given an idle hour at the default interval, when it passes, the log stays under 64 KiB', async () => {
    const { jobs, clock, logDir } = await setup([
      { name: 'one', run: () => 'idle' },
      { name: 'two', run: () => 'idle' },
    ]);
    jobs.start();
    await clock.advance(3_600_000);
    await jobs.stop();

    const sizes = await Promise.all(
      (await readdir(logDir)).map(async (name) => (await readFile(join(logDir, name))).length),
    );
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(65_536);
  });
});

async function untilLines(logDir: string, count: number): Promise<Awaited<ReturnType<typeof readLog>>> {
  for (let tries = 0; tries < 10_000; tries++) {
    const lines = await readLog(logDir).catch(() => []);
    if (lines.length >= count) return lines;
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
  throw new Error(`Cannot see ${count} lines in ${logDir}`);
}
