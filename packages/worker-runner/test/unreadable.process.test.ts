/** While the process table cannot be read nobody knows what runs: the step ends when it can, with what really happened. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { createRealClock } from '@conductor-run/clock';
import { describe, expect, test } from 'vitest';

import { createHost, runStep, type Host, type ProcessTable, type StepResult } from '../src/index.ts';
import { attachWorker } from '../src/worker-process.ts';
import { isAlive, membersOf, setup } from './fixtures/setup.ts';

const EXHAUSTED = fileURLToPath(new URL('fixtures/exhausted-runner.ts', import.meta.url));
const say = `echo '{"kind":"progress","body":{"current":1}}' >&3`;
const leave = 'setsid sleep 300 & echo $! > left';

/** This machine, with a process table whose `method` fails some times, as it does when no descriptor is free. */
function failing(method: 'list' | 'read', times: number): Host & { readonly failures: () => number } {
  const host = createHost();
  const table = host.processes;
  let failures = 0;
  const failOr = <T>(answer: () => T): T => {
    if (failures === times) return answer();
    failures += 1;
    throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' });
  };
  const processes: ProcessTable = {
    ...table,
    ...(method === 'list'
      ? { list: (since) => failOr(() => table.list(since)) }
      : { read: (pid) => (pid === host.pid ? table.read(pid) : failOr(() => table.read(pid))) }),
  };
  return { ...host, processes, failures: () => failures };
}

describe('a step that ends while the process table cannot be read', () => {
  test('given somebody left behind, when the table answers again, it is ended before the result', async () => {
    const { requestOf, worktree } = setup();
    const host = failing('list', 3);

    const result = await runStep(requestOf(`${leave}; exit 3`), { host });

    expect(host.failures()).toBe(3);
    expect(result).toMatchObject({ outcome: 'failed', exitCode: 3, reason: 'exit_code', survivors: [] });
    expect(result.stragglers).toHaveLength(1);
    expect(isAlive(Number(readFileSync(join(worktree, 'left'), 'utf8')))).toBe(false);
    expect(warningsOf(result)).toHaveLength(3);
  });

  test('given a cancel, when the table answers again, the tree is ended before the result', async () => {
    const { requestOf } = setup();
    const host = failing('list', 2);
    const cancelling = new AbortController();
    const sink = { stepEvent: () => cancelling.abort('enough') };

    const result = await runStep(requestOf(`${leave}; ${say}; sleep 300`), {
      host,
      sink,
      signal: cancelling.signal,
    });

    expect(host.failures()).toBe(2);
    expect(result).toMatchObject({ outcome: 'cancelled', reasonText: 'enough', survivors: [] });
    expect(membersOf(result.paths.runDir)).toEqual([]);
  });

  test('given one whose start cannot be looked up at once, when it can, the step is known by it', async () => {
    const { requestOf } = setup();
    const host = failing('read', 1);

    const result = await runStep(requestOf(`${leave}; sleep 0.5`), { host });

    expect(host.failures()).toBe(1);
    expect(result).toMatchObject({ outcome: 'completed', exitCode: 0, survivors: [] });
    expect(result.state.process?.startTime).toBeGreaterThan(0);
    expect(membersOf(result.paths.runDir)).toEqual([]);
  });

  test.for(['exit', 'cancel'] as const)(
    'given a runner without a free descriptor, when the step ends by %s, its result waits for one and is right',
    async (how) => {
      const { requestOf, root } = setup();
      const goDir = join(root, 'go');
      const request = requestOf(`${leave}; ${say}; while [ ! -d '${goDir}' ]; do sleep 0.02; done; exit 3`);
      const script = 'ulimit -n 64; exec "$@"';
      const { stdout } = await promisify(execFile)('/bin/sh', [
        '-c',
        script,
        'sh',
        process.execPath,
        ...process.execArgv,
        EXHAUSTED,
        JSON.stringify(request),
        goDir,
        how,
      ]);

      const result = JSON.parse(stdout) as StepResult;
      expect(result).toMatchObject(
        how === 'exit' ? { outcome: 'failed', exitCode: 3 } : { outcome: 'cancelled', reasonText: 'enough' },
      );
      expect(warningsOf(result).length).toBeGreaterThan(0);
      expect(membersOf(result.paths.runDir)).toEqual([]);
    },
  );
});

describe('a wrapper that is watched from another process', () => {
  test('given looks that fail, when it ends, it is known to have ended, and one warning was written', async () => {
    const { root } = setup();
    const child = spawn('sleep', ['0.3']);
    await once(child, 'spawn');
    const { pid = 0 } = child;
    const startTime = createHost().processes.read(pid)?.startTime ?? 0;
    const warnings: string[] = [];

    const worker = attachWorker(
      root,
      { pid, startTime },
      {
        host: failing('read', 2),
        clock: createRealClock(),
        warn: (_type, message) => warnings.push(message),
      },
      new AbortController().signal,
    );

    expect(await worker.exited).toEqual({});
    expect(warnings).toEqual(['Watching the step fails: EMFILE: too many open files']);
  });
});

function warningsOf(result: StepResult): StepResult['lifecycleEvents'] {
  return result.lifecycleEvents.filter(({ message }) => message.includes('EMFILE'));
}
