import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import * as fc from 'fast-check';
import { describe, expect, inject, test } from 'vitest';

import { createRedactor } from '../src/index.ts';
import { failingFiles } from './fixtures/failing-files.ts';
import { isSoundSequence, jsonLines, setup, setupLive, textOf } from './fixtures/setup.ts';

async function combined(reader: Awaited<ReturnType<typeof setup>>['reader']): Promise<string> {
  const parts: string[] = [];
  for await (const item of reader.follow({ live: false })) {
    if (item.kind === 'chunk') parts.push(`${item.channel}:${Buffer.from(item.bytes).toString('latin1')};`);
    else parts.push(`event:${item.event.message};`);
  }
  return parts.join('');
}

/** `once` would reject on the stream's error. */
function closed(stream: Writable): Promise<void> {
  return new Promise((resolve) => {
    stream.once('close', resolve);
  });
}

describe('writable', () => {
  test('given any interleaving of writes and events, follow gives exactly that back', async () => {
    const step = fc.record({
      to: fc.constantFrom('stdout' as const, 'stderr' as const, 'event' as const),
      text: fc.stringMatching(/^[a-z\n]{1,8}$/),
      flush: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { writer, reader, paths } = await setup();
        let expected = '';
        let last = '';
        for (const { to, text, flush } of steps) {
          if (to === 'event') writer.event({ type: 'worker_started', message: text });
          else writer.output(to).writable().write(text);
          if (flush) await writer.flush();
          expected += `${to}:${text};`;
          last = to;
        }
        await writer.flush();

        // Neighbours of one channel may come joined.
        const joined = (text: string): string =>
          text.replaceAll(/;stdout:(?<=stdout:[^;]*;stdout:)|;stderr:(?<=stderr:[^;]*;stderr:)/g, '');
        expect(joined(await combined(reader))).toBe(joined(expected));
        expect(isSoundSequence(paths)).toBe(true);
        expect(last).toBeTypeOf('string');
        await writer.close();
      }),
      { numRuns: 50 },
    );
  });

  test('given very many short lines on both channels, combined is rebuilt exactly', async () => {
    const { writer, reader } = await setupLive();
    const stdout = writer.output('stdout').writable();
    const stderr = writer.output('stderr').writable();
    const total = inject('soak') ? 1_000_000 : 150_000;
    const channelOf = (n: number): 'stdout' | 'stderr' => (n % 7 < 3 ? 'stderr' : 'stdout');

    for (let n = 0; n < total; n++) {
      (channelOf(n) === 'stdout' ? stdout : stderr).write(`${n}\n`);
      if (n % 10_000 === 0) await writer.flush();
    }
    await writer.updateState({ status: 'failed' });

    let next = 0;
    let mistakes = 0;
    for await (const line of reader.lines()) {
      if (line.text !== String(next) || line.channel !== channelOf(next)) mistakes += 1;
      next += 1;
    }
    expect([next, mistakes]).toEqual([total, 0]);
  });

  test('given a write, its callback comes when the bytes are in the file', async () => {
    const { writer, paths } = await setup();
    const stdout = writer.output('stdout').writable();

    const seen = await new Promise<string>((resolve) => {
      stdout.write('now', () => resolve(textOf(paths.stdoutPath)));
    });

    expect(seen).toBe('now');
  });

  test('given a source piped through, every byte arrives and end is flushed', async () => {
    const { writer, paths } = await setupLive();
    const blocks = Array.from({ length: 100 }, (_, n) => Buffer.alloc(10_007, n));

    await pipeline(Readable.from(blocks), writer.output('stdout').writable());

    expect(Buffer.concat(blocks).equals(readFileSync(paths.stdoutPath))).toBe(true);
  });

  test('given output that is finished, a later write fails and says so', async () => {
    const { writer, paths } = await setup();
    const stdout = writer.output('stdout').writable();
    stdout.write('in time');
    await writer.finishOutput();

    const error = await new Promise((resolve) => {
      stdout.write('late', resolve);
    });

    expect(error).toMatchObject({ code: 'closed' });
    expect(textOf(paths.stdoutPath)).toBe('in time');
  });

  test('given secrets, what may be the start of one is held back until it is known', async () => {
    const { writer, paths } = await setup({ redactor: createRedactor({ secrets: { DB: 'correct horse' } }) });
    const stdout = writer.output('stdout').writable();

    stdout.write('a correct');
    await writer.flush();
    const held = textOf(paths.stdoutPath);
    stdout.write(' horse b correct');
    stdout.end();
    await once(stdout, 'finish');

    expect(held).toBe('a ');
    expect(textOf(paths.stdoutPath)).toBe('a [redacted:DB] b correct');
    expect(jsonLines(paths.timelinePath).reduce((sum, line) => sum + Number(line['bytes']), 0)).toBe(25);
  });

  test('given a full disk, one typed error reaches the owner, the stream fails without a listener, nothing is torn', async () => {
    const codes: string[] = [];
    const failing = failingFiles(Number.MAX_SAFE_INTEGER, 'full');
    const { writer, paths } = await setup({
      files: failing.files,
      onError: ({ code }) => void codes.push(code),
    });
    const stdout = writer.output('stdout').writable();
    stdout.write('before|');
    await writer.flush();

    failing.setBroken(true);
    stdout.write('lost');
    await closed(stdout);
    failing.setBroken(false);

    expect(codes).toEqual(['write-failed']);
    expect(stdout.errored).toMatchObject({ code: 'ENOSPC' });
    expect(textOf(paths.stdoutPath)).toBe('before|');
    expect(jsonLines(paths.timelinePath)).toHaveLength(1);
    await writer.updateState({ status: 'failed' });
    expect(writer.state().stdoutBytes).toBe(7);
  });

  test('given a timeline that cannot be written, its bytes leave both logs again: all or nothing', async () => {
    const failing = failingFiles(Number.MAX_SAFE_INTEGER, 'full');
    const { writer, paths } = await setup({ files: failing.files, onError: () => {} });
    const stdout = writer.output('stdout').writable();
    stdout.write('before|');
    await writer.flush();

    failing.breakAfter(2);
    stdout.write('lost');
    writer.output('stderr').writable().write('lost too');
    await closed(stdout);
    failing.setBroken(false);

    expect([textOf(paths.stdoutPath), textOf(paths.stderrPath)]).toEqual(['before|', '']);
    writer.output('stdout').writable().write('after');
    await writer.updateState({ status: 'failed' });
    expect(textOf(paths.stdoutPath)).toBe('before|after');
  });

  test('given no onError, the next call of the owner throws it, once', async () => {
    const failing = failingFiles(Number.MAX_SAFE_INTEGER, 'full');
    const { writer } = await setup({ files: failing.files });
    const stdout = writer.output('stdout').writable();
    failing.setBroken(true);
    stdout.write('lost');
    await closed(stdout);
    failing.setBroken(false);

    await expect(writer.flush()).rejects.toMatchObject({ code: 'write-failed' });

    await writer.flush();
  });
});
