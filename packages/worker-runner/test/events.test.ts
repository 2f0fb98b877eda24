/** What a step says about itself: kept once, in order, whatever it writes, and answered when it asks. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { createRealClock } from '@conductor-run/clock';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';

import { createHost, readStepEvents, runStep, type StepEvent } from '../src/index.ts';
import { openEventChannel, type EventChannel, type EventChannelOptions } from '../src/event-channel.ts';
import { createUsageCounter } from '../src/usage.ts';
import { setup, until } from './fixtures/setup.ts';

/** A channel on a directory that a test writes into itself. */
function setupChannel(changes: Partial<EventChannelOptions> = {}): {
  readonly raw: (text: string) => void;
  readonly events: StepEvent[];
  readonly problems: string[];
  readonly unwritable: unknown[];
  readonly open: () => EventChannel;
  readonly runDir: string;
} {
  const runDir = join(setup().root, 'run');
  mkdirSync(runDir);
  const events: StepEvent[] = [];
  const problems: string[] = [];
  const unwritable: unknown[] = [];
  const open = (): EventChannel => {
    const channel = openEventChannel({
      runDir,
      taskId: 'task',
      runId: 'run',
      clock: createRealClock(),
      host: createHost(),
      authorize: () => ({ ok: true }),
      redact: (text) => text,
      maxEventBytes: 1024 * 1024,
      onEvent: (event) => events.push(event),
      onProblem: (problem) => problems.push(problem),
      onOverflow: () => problems.push('overflow'),
      onUnwritable: (error) => unwritable.push(error),
      ...changes,
    });
    onTestFinished(() => channel.close().catch(() => undefined));
    return channel;
  };
  const raw = (text: string): void => writeFileSync(join(runDir, 'events.raw'), text, { flag: 'a' });
  return { raw, events, problems, unwritable, open, runDir };
}

/** What is in use once everything that can go is gone. */
function heapBytes(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc()');
  return process.memoryUsage().heapUsed;
}

const progress = (current: number): string => `{"kind":"progress","body":{"current":${current}}}\n`;

describe('structured events', () => {
  test('given good and bad lines, when read, the good ones are numbered and each bad one is one problem', async () => {
    const { raw, events, problems, open } = setupChannel();
    raw(
      `${progress(1)}nonsense\n{"kind":"unheard"}\n\n{"kind":"metric","body":{"name":"m","value":"1"}}\n${progress(2)}`,
    );

    await open().close();

    expect(events.map((event) => [event.seq, event.body['current']])).toEqual([
      [1, 1],
      [2, 2],
    ]);
    expect(problems).toHaveLength(3);
  });

  test('given a line without its newline, when read, it waits for the rest', async () => {
    const { raw, events, open } = setupChannel();
    raw(progress(1).slice(0, 10));
    const channel = open();

    raw(progress(1).slice(10));
    await channel.close();

    expect(events).toHaveLength(1);
  });

  test('given a reader that is replaced at any byte, when the next goes on, each event is kept once', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(400), { maxLength: 8 }), async (cuts) => {
        const { raw, open, runDir } = setupChannel();
        const text = Array.from({ length: 10 }, (_, index) => progress(index)).join('');
        let from = 0;
        for (const cut of [...cuts.toSorted((a, b) => a - b), text.length]) {
          raw(text.slice(from, Math.max(from, cut)));
          from = Math.max(from, cut);
          await open().close();
        }

        const kept = readStepEvents(runDir);
        expect(kept.map((event) => event.body['current'])).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        expect(kept.map((event) => event.seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
      }),
      { numRuns: 10 },
    );
  });

  test('given a torn last line of the log, when the next reader goes on, that event is read again', async () => {
    const { raw, open, runDir } = setupChannel();
    raw(progress(1) + progress(2));
    await open().close();
    const path = join(runDir, 'events.ndjson');
    writeFileSync(path, readFileSync(path, 'utf8').slice(0, -5));

    await open().close();

    expect(readStepEvents(runDir).map((event) => [event.seq, event.body['current']])).toEqual([
      [1, 1],
      [2, 2],
    ]);
  });

  test('given a log that cannot be written for a while, when it can be again, each event is kept once and the trouble was told once', async () => {
    const { raw, events, unwritable, open, runDir } = setupChannel();
    const channel = open();
    // Stands for a full disk: nothing can be written there.
    mkdirSync(join(runDir, 'events.ndjson'));
    raw(progress(1));
    await until('the trouble', () => unwritable.length > 0);
    raw(`nonsense\n${progress(2)}`);

    rmdirSync(join(runDir, 'events.ndjson'));
    await until('the events', () => events.length >= 2);
    await channel.close();

    expect(unwritable).toHaveLength(1);
    expect(readStepEvents(runDir).map((event) => [event.seq, event.body['current']])).toEqual([
      [1, 1],
      [2, 2],
    ]);
    expect(events).toHaveLength(2);
  });

  test('given a log that cannot be written when the step ends, when the run is closed, it says that its record is unwritable', async () => {
    const { requestOf, runsDir } = setup();
    const runDir = join(runsDir, 'task', 'run-1');

    const running = runStep(requestOf(`mkdir '${runDir}/events.ndjson'; echo '${progress(1).trim()}' >&3`));

    await expect(running).rejects.toMatchObject({ code: 'record-unwritable' });
    expect(existsSync(join(runDir, 'result.json'))).toBe(false);
  });

  test('given a disk that is full in the middle of a line, when it is appended, no torn line is left', () => {
    const { runDir } = setupChannel();
    const script = `
      import { openEventLog } from '${new URL('../src/event-log.ts', import.meta.url).href}';
      const log = openEventLog(process.argv[1], 1e9);
      for (;;) log.append({ kind: 'progress', body: { text: 'x'.repeat(300) } }, 0, 0);`;
    const limited = `ulimit -f 4; exec "$@"`;
    const argv = [process.execPath, '--input-type=module', '-e', script, runDir];

    expect(() => execFileSync('/bin/sh', ['-c', limited, 'sh', ...argv], { stdio: 'pipe' })).toThrow('EFBIG');

    expect(readFileSync(join(runDir, 'events.ndjson'), 'utf8')).toMatch(/^(\{.*\}\n)+$/u);
  });

  test('given a line of more than 1 MiB, or too many bytes, when read, the step is not disturbed', async () => {
    const { raw, events, problems, open } = setupChannel({ maxEventBytes: 1.5 * 1024 * 1024 });
    raw(`${'x'.repeat(1024 * 1024 + 1)}\n${progress(1)}${`${'y'.repeat(999)}\n`.repeat(1000)}`);

    await open().close();

    expect(events).toHaveLength(1);
    expect(problems.some((problem) => problem.startsWith('longer than'))).toBe(true);
    expect(problems.filter((problem) => problem === 'overflow')).toHaveLength(1);
  });

  test('given a sink that throws, when the step reports, the step goes on', async () => {
    const { requestOf } = setup();

    const result = await runStep(requestOf(`echo '${progress(1).trim()}' >&3`), {
      sink: {
        stepEvent: () => {
          throw new Error('sink');
        },
      },
    });

    expect(result).toMatchObject({ outcome: 'completed', metrics: { stepEventCount: 1 } });
  });
});

describe('authorize', () => {
  const ask = (id: string, target: string): string =>
    `echo '{"kind":"authorize","id":"${id}","body":{"capability":"tool.call","target":"${target}"}}' >&3; read -r reply <&4; echo "$reply"`;

  test('given one who decides, when the step asks, it reads the answer to its question', async () => {
    const { requestOf } = setup();

    const result = await runStep(requestOf(`${ask('c1', 'good')}; ${ask('c2', 'bad')}`), {
      authorize: ({ target, runId }) =>
        target === 'good'
          ? { ok: true }
          : { ok: false, error: { code: 'PERMISSION_DENIED', message: `not in ${runId}` } },
    });

    expect(result.logSummary.tail).toEqual([
      '{"id":"c1","ok":true}',
      '{"id":"c2","ok":false,"error":{"code":"PERMISSION_DENIED","message":"not in run-1"}}',
    ]);
  });

  test('given one who decides and fails, when the step asks, it is denied', async () => {
    const { requestOf } = setup();

    const result = await runStep(requestOf(ask('c1', 'x')), {
      authorize: () => Promise.reject(new Error('down')),
    });

    expect(result.logSummary.tail[0]).toContain('"ok":false');
  });

  test('given an answer that cannot be sent for long, when it is tried again and again, no try leaves anything behind', async () => {
    const tries = 20_000;
    let tried = 0;
    const { raw, open } = setupChannel({
      clock: {
        ...createRealClock(),
        sleep: async () => ((tried += 1) < tries ? undefined : new Promise(() => undefined)),
      },
    });
    raw('{"kind":"authorize","id":"c1","body":{"capability":"tool.call","target":"x"}}\n');
    const before = heapBytes();

    const channel = open();
    await until('all tries', () => tried === tries);
    const grown = heapBytes() - before;
    await channel.close();

    // A try that waits for the next one keeps about 400 bytes.
    expect(grown / tries).toBeLessThan(100);
  });

  test('given an open question, when its reader is replaced, it is asked again, and an answered one is not', async () => {
    const asked: string[] = [];
    const { raw, open } = setupChannel({
      authorize: ({ target }) => {
        asked.push(target);
        return { ok: true };
      },
    });
    raw('{"kind":"authorize","id":"c1","body":{"capability":"tool.call","target":"x"}}\n');
    const first = open();
    await until('the first asking', () => asked.length === 1);
    await first.close();

    open();

    // There is no pipe to answer into: the question stays open.
    await until('the second asking', () => asked.length === 2);
    expect(asked).toEqual(['x', 'x']);
  });
});

describe('an answer that cannot be sent', () => {
  test('given one at first, when it can be sent, the step gets it: without it, it would wait for ever', async () => {
    const { requestOf, runsDir } = setup();
    const replies = join(runsDir, 'task', 'run-1', 'replies');

    const result = await runStep(
      requestOf(
        `echo '{"kind":"authorize","id":"c1","body":{"capability":"tool.call","target":"x"}}' >&3; read -r reply <&4; echo "$reply"`,
      ),
      {
        sink: {
          // In the place of a named pipe lies something that cannot be written to.
          stepEvent: () => mkdirSync(replies),
          lifecycleEvent: ({ message }) => {
            if (message.includes('EISDIR')) rmdirSync(replies);
          },
        },
      },
    );

    expect(result).toMatchObject({ outcome: 'completed', metrics: { rejectedEventCount: 1 } });
    expect(readFileSync(result.paths.stdoutPath, 'utf8')).toBe('{"id":"c1","ok":true}\n');
  });
});

describe('usage', () => {
  test('given any decimal costs, when summed, the sum is exact', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1_000_000), { minLength: 1, maxLength: 50 }), (cents) => {
        const counter = createUsageCounter();
        for (const cent of cents) {
          counter.add({ kind: 'metric', body: { name: 'cost.x', value: cent / 100, unit: 'EUR' } });
        }
        const sum = cents.reduce((total, cent) => total + cent, 0);
        expect(Number(counter.usage().costs['EUR']) * 100).toBeCloseTo(sum, 4);
        expect(counter.usage().costs['EUR']).toMatch(/^\d+(?:\.\d{1,2})?$/u);
      }),
    );
  });

  test('given negative or foreign metrics, when added, they do not count', () => {
    const counter = createUsageCounter();

    counter.add({ kind: 'metric', body: { name: 'cost.x', value: -1, unit: 'EUR' } });
    counter.add({ kind: 'metric', body: { name: 'latency', value: 1 } });
    counter.add({ kind: 'metric', body: { name: 'cost.x', value: 1e-7, unit: 'EUR' } });

    expect(counter.usage()).toEqual({ costs: { EUR: '0.0000001' }, tokens: {} });
  });
});
