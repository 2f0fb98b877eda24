/** Whatever a step writes as events, and however much: nobody else waits for it, and its record has bounds. */
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { createRealClock, type Clock } from '@conductor-run/clock';
import { describe, expect, onTestFinished, test } from 'vitest';

import { createReferenceList } from '../src/artifacts.ts';
import { openEventChannel, type EventChannel, type EventChannelOptions } from '../src/event-channel.ts';
import { createHost, readStepEvents, runStep, type AuthorizationAnswer } from '../src/index.ts';
import { SLICE_MS } from '../src/line-follower.ts';
import { expectEnvelope } from './fixtures/envelope.ts';
import { setup, until } from './fixtures/setup.ts';

/** A channel on a directory, and a clock on which each look at it takes a millisecond. */
function setupChannel(changes: Partial<EventChannelOptions> = {}): {
  readonly open: () => EventChannel;
  readonly runDir: string;
  readonly rawPath: string;
  readonly told: () => {
    readonly events: number;
    readonly overflows: number;
    readonly mostInOneTurn: number;
  };
} {
  const runDir = join(setup().root, 'run');
  mkdirSync(runDir);
  let nowMs = 0;
  let events = 0;
  let overflows = 0;
  let inThisTurn = 0;
  let mostInOneTurn = 0;
  const real = createRealClock();
  const beginTurn = (): void => {
    inThisTurn = 0;
  };
  const clock: Clock = {
    ...real,
    monotonicMs: () => (nowMs += 1),
    setTimer: (delayMs, callback, options) =>
      real.setTimer(
        delayMs,
        () => {
          beginTurn();
          callback();
        },
        options,
      ),
    sleep: async (delayMs, options) => {
      await real.sleep(delayMs, options);
      beginTurn();
    },
  };
  const open = (): EventChannel => {
    beginTurn();
    const channel = openEventChannel({
      runDir,
      taskId: 'task',
      runId: 'run',
      clock,
      host: createHost(),
      authorize: () => ({ ok: true }),
      redact: (text) => text,
      maxEventBytes: 1024 * 1024,
      onEvent() {
        events += 1;
        inThisTurn += 1;
        mostInOneTurn = Math.max(mostInOneTurn, inThisTurn);
      },
      onProblem: () => undefined,
      onOverflow: () => (overflows += 1),
      onUnwritable: () => undefined,
      ...changes,
    });
    onTestFinished(() => channel.close());
    return channel;
  };
  return {
    open,
    runDir,
    rawPath: join(runDir, 'events.raw'),
    told: () => ({ events, overflows, mostInOneTurn }),
  };
}

const LINE = '{"kind":"log","body":{}}\n';

describe('a step that floods its events', () => {
  test('given many events, when they are read, closed over and taken up again, there is a pause after each slice', async () => {
    const { open, rawPath, told } = setupChannel();
    writeFileSync(rawPath, LINE.repeat(300));

    const first = open();
    await until('the first events', () => told().events > SLICE_MS);
    await first.close();
    const second = open();
    await second.close();

    expect(told().events).toBe(600);
    expect(told().mostInOneTurn).toBeLessThanOrEqual(2 * SLICE_MS);
  });

  test('given more than may be kept, when it is read, both files stay within their bound and it is said once, also to the next reader', async () => {
    const maxEventBytes = 100_000;
    const { open, runDir, rawPath, told } = setupChannel({ maxEventBytes, clock: createRealClock() });
    const first = open();

    writeFileSync(rawPath, LINE.repeat(20_000), { flag: 'a' });
    await until('the cut', () => statSync(rawPath).size === maxEventBytes + 1);
    writeFileSync(rawPath, LINE.repeat(20_000), { flag: 'a' });
    await until('the next cut', () => statSync(rawPath).size === maxEventBytes + 1);
    await first.close();

    expect(told().overflows).toBe(1);
    expect(statSync(join(runDir, 'events.ndjson')).size).toBeLessThanOrEqual(maxEventBytes);
    expect(readStepEvents(runDir).length).toBeGreaterThan(500);
    await open().close();
    expect(told().overflows).toBe(2);
  });

  test('given a step that was gone before anybody saw how much it wrote, when it is judged, it failed', async () => {
    const { requestOf } = setup();

    const limits = { maxEventBytes: 100_000 };

    const result = await runStep(requestOf([], { workerKind: 'function', limits }), {
      executor: {
        name: 'over before anybody looks',
        async execute({ writer }) {
          writeFileSync(join(writer.paths.runDir, 'events.raw'), LINE.repeat(20_000), { flag: 'a' });
          return { how: 'exited', exitCode: 0 };
        },
      },
    });

    expectEnvelope(result);
    expect(result).toMatchObject({ outcome: 'failed', reason: 'output_limit' });
    expect(result.reasonText).toContain('100000 bytes of structured events');
    expect(existsSync(join(result.paths.runDir, 'events.raw'))).toBe(false);
  });

  test('given a step that writes without end, when it is over its limit, it is ended', async () => {
    const { requestOf } = setup();

    const result = await runStep(
      requestOf(`yes '{"kind":"log","body":{}}' >&3`, { limits: { maxEventBytes: 100_000 } }),
    );

    expectEnvelope(result);
    expect(result).toMatchObject({ outcome: 'failed', reason: 'output_limit' });
  });

  test('given a function that reports without end, when it is over its limit, it is ended', async () => {
    const { requestOf } = setup();
    const limits = { maxEventBytes: 10_000, killGraceSec: 5 };

    const result = await runStep(requestOf([], { workerKind: 'function', limits }), {
      executor: {
        name: 'reporting',
        async execute(context) {
          while (!context.signal.aborted) context.report({ kind: 'log', body: {} });
          return { how: 'exited', exitCode: 0 };
        },
      },
    });

    expect(result).toMatchObject({ outcome: 'failed', reason: 'output_limit' });
  });

  test('given more questions than anybody answers, when they are read, the rest waits in the file until some are answered', async () => {
    const waiting: ((answer: AuthorizationAnswer) => void)[] = [];
    const { open, rawPath, told } = setupChannel({
      clock: createRealClock(),
      authorize: () =>
        new Promise((resolve) => {
          waiting.push(resolve);
        }),
    });
    const ask = (id: number): string =>
      `{"kind":"authorize","id":"${id}","body":{"capability":"tool.call"}}\n`;
    writeFileSync(rawPath, Array.from({ length: 1500 }, (_, id) => ask(id)).join('') + LINE);

    const channel = open();
    await until('as many as may wait', () => waiting.length === 1000);
    await channel.close();

    // Nobody is left to read an answer: what was said after the questions counts all the same.
    expect(told().events).toBe(1501);
    expect(waiting).toHaveLength(1000);
  });

  test('given an event nested deeper than can be written again, when it is read, it is refused and the run is closed', async () => {
    const { requestOf } = setup();
    const deep = `head -c 20000 /dev/zero | tr '\\0' '['; head -c 20000 /dev/zero | tr '\\0' ']'`;

    const result = await runStep(
      requestOf(`{ printf '{"kind":"result","body":{"a":'; ${deep}; echo '}}'; } >&3`),
    );

    expectEnvelope(result);
    expect(result).toMatchObject({ outcome: 'completed', metadata: {}, metrics: { rejectedEventCount: 1 } });
  });
});

describe('a list of what a step names', () => {
  test('given more names than are listed, when they are added, the first are kept and the others counted', () => {
    const list = createReferenceList();

    for (let index = 0; index < 10_007; index += 1) list.add({ path: `file-${index}` });
    list.add({ path: 'file-1', title: 'again' });

    expect(list.references).toHaveLength(10_000);
    expect(list.leftOut).toBe(7);
  });
});
