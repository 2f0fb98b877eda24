/** The daemon's log read while real processes write and rotate it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';

import { createRealClock } from '@conductor-run/clock';
import { listRotatedLogs } from '@conductor-run/logging';
import { describe, expect, onTestFinished, test } from 'vitest';

import { openRotatedLog } from '../src/rotated-log.ts';
import { createScratch } from './fixtures/scratch.ts';

const WRITER = path.join(import.meta.dirname, 'fixtures', 'log-writer.ts');
const COUNT = 2_000;
const NAMES = ['a', 'b', 'c'];

function setup() {
  const scratch = createScratch();
  const logsDir = path.join(scratch.dir, 'logs');
  mkdirSync(logsDir);
  return { scratch, logsDir, file: path.join(logsDir, 'daemon.log') };
}

async function startWriter(file: string, name: string, count = COUNT) {
  const child = spawn(process.execPath, [WRITER, file, name, String(count), '8192'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(createInterface(child.stdout), 'line');
  return { go: () => void child.stdin.end(), ended: once(child, 'exit') };
}

/** The numbers of each name, in the order of the lines. */
function numbersByName(lines: readonly string[]): Readonly<Record<string, readonly number[]>> {
  const numbers: Record<string, number[]> = {};
  for (const line of lines) {
    const { name, number } = JSON.parse(line) as { readonly name: string; readonly number: number };
    (numbers[name] ??= []).push(number);
  }
  return numbers;
}

const all = Array.from({ length: COUNT }, (_, index) => index);
const line = (msg: string): string => JSON.stringify({ level: 30, time: 1, node: 'n', msg });

describe('conductor logs', () => {
  test('given writers that rotate, -f shows every line once and in order, and so does what is read afterwards', async () => {
    const { scratch, logsDir, file } = setup();
    const writers = await Promise.all(NAMES.map((name) => startWriter(file, name)));
    const common = ['--logs-dir', logsDir, '--json', '--tail', '1000000'];
    const reader = scratch.start('logs', '-f', ...common);
    const followed: string[] = [];
    const isComplete = new Promise<void>((resolve) => {
      if (reader.child.stdout === null) throw new Error('Cannot read: no stdout');
      createInterface(reader.child.stdout).on('line', (text) => {
        followed.push(text);
        if (followed.length === NAMES.length * COUNT) resolve();
      });
    });

    for (const { go } of writers) go();
    await Promise.all(writers.map(({ ended }) => ended));
    await isComplete;
    reader.child.kill('SIGINT');
    await reader.ended;
    const { stdout } = await scratch.conductor('logs', ...common);

    expect((await listRotatedLogs(file)).length).toBeGreaterThan(10);
    const expected = { a: all, b: all, c: all };
    expect(numbersByName(followed)).toEqual(expected);
    expect(numbersByName(stdout.trimEnd().split('\n'))).toEqual(expected);
  });
});

describe('a log and what it was rotated into', () => {
  test('given a log that is followed, when it is rotated twice between two looks, what comes is read file by file', async () => {
    const { file } = setup();
    writeFileSync(`${file}.00000007-00000000`, `${line('old')}\n`);
    writeFileSync(file, `${line('one')}\n`);
    await using log = openRotatedLog(file, longAfter());

    const last = await log.last(100, () => true);
    renameSync(file, `${file}.00000008-00000000`);
    writeFileSync(`${file}.00000009-00000000`, `${line('two')}\n`);
    writeFileSync(file, `${line('three')}\n`);

    expect(last).toEqual([line('old'), line('one')]);
    expect(await nextLines(log, 2)).toEqual([line('two'), line('three')]);
    expect(await log.next()).toEqual([]);
  });

  test('given a followed file that was removed as too old, what is left is read from its oldest on', async () => {
    const { file } = setup();
    writeFileSync(file, `${line('one')}\n`);
    await using log = openRotatedLog(file, longAfter());

    await log.last(0, () => true);
    rmSync(file);
    writeFileSync(`${file}.00000002-00000000`, `${line('two')}\n`);
    writeFileSync(file, `${line('three')}\n`);

    expect(await nextLines(log, 2)).toEqual([line('two'), line('three')]);
  });

  test('given a writer that may not have noticed yet, the rotated file is not left before its lines are there', async () => {
    const { file } = setup();
    writeFileSync(file, `${line('one')}\n`);
    const clock = createRealClock();
    await using log = openRotatedLog(file, clock);

    await log.last(0, () => true);
    const rotated = `${file}.00000001-00000000`;
    renameSync(file, rotated);
    writeFileSync(file, `${line('three')}\n`);
    const early = await log.next();
    writeFileSync(rotated, `${line('two')}\n`, { flag: 'a' });

    expect(early).toEqual([]);
    expect(await nextLines(log, 2)).toEqual([line('two'), line('three')]);
  });

  test('given no log yet, when one comes, it is read from its start', async () => {
    const { file } = setup();
    await using log = openRotatedLog(file, longAfter());

    expect(await log.last(10, () => true)).toBeUndefined();
    expect(await log.next()).toEqual([]);
    writeFileSync(file, `${line('one')}\n`);

    expect(await log.next()).toEqual([line('one')]);
  });

  test('given a log that was renamed and not begun anew, as by a kill, its end is read and followed', async () => {
    const { file } = setup();
    writeFileSync(`${file}.00000001-00000000`, `${line('one')}\n`);
    await using log = openRotatedLog(file, longAfter());

    expect(await log.last(10, () => true)).toEqual([line('one')]);
    writeFileSync(file, `${line('two')}\n`);

    expect(await nextLines(log, 1)).toEqual([line('two')]);
  });
});

/** A clock by which every file was left long ago. */
function longAfter() {
  const clock = createRealClock();
  return { ...clock, nowMs: () => clock.nowMs() + 3_600_000 };
}

async function nextLines(log: ReturnType<typeof openRotatedLog>, count: number): Promise<readonly string[]> {
  const lines: string[] = [];
  while (lines.length < count) lines.push(...(await log.next()));
  return lines;
}
