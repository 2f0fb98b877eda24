import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

import { createManualClock } from '@conductor-run/clock';
import { describe, expect, onTestFinished, test } from 'vitest';

import { createLogger, listRotatedLogs, type LogFileDestination, type LoggerOptions } from '../src/index.ts';
import { jsonLines, temporaryDirectory } from './fixtures/setup.ts';

/** Loggers of one file on a clock that only the test moves. */
function setup(settings: Partial<LogFileDestination> = {}) {
  const file = join(temporaryDirectory(), 'daemon.log');
  const clock = createManualClock();
  onTestFinished(() => clock[Symbol.dispose]());
  const open = (options: LoggerOptions = {}) =>
    createLogger({ destination: { file, ...settings }, clock, ...options });
  /** What each file holds, oldest first, the log last. */
  const files = async (): Promise<unknown[][]> =>
    [...(await listRotatedLogs(file)), file].map((path) =>
      jsonLines(path).map((line) => line['n'] ?? line['msg']),
    );
  return { file, clock, open, files };
}

/** Makes a line of a bit more than 500 bytes. */
const PADDING = 'x'.repeat(450);

describe('rotation', () => {
  test('given a file that would get too large, when written, it is renamed and begun anew, and only the newest stay', async () => {
    const { file, open, files } = setup({ maxBytes: 1_200, keep: 2 });
    const logger = open();

    for (let n = 0; n < 9; n++) logger.info({ n, PADDING }, 'line');

    expect(await files()).toEqual([[4, 5], [6, 7], [8]]);
    const names = (await listRotatedLogs(file)).map((path) => basename(path));
    expect(names).toEqual([
      expect.stringMatching(/^daemon\.log\.00000003-[0-9a-f]{8}$/),
      expect.stringMatching(/^daemon\.log\.00000004-[0-9a-f]{8}$/),
    ]);
  });

  test('given a line larger than a file may be, when written, it has a file of its own', async () => {
    const { open, files } = setup({ maxBytes: 1_024 });
    const logger = open();

    for (let n = 0; n < 3; n++) logger.info({ n, padding: 'x'.repeat(2_000) }, 'line');

    expect(await files()).toEqual([[0], [1], [2]]);
  });

  test('given another logger that rotated, when a second is over, lines go to the new file', async () => {
    const { clock, open, files } = setup({ maxBytes: 1_200 });
    const [one, other] = [open(), open()];
    other.info({ n: 0 }, 'line');
    for (let n = 1; n < 4; n++) one.info({ n, PADDING }, 'line');

    await clock.advance(999);
    other.info({ n: 4 }, 'line');
    await clock.advance(1);
    other.info({ n: 5 }, 'line');

    expect(await files()).toEqual([
      [0, 1, 2, 4],
      [3, 5],
    ]);
  });

  test('given a process killed between rename and reopening, when another writes, the log is there again', async () => {
    const { file, clock, open, files } = setup({ maxBytes: 1_200 });
    const logger = open();
    logger.info({ n: 0 }, 'line');

    renameSync(file, `${file}.00000001-0123abcd`);
    await clock.advance(1_000);
    logger.info({ n: 1 }, 'line');

    expect(await files()).toEqual([[0], [1]]);
  });

  test('given a lock that a killed process left, when it stays for five seconds, rotation goes on and no line is lost', async () => {
    const { file, clock, open, files } = setup({ maxBytes: 1_200 });
    const logger = open();
    writeFileSync(`${file}.lock`, '');

    for (let n = 0; n < 5; n++) logger.info({ n, PADDING }, 'line');
    await clock.advance(5_000);
    for (let n = 5; n < 9; n++) logger.info({ n, PADDING }, 'line');

    // The first line after the five seconds takes the lock away, the next one rotates.
    expect(await files()).toEqual([[0, 1, 2, 3, 4, 5], [6, 7], [8]]);
  });

  test('given a directory that refuses the rename, when the file is full, it grows on and says so once', async () => {
    const { file, clock, open, files } = setup({ maxBytes: 1_200 });
    const logger = open();
    // A lock that is no file: it can neither be taken nor removed.
    mkdirSync(join(`${file}.lock`, 'in-the-way'), { recursive: true });

    for (let n = 0; n < 4; n++) logger.info({ n, PADDING }, 'line');
    await clock.advance(5_000);
    for (let n = 4; n < 6; n++) logger.info({ n, PADDING }, 'line');
    rmSync(`${file}.lock`, { recursive: true });
    await clock.advance(1_000);
    logger.info({ n: 6, PADDING }, 'line');

    expect(await files()).toEqual([[0, 1, 2, 3, 'log.rotation-failed', 4, 5], [6]]);
  });

  test('given a torn last line, when a logger opens the file, its first line begins on a line of its own', () => {
    const { file, open } = setup();
    writeFileSync(file, '{"level":30,"ti');

    open().info({ n: 1 }, 'line');

    expect(readFileSync(file, 'utf8')).toMatch(/^\{"level":30,"ti\n\{"level":30,.*"n":1.*\}\n$/);
  });

  test.for([
    ['maxBytes', 1_023],
    ['maxBytes', NaN],
    ['keep', 0],
    ['keep', 1.5],
  ] as const)('given a %s of %s, when created, it is refused by name', ([setting, value]) => {
    expect(() => setup({ [setting]: value }).open()).toThrow(
      new RegExp(`^Cannot create logger: ${setting} is "${value}", expected an integer of at least`),
    );
  });

  test('given a directory that is not there, when its rotated files are listed, there are none', async () => {
    expect(await listRotatedLogs(join(temporaryDirectory(), 'nowhere', 'daemon.log'))).toEqual([]);
  });
});

describe('a log that cannot be written', () => {
  test('given a full disk, when there is room again, lines were dropped, counted, and nothing threw', async () => {
    const { file, open } = setup();
    symlinkSync('/dev/full', file);
    const logger = open({ fields: { node: 'n1' } });

    for (let n = 0; n < 3; n++) logger.info({ n }, 'dropped');
    logger.flush();
    rmSync(file);
    logger.info({}, 'after');
    logger.info({}, 'last');

    expect(jsonLines(file)).toMatchObject([
      {
        level: 40,
        node: 'n1',
        msg: 'log.lines-dropped',
        droppedCount: 3,
        err: { message: expect.stringContaining('ENOSPC') },
      },
      { msg: 'after' },
      { msg: 'last' },
    ]);
  });

  test('given dropped lines and room again, when only flushed, the number is written', async () => {
    const { file, open } = setup();
    symlinkSync('/dev/full', file);
    const logger = open();
    logger.info({}, 'dropped');

    rmSync(file);
    logger.flush();
    logger.flush();

    expect(jsonLines(file)).toMatchObject([{ msg: 'log.lines-dropped', droppedCount: 1 }]);
  });

  test('given a path that cannot be a file, when created, it is refused by name', () => {
    const { file, open } = setup();
    mkdirSync(file);

    expect(() => open()).toThrow(`Cannot open log "${file}"`);
  });
});
