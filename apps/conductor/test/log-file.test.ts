import { appendFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { describe, expect, onTestFinished, test } from 'vitest';

import { readLastLines, readLinesFrom } from '../src/log-file.ts';
import { callCli } from './fixtures/cli.ts';

/** More than a log should ever have, and more than one read of a file can give. */
const HUGE_BYTES = 5 * 1024 ** 3;
/** Lines of all lengths, some longer than several blocks, with letters of two bytes. */
const LINES = Array.from(
  { length: 300 },
  (_, index) => `${index} ${'ä'.repeat((index * 7919) % 1_800)}`,
).concat('ö'.repeat(100_000), '', 'last');

async function setup(text: string) {
  const dir = mkdtempSync(path.join(tmpdir(), 'conductor-log-file-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const file = path.join(dir, 'daemon.log');
  writeFileSync(file, text);
  const handle = await open(file, 'r');
  onTestFinished(() => handle.close());
  return { dir, file, handle };
}

describe('reading a log', () => {
  test.for([1, 2, 3, 4, 50, 303, 1_000])('given many lines, the last %i are read whole', async (count) => {
    const text = LINES.map((line) => `${line}\n`).join('');
    const { handle } = await setup(text);

    const read = await readLastLines(handle, count, () => true);

    expect(read).toEqual({ lines: LINES.slice(-count), end: Buffer.byteLength(text) });
  });

  test('given a line still being written, it is left for later, and going on from there gives it', async () => {
    const { file, handle } = await setup('one\ntwo\nthr');

    const last = await readLastLines(handle, 1, () => true);
    const none = await readLinesFrom(handle, last.end);
    appendFileSync(file, 'ee\n');
    const more = await readLinesFrom(handle, last.end);

    expect(last).toEqual({ lines: ['two'], end: 8 });
    expect(none).toEqual({ lines: [], end: 8 });
    expect(more).toEqual({ lines: ['three'], end: 14 });
  });

  test('given no count, or nothing but a line under way, it only says where to go on', async () => {
    expect(await readLastLines((await setup('one\ntwo\n')).handle, 0, () => true)).toEqual({
      lines: [],
      end: 8,
    });
    expect(await readLastLines((await setup('on')).handle, 5, () => true)).toEqual({ lines: [], end: 0 });
    expect(await readLastLines((await setup('')).handle, 5, () => true)).toEqual({ lines: [], end: 0 });
  });

  test('given many lines, going on from the start block by block gives them all', async () => {
    const { handle } = await setup(LINES.map((line) => `${line}\n`).join(''));
    const read: string[] = [];

    for (let offset = 0, isMore = true; isMore;) {
      const { lines, end } = await readLinesFrom(handle, offset);
      read.push(...lines);
      isMore = lines.length > 0;
      offset = end;
    }

    expect(read).toEqual(LINES);
  });

  test('given a file that was emptied, it is read from its start', async () => {
    const { file, handle } = await setup('one\ntwo\n');
    writeFileSync(file, 'new\n');

    expect(await readLinesFrom(handle, 8)).toEqual({ lines: ['new'], end: 4 });
  });
});

describe('conductor logs', () => {
  test('given a log of gigabytes, it shows the last lines that matter enough', async () => {
    const { dir } = await setup('');
    const file = path.join(dir, 'daemon.log');
    const line = (level: number, msg: string): string =>
      `${JSON.stringify({ level, time: 1, node: 'n', msg })}\n`;
    truncateSync(file, HUGE_BYTES);
    appendFileSync(file, `\n${line(40, 'one')}${line(40, 'two')}${line(30, 'three')}`);

    const choice = '--tail 1 --level warn --json'.split(' ');
    const { exitCode, stdout } = await callCli(dir, ['logs', '--logs-dir', dir, ...choice]);

    expect(exitCode).toBe(0);
    expect(stdout).toBe(line(40, 'two'));
  });
});
