import { appendFileSync, writeFileSync } from 'node:fs';

import { createManualClock } from '@conductor-run/clock';
import { describe, expect, test } from 'vitest';

import { openRun, reopenRun, type FollowItem, type LogLine, type RunReader } from '../src/index.ts';
import { exitOf, setup, setupLive, startScript, textLines, until } from './fixtures/setup.ts';

async function collect(items: AsyncIterable<FollowItem>): Promise<string[]> {
  const seen: string[] = [];
  for await (const item of items) {
    seen.push(
      item.kind === 'event'
        ? `${item.seq}:${item.event.type}`
        : `${item.seq}:${Buffer.from(item.bytes).toString()}`,
    );
  }
  return seen;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

const texts = (result: Awaited<ReturnType<RunReader['tail']>>): readonly string[] =>
  result.lines.map(({ text }) => text);

describe('tail', () => {
  test('given more lines than asked for, the last ones come, whole, with their place and time', async () => {
    const { writer, reader, clock } = await setup();
    const stdout = writer.output('stdout').writable();
    for (let n = 0; n < 50_000; n++) stdout.write(`line ${n}\n`);
    await writer.flush();

    const result = await reader.tail({ lines: 2 });

    expect(result.isTruncated).toBe(false);
    expect(result.lines).toEqual([
      { channel: 'stdout', offset: 538_890 - 22, atMs: clock.nowMs(), text: 'line 49998', isWhole: true },
      { channel: 'stdout', offset: 538_890 - 11, atMs: clock.nowMs(), text: 'line 49999', isWhole: true },
    ]);
  });

  test('given both channels, combined interleaves them and one channel shows itself alone', async () => {
    const { writer, reader } = await setup();
    const stdout = writer.output('stdout').writable();
    const stderr = writer.output('stderr').writable();
    for (let n = 0; n < 10; n++) {
      stdout.write(`out ${n}, part one;`);
      stderr.write(`err ${n}\n`);
      stdout.write(`part two\n`);
    }
    await writer.flush();

    expect(texts(await reader.tail({ lines: 3 }))).toEqual([
      'out 8, part one;part two',
      'err 9',
      'out 9, part one;part two',
    ]);
    expect(texts(await reader.tail({ lines: 2, channel: 'stderr' }))).toEqual(['err 8', 'err 9']);
    expect(texts(await reader.tail({ lines: 100, channel: 'stdout' }))).toHaveLength(10);
  });

  test('given a line that began long before the others, its start is read too', async () => {
    const { writer, reader } = await setup();
    const stdout = writer.output('stdout').writable();
    stdout.write(`old\nstart of a long line;`);
    for (let n = 0; n < 5000; n++) writer.output('stderr').writable().write(`err ${n}\n`);
    stdout.write('its end\n');
    await writer.flush();

    expect(texts(await reader.tail({ lines: 2 }))).toEqual(['err 4999', 'start of a long line;its end']);
  });

  test('given a line without end far over the cap, its newest part comes and is marked as cut', async () => {
    const { writer, reader } = await setup();
    const stdout = writer.output('stdout').writable();
    for (let n = 0; n < 64; n++) stdout.write('0123456789abcdef'.repeat(4096));
    await writer.flush();

    const result = await reader.tail({ lines: 5, maxBytes: 100 });

    expect(result.isTruncated).toBe(true);
    expect(result.lines).toMatchObject([{ text: '0123456789abcdef'.repeat(7).slice(-100), isWhole: false }]);
  });

  test('given output no timeline knows, since the writer is gone, it comes last and without a time', async () => {
    const { writer, reader, paths } = await setup();
    writer.output('stdout').writable().write('known\n');
    await writer.close();
    appendFileSync(paths.stderrPath, 'unknown err\n');
    appendFileSync(paths.stdoutPath, 'unknown out\n');

    const result = await reader.tail();

    expect(result.lines.map(({ text, atMs }) => [text, typeof atMs])).toEqual([
      ['known', 'number'],
      ['unknown out', 'undefined'],
      ['unknown err', 'undefined'],
    ]);
    expect(await textLines(reader.lines())).toEqual(['known', 'unknown out', 'unknown err']);
    expect(await textLines(reader.lines({ channel: 'stderr' }))).toEqual(['unknown err']);
  });

  test('given nothing, no lines, or a timeline ahead of its log, it gives what there is', async () => {
    const { writer, reader, paths } = await setup();
    expect(await reader.tail()).toEqual({ lines: [], isTruncated: false });
    writer.output('stdout').writable().write('one\ntwo\n');
    await writer.close();
    expect(texts(await reader.tail({ lines: 0 }))).toEqual([]);
    writeFileSync(paths.stdoutPath, 'one\n');

    expect(texts(await reader.tail())).toEqual(['one']);
    expect(await textLines(reader.lines())).toEqual(['one']);
  });

  test('given bad numbers, it throws', async () => {
    const { reader } = await setup();
    await expect(reader.tail({ lines: -1 })).rejects.toThrow(RangeError);
    await expect(reader.tail({ maxBytes: 0 })).rejects.toThrow(RangeError);
    await expect(reader.readRange('stdout', -1, 5)).rejects.toThrow(RangeError);
  });
});

// Two-byte characters at odd offsets: no power of two is a border between two of them.
const LONG_LINE = `x${'äöü'.repeat(100_000)}`;

describe('lines', () => {
  test('given colours, carriage returns, invalid bytes and a character over a chunk border, lines are readable', async () => {
    const { writer, reader } = await setup();
    const stdout = writer.output('stdout').writable();
    const umlaut = Buffer.from('ä');
    stdout.write(Buffer.concat([Buffer.from('\u001b[31mred\u001b[0m and '), umlaut.subarray(0, 1)]));
    await writer.flush();
    stdout.write(
      Buffer.concat([umlaut.subarray(1), Buffer.from('\r\n\u001b]0;title\u0007x'), Buffer.from([0xff, 10])]),
    );
    await writer.flush();

    expect(await textLines(reader.lines({ ansi: 'strip' }))).toEqual(['red and ä', 'x\ufffd']);
    expect(await textLines(reader.lines())).toEqual([
      '\u001b[31mred\u001b[0m and ä',
      '\u001b]0;title\u0007x\ufffd',
    ]);
  });

  test('given a line of megabytes, it comes in pieces that cut no character', async () => {
    const { writer, reader } = await setup();
    writer.output('stdout').writable().write(LONG_LINE);
    await writer.flush();

    const pieces: LogLine[] = [];
    for await (const line of reader.lines()) pieces.push(line);

    expect(pieces.length).toBeGreaterThan(5);
    expect(pieces.map(({ text }) => text).join('')).toBe(LONG_LINE);
    expect(pieces.every(({ isWhole, text }) => !isWhole && Buffer.byteLength(text) <= 64 * 1024)).toBe(true);
    expect(pieces.map(({ offset }) => offset)).toEqual(
      pieces.map((_, index) =>
        pieces.slice(0, index).reduce((sum, { text }) => sum + Buffer.byteLength(text), 0),
      ),
    );
  });

  test('given since and tail, only the newest of the newer come', async () => {
    const { writer, reader, clock } = await setup();
    const stdout = writer.output('stdout').writable();
    for (let n = 0; n < 5; n++) {
      stdout.write(`${n}\n`);
      await writer.flush();
      await clock.advance(1000);
    }
    const sinceMs = clock.nowMs() - 2500;

    expect(await textLines(reader.lines({ sinceMs }))).toEqual(['3', '4']);
    expect(await textLines(reader.lines({ sinceMs, tail: 1 }))).toEqual(['4']);
    expect(await textLines(reader.lines({ sinceMs, tail: 10 }))).toEqual(['3', '4']);
  });

  test('given tail and follow on a live run of a child, the end and everything new come once, across a cut line', async () => {
    const { writer, reader } = await setupLive();
    using stdout = writer.output('stdout').openForChild();
    await exitOf(startScript(`process.stdout.write('1\\n2\\n3\\nhalf ')`, stdout.fd));
    await until('sampled', () => writer.state().stdoutBytes > 0);
    const following = textLines(reader.lines({ tail: 2, follow: true }));
    await exitOf(startScript(`process.stdout.write('line\\n5\\n')`, stdout.fd));
    await writer.updateState({ status: 'failed' });

    expect(await following).toEqual(expect.arrayContaining(['3', 'half line', '5']));
  });
});

describe('follow', () => {
  test('given a live run, events and output arrive in order as they come, and it ends with the run', async () => {
    const { writer, reader } = await setupLive();
    const following = collect(reader.follow());
    writer.event({ type: 'worker_started', message: '' });
    using stdout = writer.output('stdout').openForChild();
    await exitOf(startScript(`process.stdout.write('hello')`, stdout.fd));
    await writer.finishOutput();
    writer.event({ type: 'step_failed', message: '' });
    await writer.updateState({ status: 'failed' });

    expect(await following).toEqual(['1:worker_started', '2:hello', '3:step_failed']);
  });

  test('given a writer that never pauses, nothing is missed, repeated or out of order', async () => {
    const { writer, reader } = await setup();
    const following = (async () => {
      const seqs: number[] = [];
      for await (const item of reader.follow()) seqs.push(item.seq);
      return seqs;
    })();
    for (let round = 0; round < 4000; round++) {
      writer.output('stdout').writable().write('x');
      if (round % 3 === 0) writer.event({ type: 'worker_started', message: 'y'.repeat(round % 200) });
      await writer.flush();
      if (round % 7 === 0) await nextTurn();
    }
    await writer.updateState({ status: 'failed' });

    const seqs = await following;
    expect(seqs).toEqual(Array.from({ length: writer.state().lastEventSeq }, (_, index) => index + 1));
  });

  test('given a sequence number, it goes on there; given a channel, the other is left out', async () => {
    const { writer, reader } = await setup();
    writer.output('stdout').writable().write('out');
    writer.output('stderr').writable().write('err');
    writer.event({ type: 'step_failed', message: '' });
    await writer.updateState({ status: 'failed' });

    expect(await collect(reader.follow())).toEqual(['1:out', '2:err', '3:step_failed']);
    expect(await collect(reader.follow({ fromSeq: 2 }))).toEqual(['2:err', '3:step_failed']);
    expect(await collect(reader.follow({ channel: 'stdout' }))).toEqual(['1:out', '3:step_failed']);
    expect(await collect(reader.follow({ fromSeq: 9 }))).toEqual([]);
  });

  test('given an abort, it ends without an error and leaves no timer', async () => {
    const { writer, paths } = await setup();
    const clock = createManualClock();
    const stop = new AbortController();
    const following = collect(openRun(paths, { clock }).follow({ signal: stop.signal }));
    writer.event({ type: 'worker_started', message: '' });
    await until('waiting', () => clock.pendingTimers() === 1);

    stop.abort();

    expect(await following).toEqual(['1:worker_started']);
    expect(clock.pendingTimers()).toBe(0);
    expect(await collect(openRun(paths).follow({ signal: AbortSignal.abort() }))).toEqual([]);
  });

  test('given a consumer that stops early, nothing keeps the process or a timer', async () => {
    const { writer, paths } = await setup();
    const clock = createManualClock();
    writer.event({ type: 'worker_started', message: '' });

    for await (const item of openRun(paths, { clock }).follow()) {
      expect(item.seq).toBe(1);
      break;
    }

    expect(clock.pendingTimers()).toBe(0);
  });

  test('given a writer that dies and another that goes on, one follower sees everything once', async () => {
    const { writer, paths } = await setupLive();
    const following = collect(openRun(paths).follow());
    writer.output('stdout').writable().write('a');
    await writer.flush();
    await writer.close();
    appendFileSync(paths.stdoutPath, 'b');

    await using again = await reopenRun(paths);
    again.event({ type: 'run_adopted', message: '' });
    await again.updateState({ status: 'lost' });

    expect(await following).toEqual(['1:a', '2:b', '3:run_adopted']);
  });

  test('given a watch that never fires, the poll alone delivers', async () => {
    const { writer, paths } = await setup();
    const clock = createManualClock();
    const seen: number[] = [];
    const following = (async () => {
      for await (const item of openRun(paths, { clock }).follow()) seen.push(item.seq);
    })();
    await until('waiting', () => clock.pendingTimers() === 1);
    await writer.updateState({ status: 'failed' });

    await until('waiting still', () => clock.pendingTimers() === 1);
    await clock.advance(50);

    await following;
    expect(seen).toEqual([]);
  });
});

describe('events and readRange', () => {
  test('given events, those after a number come, and a torn last line is left out', async () => {
    const { writer, reader, paths } = await setup();
    writer.event({ type: 'run_prepared', message: 'one', data: { n: 1 } });
    writer.event({ type: 'worker_started', message: 'two', level: 'debug', durable: true });
    appendFileSync(paths.eventsPath, '{"seq":3');

    expect(await reader.events()).toMatchObject([
      { seq: 1, level: 'info', data: { n: 1 } },
      { seq: 2, level: 'debug' },
    ]);
    expect(await reader.events({ afterSeq: 1 })).toMatchObject([{ message: 'two' }]);
    expect(reader.meta().stepName).toBe('Build');
  });

  test('given ranges in, over and beyond the end, the bytes there are come', async () => {
    const { writer, reader } = await setup();
    writer.output('stdout').writable().write('0123456789');
    await writer.flush();

    expect((await reader.readRange('stdout', 2, 3)).toString()).toBe('234');
    expect((await reader.readRange('stdout', 8, 100)).toString()).toBe('89');
    expect((await reader.readRange('stdout', 50, 1)).toString()).toBe('');
    expect((await reader.readRange('stderr', 0, 1)).toString()).toBe('');
  });
});
