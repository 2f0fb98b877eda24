/** Other processes of the user follow what a step says, and decide what it asks. */
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { createRealClock } from '@conductor-run/clock';
import { resolveRunPaths, type RunPaths } from '@conductor-run/logging';
import { describe, expect, onTestFinished, test } from 'vitest';

import {
  adoptRuns,
  followStepEvents,
  startDeciding,
  startSupervised,
  type AuthorizationQuestion,
} from '../src/index.ts';
import { readOwner } from '../src/run-record.ts';
import { supervisorDirOf } from '../src/supervisor.ts';
import { isAlive, setup, until } from './fixtures/setup.ts';

const quick = { idleExitMs: 300 };

function setupSupervised(): ReturnType<typeof setup> & {
  readonly supervisorPid: () => number;
  readonly pathsOf: (runId: string) => RunPaths;
} {
  const bundle = setup();
  const { runsDir } = bundle;
  const supervisorPid = (): number => readOwner(supervisorDirOf(runsDir))?.pid ?? 0;
  onTestFinished(async () => {
    await until('the supervisor to end', () => !isAlive(supervisorPid()));
  });
  return {
    ...bundle,
    supervisorPid,
    pathsOf: (runId) => resolveRunPaths({ runsDir, taskId: 'task', runId }),
  };
}

/** In the shell: asks, and prints the answer. */
const ask = (id: string): string =>
  `echo '{"kind":"authorize","id":"${id}","body":{"capability":"tool.call","target":"${id}"}}' >&3; read -r reply <&4; echo "$reply"`;
const say = (current: string): string => `echo '{"kind":"progress","body":{"current":${current}}}' >&3`;

describe('followStepEvents', () => {
  test('given a step at work, its events come as it says them, and the iteration ends with the run', async () => {
    const { requestOf, worktree, pathsOf } = setupSupervised();
    const step = await startSupervised(
      requestOf(`${say('1')}; while [ ! -e go ]; do sleep 0.02; done; ${say('2')}`),
      quick,
    );

    const seen: unknown[] = [];
    for await (const { seq, body } of followStepEvents(pathsOf(step.runId))) {
      seen.push([seq, body['current']]);
      writeFileSync(join(worktree, 'go'), '');
    }

    expect(seen).toEqual([
      [1, 1],
      [2, 2],
    ]);
    await step.result;
  });

  test('given a place to go on from, only later events come; an abort ends the iteration', async () => {
    const { requestOf, pathsOf } = setupSupervised();
    const step = await startSupervised(requestOf(`${say('1')}; ${say('2')}; ${say('3')}; sleep 300`), quick);
    const abort = new AbortController();

    const seen: number[] = [];
    for await (const { seq } of followStepEvents(pathsOf(step.runId), {
      afterSeq: 1,
      signal: abort.signal,
    })) {
      seen.push(seq);
      if (seq === 3) abort.abort();
    }

    expect(seen).toEqual([2, 3]);
    await step.cancel();
    await step.result;
  });
});

/** The next owner reads the same event again, at another time. */
const TORN = '{"seq":2,"createdAt":1795244658756,"kind":"log","bo';

describe('followStepEvents of a run whose owner died', () => {
  test('given a torn line that the next owner cuts off, when it writes in its place, no event is lost', async () => {
    const { runsDir } = setup();
    const paths = resolveRunPaths({ runsDir, taskId: 'task', runId: 'run-1' });
    mkdirSync(paths.runDir, { recursive: true });
    const log = join(paths.runDir, 'events.ndjson');
    const lineOf = (seq: number): string =>
      `{"seq":${seq},"createdAt":1,"kind":"log","body":{"n":${'1'.repeat(seq * 10)}},"rawOffset":0}\n`;
    writeFileSync(log, lineOf(1) + TORN);
    let looks = 0;
    const clock = {
      ...createRealClock(),
      sleep: async () => {
        looks += 1;
        if (looks === 1) {
          truncateSync(log, lineOf(1).length);
          writeFileSync(log, lineOf(2) + lineOf(3), { flag: 'a' });
        } else writeFileSync(join(paths.runDir, 'result.json'), '{}');
      },
    };

    const seen: number[] = [];
    for await (const { seq } of followStepEvents(paths, { clock })) seen.push(seq);

    expect(seen).toEqual([1, 2, 3]);
  });

  test('given a reader that stops in the middle, when the torn end is replaced meanwhile, no event is lost', async () => {
    const { runsDir } = setup();
    const paths = resolveRunPaths({ runsDir, taskId: 'task', runId: 'run-1' });
    mkdirSync(paths.runDir, { recursive: true });
    const log = join(paths.runDir, 'events.ndjson');
    const lineOf = (seq: number): string =>
      `{"seq":${seq},"createdAt":1,"kind":"log","body":{"n":${'1'.repeat(seq * 10)}},"rawOffset":0}\n`;
    writeFileSync(log, lineOf(1) + TORN);
    writeFileSync(join(paths.runDir, 'result.json'), '{}');

    const seen: number[] = [];
    for await (const { seq } of followStepEvents(paths)) {
      seen.push(seq);
      if (seq > 1) continue;
      truncateSync(log, lineOf(1).length);
      writeFileSync(log, lineOf(2) + lineOf(3), { flag: 'a' });
    }

    expect(seen).toEqual([1, 2, 3]);
  });
});

describe('startDeciding', () => {
  test('given a step that is decided later, when it asks, it waits until somebody decides, who is told what was said before', async () => {
    const { requestOf, pathsOf } = setupSupervised();
    const step = await startSupervised(requestOf(`${say('1')}; ${ask('c1')}`), {
      ...quick,
      authorize: 'later',
    });
    const paths = pathsOf(step.runId);
    for await (const { kind } of followStepEvents(paths)) if (kind === 'authorize') break;
    const questions: AuthorizationQuestion[] = [];

    const deciding = startDeciding(paths, (question) => {
      questions.push(question);
      return { ok: true };
    });
    const result = await step.result;

    expect(result.logSummary.tail).toEqual(['{"id":"c1","ok":true}']);
    expect(questions).toMatchObject([{ capability: 'tool.call', target: 'c1', seq: 2 }]);
    await deciding.ended;
  });

  test('given a supervisor that is killed while it asks, the one who decides is asked again by the next', async () => {
    const { requestOf, runsDir, supervisorPid, pathsOf } = setupSupervised();
    const step = await startSupervised(requestOf(`${ask('c1')}; ${ask('c2')}`), {
      ...quick,
      authorize: 'later',
    });
    step.detach();
    const killed = supervisorPid();
    let count = 0;
    const deciding = startDeciding(pathsOf(step.runId), async () => {
      count += 1;
      if (count > 1) return { ok: true };
      process.kill(killed, 'SIGKILL');
      return new Promise(() => undefined);
    });

    await until('the end of the supervisor', () => !isAlive(killed));
    const [adopted] = await adoptRuns(runsDir, quick);
    const result = await adopted?.result;

    expect(result?.logSummary.tail).toEqual(['{"id":"c1","ok":true}', '{"id":"c2","ok":true}']);
    expect(count).toBe(3);
    await deciding.ended;
  });

  test('given one that stops deciding, questions wait for the next one', async () => {
    const { requestOf, worktree, pathsOf } = setupSupervised();
    const step = await startSupervised(requestOf(`while [ ! -e go ]; do sleep 0.02; done; ${ask('c1')}`), {
      ...quick,
      authorize: 'later',
    });
    const paths = pathsOf(step.runId);
    const first = startDeciding(paths, () => ({ ok: true }));
    first.stop();
    await first.ended;
    writeFileSync(join(worktree, 'go'), '');

    startDeciding(paths, () => ({ ok: false, error: { code: 'PERMISSION_DENIED', message: 'no' } }));
    const result = await step.result;

    expect(result.logSummary.tail).toEqual([
      '{"id":"c1","ok":false,"error":{"code":"PERMISSION_DENIED","message":"no"}}',
    ]);
  });
});
