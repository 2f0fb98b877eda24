import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { linesOf, logOf, TIMES } from './fixtures/daemon.ts';
import { createHttpNode } from './fixtures/http-node.ts';
import { createScratch, type Scratch, until } from './fixtures/scratch.ts';
import { beginRun } from './fixtures/written-run.ts';

const WAIT = 'while [ ! -e go ]; do sleep 0.05; done';

async function statusesOf(scratch: Scratch): Promise<readonly string[]> {
  const { stdout } = await scratch.conductor('runs', 'list', '--json');
  return (JSON.parse(stdout) as { runs: { status: string }[] }).runs.map(({ status }) => status).toSorted();
}

/** A step that ended while its daemon was dead: nobody has seen its result. */
async function leaveUnseenResult(): Promise<Scratch> {
  const scratch = createScratch({
    'conductor.yaml': `${TIMES}jobs:\n  once: { command: "${WAIT}; echo ran >> ran.log", retry: { max: 3, delay: 0s } }\n`,
  });
  const daemon = scratch.start('start');
  await scratch.conductor('enqueue', 'once');
  await until('its step runs', () => logOf(scratch, 'step.started').length === 1);
  daemon.child.kill('SIGKILL');
  await daemon.ended;
  scratch.write({ go: '' });
  await until('it has ended', async () => (await statusesOf(scratch))[0] === 'completed');
  return scratch;
}

describe('conductor runs prune', () => {
  test('given a result nobody has seen, it stays, and the next daemon records it without running the step again', async () => {
    const scratch = await leaveUnseenResult();

    const { stdout } = await scratch.conductor('runs', 'prune', '--max-runs', '0');
    scratch.start('start');
    await until('it is recorded', () => logOf(scratch, 'job.recorded').length === 1);

    expect(stdout).toContain('removed 0 runs');
    expect(linesOf(scratch, 'ran.log')).toEqual(['ran']);
    const { stdout: attempts } = await scratch.conductor('jobs', 'attempts', 'once', '--json');
    expect((JSON.parse(attempts) as { attempts: unknown[] }).attempts).toMatchObject([
      { attempt: 1, outcome: 'succeeded' },
    ]);
    const after = await scratch.conductor('runs', 'prune', '--max-runs', '0');
    expect(after.stdout).toContain('removed 1 run,');
  });

  test('given a store that knows nothing of the job, a result nobody has seen stays all the same', async () => {
    const scratch = await leaveUnseenResult();

    const { stdout } = await scratch.conductor(
      'runs',
      'prune',
      '--max-runs',
      '0',
      '--store',
      'sqlite:other.db',
    );

    expect(stdout).toContain('removed 0 runs');
    expect(await statusesOf(scratch)).toEqual(['completed']);
  });

  test('given a task whose second step runs, its first one stays until the task has ended', async () => {
    const scratch = createScratch({
      'conductor.yaml': `jobs:\n  two: { steps: [{ name: first, command: "true" }, { name: second, command: "${WAIT}" }] }\n`,
    });
    const task = scratch.start('run', 'two');
    await until('the second step runs', async () => (await statusesOf(scratch)).includes('running'));

    await scratch.conductor('runs', 'prune', '--max-runs', '0');
    const during = await statusesOf(scratch);
    scratch.write({ go: '' });
    await task.ended;
    await scratch.conductor('runs', 'prune', '--max-runs', '0');

    expect(during).toEqual(['completed', 'running']);
    expect(await statusesOf(scratch)).toEqual([]);
  });
});

describe('POST /v1/runs/prune', () => {
  test('given a job at work between two steps, the run of its first one stays until the job has ended', async () => {
    const { ask, store, scratch } = await createHttpNode();
    const run = await beginRun(scratch.dir, 'build');
    await run.end();
    const runDir = path.join(scratch.dir, '.conductor/runs', run.taskId);
    const claim = await store.claim({
      kind: 'build',
      key: 'default',
      workerId: 'w',
      leaseMs: 60_000,
      runDir,
    });
    if (claim.outcome === 'refused') throw new Error(`Cannot claim job "build": ${claim.reason}`);
    const prune = async (): Promise<unknown> => {
      const headers = { 'content-type': 'application/json' };
      const { text } = await ask('POST', '/v1/runs/prune', headers, JSON.stringify({ maxRuns: 0 }));
      return (JSON.parse(text) as { data: unknown }).data;
    };

    const during = await prune();
    await store.succeed(claim.lease);
    const after = await prune();

    expect(during).toMatchObject({ removed: [], keptRuns: 1 });
    expect(after).toMatchObject({ removed: [{ runId: run.runId }], keptRuns: 0 });
  });
});
