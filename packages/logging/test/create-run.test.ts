import { appendFileSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { createRedactor, createRun, openRun, reopenRun } from '../src/index.ts';
import { allSeqs, isSoundSequence, jsonLines, META, runPaths, setup, textOf } from './fixtures/setup.ts';

describe('createRun', () => {
  test('given a new run, its directory is private and whole, with nothing beside it', async () => {
    const { paths, clock } = await setup();

    expect(readdirSync(paths.runDir).sort()).toEqual([
      'artifacts',
      'checkpoints',
      'meta.json',
      'state.json',
      'stderr.log',
      'stdout.log',
      'timeline.ndjson',
      'worker.log',
    ]);
    expect(readdirSync(dirname(paths.runDir))).toEqual(['run-1']);
    expect(statSync(paths.runDir).mode & 0o777).toBe(0o700);
    expect(statSync(paths.checkpointsDir).mode & 0o777).toBe(0o700);
    for (const path of [paths.metaPath, paths.statePath, paths.stdoutPath, paths.eventsPath]) {
      expect(statSync(path).mode & 0o777).toBe(0o600);
    }
    expect(JSON.parse(textOf(paths.metaPath))).toMatchObject({
      layoutVersion: 1,
      taskId: 'task-1',
      runId: 'run-1',
      stepName: 'Build',
      createdAt: clock.nowMs(),
      pid: process.pid,
    });
  });

  test('given a run that exists, it is refused and the old one stays as it is', async () => {
    const { paths, writer } = await setup();
    writer.event({ type: 'run_prepared', message: 'first' });
    const before = textOf(paths.metaPath) + textOf(paths.eventsPath);

    await expect(createRun(paths, { ...META, stepName: 'Other' })).rejects.toMatchObject({
      code: 'run-exists',
    });

    expect(textOf(paths.metaPath) + textOf(paths.eventsPath)).toBe(before);
    expect(readdirSync(dirname(paths.runDir))).toEqual(['run-1']);
  });

  test('given many racing for one id, one gets it', async () => {
    const paths = runPaths();

    const results = await Promise.allSettled(Array.from({ length: 20 }, () => createRun(paths, META)));

    const won = results.filter((result) => result.status === 'fulfilled');
    expect(won).toHaveLength(1);
    for (const { value } of won) await value.close();
  });

  test('given secrets, meta.json, events and the summary hold none of them', async () => {
    const redactor = createRedactor({ secrets: { DB: 'correct horse' } });
    const paths = runPaths();
    await using writer = await createRun(
      paths,
      { ...META, command: ['psql', '--password=correct horse'] },
      { redactor },
    );

    writer.event({
      type: 'worker_started',
      message: 'with correct horse',
      data: { env: ['x=correct horse'] },
    });
    await writer.updateState({ summary: 'correct horse' });

    expect(textOf(paths.metaPath)).toContain('--password=[redacted:DB]');
    expect(jsonLines(paths.eventsPath)).toMatchObject([
      { message: 'with [redacted:DB]', data: { env: ['x=[redacted:DB]'] } },
    ]);
    expect(textOf(paths.statePath)).toContain('[redacted:DB]');
  });

  test.for([
    [{ maxBytesPerStream: 1000 }, RangeError],
    [{ maxSpoolBytes: 0 }, RangeError],
    [{ maxBytesPerStream: Number.NaN }, RangeError],
    [{ onLimit: 'fail' as const }, TypeError],
  ] as const)('given the options %j, it throws before anything is made', async ([options, kind]) => {
    const paths = runPaths();

    await expect(createRun(paths, META, options)).rejects.toThrow(kind);

    expect(readdirSync(paths.runsDir)).toEqual([]);
  });

  test('given a secret that is one of our own words, the record still says what happened', async () => {
    const { writer, paths } = await setup({
      redactor: createRedactor({ secrets: { A: 'completed', B: 'running' } }),
    });

    writer.event({ type: 'step_completed', message: 'It completed' });
    await writer.updateState({ status: 'running' });
    await writer.updateState({ status: 'completed', summary: 'It completed' });

    const [event] = await openRun(paths).events();
    expect(event).toMatchObject({ type: 'step_completed', message: 'It [redacted:A]' });
    expect(openRun(paths).state()).toMatchObject({ status: 'completed', summary: 'It [redacted:A]' });
  });

  test('given a closed writer, every call says so and closing again is fine', async () => {
    const { writer } = await setup();
    await writer.close();

    await writer.close();

    const closed: unknown = expect.objectContaining({ code: 'closed' });
    expect(() => writer.event({ type: 'run_lost', message: '' })).toThrow(closed);
    expect(() => writer.output('stdout').writable()).toThrow(closed);
    await expect(writer.updateState({ status: 'running' })).rejects.toMatchObject({ code: 'closed' });
    await expect(writer.flush()).rejects.toMatchObject({ code: 'closed' });
    await expect(writer.finishOutput()).rejects.toMatchObject({ code: 'closed' });
  });
});

describe('reopenRun', () => {
  test('given torn last lines in both journals, they are cut and the sequence goes on without a repeat', async () => {
    const { paths, writer } = await setup();
    writer.event({ type: 'run_prepared', message: 'one' });
    writer.output('stdout').writable().write('hello\n');
    await writer.flush();
    await writer.close();
    appendFileSync(paths.eventsPath, '{"seq":3,"createdAt":1,"level":"in');
    appendFileSync(paths.timelinePath, '{"seq":4,"atMs":1,"chan');

    await using again = await reopenRun(paths);
    again.event({ type: 'run_adopted', message: 'two' });

    expect(jsonLines(paths.eventsPath).map((line) => line['message'])).toEqual(['one', 'two']);
    expect(allSeqs(paths)).toEqual([1, 3, 2]);
  });

  test('given a tail of NULs from a power cut, it is cut too', async () => {
    const { paths, writer } = await setup();
    writer.event({ type: 'run_prepared', message: 'one' });
    await writer.close();
    appendFileSync(paths.eventsPath, '\0\0\0\0\n\0\0\0\n\0\0');

    await using again = await reopenRun(paths);
    again.event({ type: 'run_adopted', message: 'two' });

    expect(jsonLines(paths.eventsPath).map((line) => line['seq'])).toEqual([1, 2]);
  });

  test('given an event longer than any block, it is found again', async () => {
    const { paths, writer } = await setup();
    writer.event({ type: 'run_prepared', message: 'x'.repeat(300_000) });
    await writer.close();

    await using again = await reopenRun(paths);

    expect(again.event({ type: 'run_adopted', message: '' }).seq).toBe(2);
  });

  test('given output that reached the log but not the timeline, it is put on the timeline once', async () => {
    const { paths, writer } = await setup();
    writer.output('stdout').writable().write('known\n');
    await writer.flush();
    await writer.close();
    appendFileSync(paths.stdoutPath, 'unknown\n');

    await using again = await reopenRun(paths);
    again.output('stdout').writable().write('more\n');
    await again.finishOutput();

    expect(jsonLines(paths.timelinePath)).toMatchObject([
      { seq: 1, offset: 0, bytes: 6 },
      { seq: 2, offset: 6, bytes: 8 },
      { seq: 3, offset: 14, bytes: 5 },
    ]);
    expect(again.state()).toMatchObject({ stdoutBytes: 19, lastEventSeq: 3 });
    expect(textOf(paths.stdoutPath)).toBe('known\nunknown\nmore\n');
    expect(isSoundSequence(paths)).toBe(true);
  });

  test.for([
    ['absent', undefined],
    ['empty', ''],
    ['half', '{"status":"runn'],
  ])('given a state.json that is %s, it is rebuilt from worker.log', async ([, text]) => {
    const { paths, writer } = await setup();
    writer.event({ type: 'run_prepared', message: '' });
    writer.event({ type: 'worker_started', message: '' });
    writer.event({ type: 'checkpoint_written', message: '' });
    await writer.close();
    if (text === undefined) rmSync(paths.statePath);
    else writeFileSync(paths.statePath, text);

    await using again = await reopenRun(paths);

    expect(again.state()).toMatchObject({ status: 'running', lastEventSeq: 3 });
    await again.updateState({ status: 'lost' });
    expect(openRun(paths).state().status).toBe('lost');
  });

  test('given no run, or one of a newer layout, or a broken meta.json, it says which', async () => {
    const { paths, writer } = await setup();
    await writer.close();

    await expect(reopenRun(runPaths())).rejects.toMatchObject({ code: 'run-not-found' });
    writeFileSync(paths.metaPath, textOf(paths.metaPath).replace('"layoutVersion": 1', '"layoutVersion": 2'));
    await expect(reopenRun(paths)).rejects.toMatchObject({ code: 'layout-unsupported' });
    writeFileSync(paths.metaPath, '{');
    await expect(reopenRun(paths)).rejects.toMatchObject({ code: 'record-unreadable' });
    expect(() => openRun(runPaths())).toThrow(expect.objectContaining({ code: 'run-not-found' }));
  });

  test('given an empty directory in the way, the new run takes its place', async () => {
    const paths = runPaths();
    mkdirSync(join(paths.runsDir, 'task-1'), { recursive: true });

    const writer = await createRun(paths, META);
    await writer.close();

    expect(openRun(paths).state().status).toBe('prepared');
  });
});
