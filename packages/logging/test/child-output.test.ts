import { appendFileSync, existsSync, readdirSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename } from 'node:path';

import { describe, expect, test } from 'vitest';

import { createRealRunFiles, createRedactor, openRun, reopenRun, type OutputChunk } from '../src/index.ts';
import {
  exitOf,
  isSoundSequence,
  jsonLines,
  setup,
  setupLive,
  startScript,
  textOf,
  until,
} from './fixtures/setup.ts';

const SECRETS = { secrets: { DB: 'correct horse' } };
const EIGHT_MIB = 8 * 1024 * 1024;

describe('openForChild', () => {
  test('given a Node step that writes 8 MiB and exits at once, all of it is in the log', async () => {
    const { writer, paths } = await setupLive();
    using stdout = writer.output('stdout').openForChild();

    const child = startScript(
      `process.stdout.write('0123456789abcdef'.repeat(${EIGHT_MIB / 16})); process.exit(0)`,
      stdout.fd,
    );
    await exitOf(child);
    await writer.finishOutput();

    expect(textOf(paths.stdoutPath)).toBe('0123456789abcdef'.repeat(EIGHT_MIB / 16));
    expect(writer.state().stdoutBytes).toBe(EIGHT_MIB);
  });

  test('given the same with secrets on, all of it is there, redacted, and the spool is gone', async () => {
    const { writer, paths } = await setupLive({ redactor: createRedactor(SECRETS) });
    using stdout = writer.output('stdout').openForChild();
    expect(readdirSync(paths.runDir)).toContain('.stdout.spool');

    const child = startScript(
      `process.stdout.write('correct horse|0123456789'.repeat(${EIGHT_MIB / 24})); process.exit(0)`,
      stdout.fd,
    );
    await exitOf(child);
    await writer.updateState({ status: 'failed', exitCode: 0 });

    const repeats = Math.floor(EIGHT_MIB / 24);
    expect(textOf(paths.stdoutPath)).toBe('[redacted:DB]|0123456789'.repeat(repeats));
    expect(readdirSync(paths.runDir)).not.toContain('.stdout.spool');
    expect(writer.state().stdoutBytes).toBe(24 * repeats);
  });

  test('given the descriptor is closed twice and opened again, a second child appends', async () => {
    const { writer, paths } = await setupLive();
    for (const word of ['one', 'two']) {
      const stdout = writer.output('stdout').openForChild();
      const child = startScript(`process.stdout.write('${word}\\n')`, stdout.fd);
      stdout.close();
      stdout.close();
      await exitOf(child);
    }

    await writer.finishOutput();

    expect(textOf(paths.stdoutPath)).toBe('one\ntwo\n');
  });

  test('given a child in use, a Writable on the same channel is refused, and the other way round', async () => {
    const { writer } = await setup();
    using _stdout = writer.output('stdout').openForChild();
    writer.output('stderr').writable();

    expect(() => writer.output('stdout').writable()).toThrow(
      expect.objectContaining({ code: 'output-claimed' }),
    );
    expect(() => writer.output('stderr').openForChild()).toThrow(
      expect.objectContaining({ code: 'output-claimed' }),
    );
    await writer.finishOutput();
    expect(() => writer.output('stdout').openForChild()).toThrow(expect.objectContaining({ code: 'closed' }));
  });

  test('given output while the clock moves, the timeline tells its time within one sampling step', async () => {
    const { writer, clock, paths } = await setup();
    using stdout = writer.output('stdout').openForChild();
    const startMs = clock.nowMs();

    await clock.advance(120);
    await exitOf(startScript(`process.stdout.write('early')`, stdout.fd));
    await clock.advance(1000);
    await exitOf(startScript(`process.stdout.write('late!')`, stdout.fd));
    await writer.finishOutput();

    expect(jsonLines(paths.timelinePath)).toEqual([
      { seq: 1, atMs: startMs + 150, channel: 'stdout', offset: 0, bytes: 5 },
      { seq: 2, atMs: startMs + 1120, channel: 'stdout', offset: 5, bytes: 5 },
    ]);
  });

  test('given nothing written, following leaves no trace and no timer after close', async () => {
    const { writer, clock, paths } = await setup();
    using _stdout = writer.output('stdout').openForChild();
    await clock.advance(10_000);

    await writer.close();

    expect(textOf(paths.timelinePath)).toBe('');
    expect(clock.pendingTimers()).toBe(0);
  });
});

describe('reopen while the child lives on', () => {
  test('given the writer goes away mid-output, the next one continues without loss or repeat', async () => {
    const { writer, paths } = await setupLive();
    const stdout = writer.output('stdout').openForChild();
    const child = startScript(
      `let n = 0; const t = setInterval(() => { process.stdout.write('line ' + n + '\\n'); if (++n === 60) { clearInterval(t) } }, 5)`,
      stdout.fd,
    );
    stdout.close();
    await until('some output', () => writer.state().stdoutBytes > 0);
    await writer.close();

    await using again = await reopenRun(paths);
    again.output('stdout').followChild();
    await exitOf(child);
    await again.updateState({ status: 'failed' });

    const expected = Array.from({ length: 60 }, (_, n) => `line ${n}\n`).join('');
    const chunks: Uint8Array[] = [];
    for await (const item of openRun(paths).follow()) if (item.kind === 'chunk') chunks.push(item.bytes);
    expect(Buffer.concat(chunks).toString()).toBe(expected);
    expect(isSoundSequence(paths)).toBe(true);
  });

  test('given secrets, the next one goes on in the spool, without loss, repeat or leak', async () => {
    const redactor = createRedactor(SECRETS);
    const { writer, paths } = await setupLive({ redactor });
    const stdout = writer.output('stdout').openForChild();
    const child = startScript(
      `let n = 0; const t = setInterval(() => { process.stdout.write(n % 2 ? ' horse ' + n + '\\n' : 'a correct'); if (++n === 60) { clearInterval(t) } }, 5)`,
      stdout.fd,
    );
    stdout.close();
    await until('some output', () => writer.state().stdoutBytes > 0);
    await writer.close();
    expect(existsSync(`${paths.runDir}/.stdout.spool`)).toBe(true);

    await using again = await reopenRun(paths, { redactor });
    again.output('stdout').followChild();
    await exitOf(child);
    await again.finishOutput();

    const expected = Array.from({ length: 30 }, (_, n) => `a [redacted:DB] ${2 * n + 1}\n`).join('');
    expect(textOf(paths.stdoutPath)).toBe(expected);
    expect(again.state().stdoutBytes).toBe(expected.length);
    expect(readdirSync(paths.runDir)).not.toContain('.stdout.spool');
    expect(isSoundSequence(paths)).toBe(true);
  });

  test('given a crash between log and timeline, the redacted bytes are cut and redone from the spool', async () => {
    const redactor = createRedactor(SECRETS);
    const { writer, clock, paths } = await setup({ redactor });
    const stdout = writer.output('stdout').openForChild();
    await exitOf(startScript(`process.stdout.write('first|')`, stdout.fd));
    await clock.advance(50);
    await exitOf(startScript(`process.stdout.write('second|')`, stdout.fd));
    stdout.close();
    await writer.close();
    appendFileSync(paths.stdoutPath, 'sec');

    await using again = await reopenRun(paths, { redactor });
    await again.finishOutput();

    expect(textOf(paths.stdoutPath)).toBe('first|second|');
    expect(jsonLines(paths.timelinePath)).toMatchObject([
      { offset: 0, bytes: 6, spool: 6 },
      { offset: 6, bytes: 7, spool: 13 },
    ]);
  });

  test('given a spool and no redactor, it refuses rather than leak, and a redactor can still go on', async () => {
    const { writer, paths } = await setupLive({ redactor: createRedactor(SECRETS) });
    writer.output('stdout').openForChild().close();
    await writer.close();

    await expect(reopenRun(paths)).rejects.toMatchObject({ code: 'redactor-required' });

    await using again = await reopenRun(paths, { redactor: createRedactor(SECRETS) });
    await again.finishOutput();
    expect(readdirSync(paths.runDir)).not.toContain('.stdout.spool');
  });
});

describe('mixing redacted and plain output', () => {
  test('given a spool of the process before, a Writable is refused on its channel', async () => {
    const redactor = createRedactor(SECRETS);
    const { writer, paths } = await setupLive({ redactor });
    writer.output('stdout').openForChild().close();
    await writer.close();

    await using again = await reopenRun(paths, { redactor });

    expect(() => again.output('stdout').writable()).toThrow(
      expect.objectContaining({ code: 'output-claimed' }),
    );
    again.output('stderr').writable();
  });

  test('given a log that a child wrote directly, a spool beside it is refused, and the log stays as it is', async () => {
    const { writer, paths } = await setupLive();
    using stdout = writer.output('stdout').openForChild();
    await exitOf(startScript(`process.stdout.write('plain')`, stdout.fd));
    await writer.close();

    await using again = await reopenRun(paths, { redactor: createRedactor(SECRETS) });

    expect(() => again.output('stdout').openForChild()).toThrow(
      expect.objectContaining({ code: 'output-claimed' }),
    );
    again.output('stdout').followChild();
    await again.finishOutput();
    expect(textOf(paths.stdoutPath)).toBe('plain');
  });
});

describe('finishOutput', () => {
  test('given a process that keeps writing after the step, the run still ends', async () => {
    const { writer, paths } = await setupLive({ redactor: createRedactor(SECRETS) });
    const stdout = writer.output('stdout').openForChild();
    const child = startScript(`for (;;) require('fs').writeSync(1, 'still here\\n')`, stdout.fd);
    stdout.close();
    await until('some output', () => writer.state().stdoutBytes > 0);

    await writer.updateState({ status: 'failed' });

    child.kill('SIGKILL');
    expect(writer.state().status).toBe('failed');
    expect(readdirSync(paths.runDir)).not.toContain('.stdout.spool');
  });

  test('given output that may be the start of a secret, it is held back while the child lives and written at its end', async () => {
    const { writer, clock, paths } = await setup({ redactor: createRedactor(SECRETS) });
    using stdout = writer.output('stdout').openForChild();
    await exitOf(startScript(`process.stdout.write('the correct hor')`, stdout.fd));
    await clock.advance(200);
    const before = textOf(paths.stdoutPath);

    await writer.finishOutput();

    expect(before).toBe('the ');
    expect(textOf(paths.stdoutPath)).toBe('the correct hor');
  });

  test('given it is called twice at once and again, it happens once', async () => {
    const { writer, paths } = await setup();
    writer.output('stderr').writable().write('x');

    await Promise.all([writer.finishOutput(), writer.finishOutput()]);
    await writer.finishOutput();

    expect(jsonLines(paths.timelinePath)).toHaveLength(1);
  });
});

describe('spool pressure', () => {
  test('given a child far ahead of the redactor, it asks to pause it, and to resume it when caught up', async () => {
    const asked: string[] = [];
    const { writer, clock } = await setup({
      redactor: createRedactor(SECRETS),
      maxSpoolBytes: 3 * 1024 * 1024,
      onSpoolPressure: (pressure) => void asked.push(pressure),
    });
    using stdout = writer.output('stdout').openForChild();
    await exitOf(startScript(`process.stdout.write('.'.repeat(6 * 1024 * 1024))`, stdout.fd));
    expect(asked).toEqual([]);

    for (let turn = 0; turn < 20; turn++) await clock.advance(50);

    expect(asked).toEqual(['pause', 'resume']);
    expect(writer.state().stdoutBytes).toBe(6 * 1024 * 1024);
  });

  test('given a reopened run that is not under pressure, it says resume once, for a child that was left paused', async () => {
    const redactor = createRedactor(SECRETS);
    const { writer, clock, paths } = await setup({ redactor });
    writer.output('stdout').openForChild().close();
    await writer.close();
    const asked: string[] = [];

    await using again = await reopenRun(paths, {
      redactor,
      clock,
      onSpoolPressure: (pressure) => void asked.push(pressure),
    });
    again.output('stdout').followChild();
    await clock.advance(500);

    expect(asked).toEqual(['resume']);
  });
});

describe('a spool of many megabytes', () => {
  const fill = `const block = Buffer.alloc(1 << 20, '.'); for (let n = 0; n < 40; n++) require('fs').writeSync(1, block)`;

  test('given it is read, its consumed part is given back to the disk, and the log has all of it', async () => {
    const punched: [string, number, number][] = [];
    const { writer, paths } = await setupLive({
      redactor: createRedactor(SECRETS),
      files: {
        ...createRealRunFiles(),
        punchHole: async (path, offset, bytes) => void punched.push([basename(path), offset, bytes]),
      },
    });
    using stdout = writer.output('stdout').openForChild();
    await exitOf(startScript(fill, stdout.fd));
    await until('consumed', () => writer.state().stdoutBytes === 40 * 1024 * 1024);
    await until('given back', () => punched.length > 0);
    await writer.finishOutput();

    expect(punched).toEqual([['.stdout.spool', 0, 32 * 1024 * 1024]]);
    expect(statSync(paths.stdoutPath).size).toBe(40 * 1024 * 1024);
  });

  test('given a file system that gives nothing back, it is told once and output goes on', async () => {
    const errors: string[] = [];
    const { writer } = await setupLive({
      redactor: createRedactor(SECRETS),
      files: { ...createRealRunFiles(), punchHole: () => Promise.reject(new Error('not supported')) },
      onError: ({ code }) => void errors.push(code),
    });
    using stdout = writer.output('stdout').openForChild();
    await exitOf(startScript(fill, stdout.fd));
    await until('told', () => errors.length > 0);
    await exitOf(startScript(fill, stdout.fd));
    await writer.finishOutput();

    expect(errors).toEqual(['limit-unenforceable']);
    expect(writer.state().stdoutBytes).toBe(80 * 1024 * 1024);
  });
});

describe('limits', () => {
  test('given onLimit fail, it asks once for the step to end and keeps everything', async () => {
    const hits: unknown[] = [];
    const { writer, clock } = await setup({
      maxBytesPerStream: 64 * 1024,
      onLimit: 'fail',
      onOutputLimit: (hit) => void hits.push(hit),
    });
    using stdout = writer.output('stdout').openForChild();
    await exitOf(startScript(`process.stdout.write('x'.repeat(100_000))`, stdout.fd));

    await clock.advance(500);

    expect(hits).toEqual([{ channel: 'stdout', bytes: 100_000, limitBytes: 64 * 1024 }]);
    expect(writer.state()).toMatchObject({ stdoutBytes: 100_000, droppedBytes: 0 });
  });

  test('given a file system that makes no holes, truncate becomes fail and says why', async () => {
    const errors: string[] = [];
    const hits: string[] = [];
    const { writer, clock } = await setup({
      maxBytesPerStream: 64 * 1024,
      files: { ...createRealRunFiles(), punchHole: () => Promise.reject(new Error('not supported')) },
      onOutputLimit: ({ channel }) => void hits.push(channel),
      onError: ({ code }) => void errors.push(code),
    });
    using stdout = writer.output('stdout').openForChild();
    await exitOf(startScript(`process.stdout.write('x'.repeat(100_000))`, stdout.fd));

    await clock.advance(500);

    expect(errors).toEqual(['limit-unenforceable']);
    expect(hits).toEqual(['stdout']);
  });

  test('given truncate, head and newest part stay, the gap is recorded and readers step over it', async () => {
    const punched: [number, number][] = [];
    const real = createRealRunFiles();
    const { writer, reader, clock, paths } = await setup({
      maxBytesPerStream: 64 * 1024,
      files: {
        ...real,
        // What fallocate(1) does to the bytes, on any file system.
        punchHole: async (path, offset, bytes) => {
          punched.push([offset, bytes]);
          await using file = await open(path, 'r+');
          await file.write(Buffer.alloc(bytes), 0, bytes, offset);
        },
      },
    });
    using stdout = writer.output('stdout').openForChild();
    const script = `for (let n = 0; n < 10000; n++) require('fs').writeSync(1, String(n).padStart(15, '.') + '\\n')`;
    await exitOf(startScript(script, stdout.fd));
    await clock.advance(100);
    await until('the gap', () => writer.state().droppedBytes > 0);
    await writer.updateState({ status: 'failed' });

    const state = reader.state();
    const dropped = {
      offset: 16 * 1024,
      bytes: 160_000 - 16 * 1024 - 32 * 1024 - ((160_000 - 32 * 1024) % 4096),
    };
    expect(punched).toEqual([[dropped.offset, dropped.bytes]]);
    expect(state).toMatchObject({
      stdoutBytes: 160_000,
      droppedBytes: dropped.bytes,
      dropped: { stdout: dropped },
    });
    expect(jsonLines(paths.eventsPath)).toMatchObject([
      { type: 'stream_truncated', level: 'warn', data: { channel: 'stdout', ...dropped } },
    ]);
    const chunks: OutputChunk[] = [];
    for await (const item of reader.follow()) if (item.kind === 'chunk') chunks.push(item);
    expect(chunks.map(({ offset, bytes }) => [offset, bytes.byteLength])).toEqual([
      [0, dropped.offset],
      [dropped.offset + dropped.bytes, 160_000 - dropped.offset - dropped.bytes],
    ]);
    const tail = await reader.tail({ lines: 5000 });
    expect(tail.isTruncated).toBe(true);
    expect(tail.lines.at(-1)?.text).toBe('...........9999');
    expect(tail.lines.every(({ text }) => !text.includes('\0'))).toBe(true);
  });
});
