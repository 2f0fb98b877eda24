import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { createScratch, type Scratch, until } from './fixtures/scratch.ts';

/** Short times, so that leadership moves within a test also on a busy machine; the ratios are those of the defaults. */
const TIMES = `leaseTtlMs: 3000
leaseRenewDeadlineMs: 1800
leaseRetryMs: 500
heartbeatIntervalMs: 500
timedJobsIntervalMs: 200
`;

interface Status {
  readonly leadership?: { readonly holderId?: string; readonly term: number };
  readonly nodes: readonly { readonly nodeId: string }[];
}

async function statusOf(scratch: Scratch): Promise<Status> {
  const { stdout } = await scratch.conductor('status', '--json');
  return JSON.parse(stdout) as Status;
}

function linesOf(scratch: Scratch, name: string): readonly string[] {
  const file = path.join(scratch.dir, name);
  return existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n') : [];
}

describe('conductor start', () => {
  test('given a schedule, its slots run; SIGTERM waits for what runs and gives leadership up', async () => {
    const scratch = createScratch({
      'conductor.yaml': `${TIMES}jobs:\n  tick:\n    command: echo ran >> ran.log\n    schedule: { every: 500ms }\n`,
    });
    const { child, ended } = scratch.start('start');
    await until('the job has run twice', () => linesOf(scratch, 'ran.log').length >= 2);

    child.kill('SIGTERM');
    const result = await ended;

    expect(result.exitCode).toBe(0);
    expect(result.stdout).toContain('stopped\n');
    const status = await statusOf(scratch);
    expect(status.leadership?.holderId).toBeNull();
    expect(status.nodes).toEqual([]);
  });

  test('given an enqueued job, a daemon runs it once, and its watermark is covered', async () => {
    const scratch = createScratch({
      'conductor.yaml': `${TIMES}jobs:\n  once:\n    command: echo ran >> ran.log\n`,
    });
    scratch.start('start');
    await scratch.conductor('enqueue', 'once', '--watermark', '41');

    const job = await until('the job is done', async () => {
      const { stdout } = await scratch.conductor('jobs', 'list', '--json');
      const [row] = (JSON.parse(stdout) as { jobs: { status: string; lastSuccessWatermark: number }[] }).jobs;
      return row?.status === 'done' ? row : undefined;
    });

    expect(job.lastSuccessWatermark).toBe(41);
    expect(linesOf(scratch, 'ran.log')).toEqual(['ran']);
  });

  test('given two daemons, when the leader is killed, the other one leads under a higher term and slots go on', async () => {
    const scratch = createScratch({
      'conductor.yaml': `${TIMES}jobs:\n  tick:\n    command: echo ran >> ran.log\n    schedule: { every: 300ms }\n`,
    });
    const one = scratch.start('start', '--node-id', 'one');
    const before = await until('node one leads', async () => {
      const { leadership } = await statusOf(scratch);
      return leadership?.holderId?.startsWith('one/') === true ? leadership : undefined;
    });
    scratch.start('start', '--node-id', 'two');

    one.child.kill('SIGKILL');
    const after = await until('node two leads', async () => {
      const { leadership } = await statusOf(scratch);
      return leadership?.holderId?.startsWith('two/') === true ? leadership : undefined;
    });
    const count = linesOf(scratch, 'ran.log').length;
    await until('slots go on', () => linesOf(scratch, 'ran.log').length > count + 1);

    expect(after.term).toBeGreaterThan(before.term);
  });

  test('given --run-once with a job that fails, it runs what is due and exits with 1', async () => {
    const scratch = createScratch({ 'conductor.yaml': `${TIMES}jobs:\n  bad:\n    command: exit 4\n` });
    await scratch.conductor('enqueue', 'bad');

    const result = await scratch.conductor('start', '--run-once');

    expect(result.exitCode).toBe(1);
    expect(result.stdout).toContain('Failed with exit code 4');
  });
});

describe('adoption', () => {
  test('given a daemon that is killed for good, another one of the machine goes on with its task, on the same attempt', async () => {
    const scratch = createScratch({
      'conductor.yaml': `${TIMES}jobs:
  task:
    steps:
      - { name: wait, command: "while [ ! -e go ]; do sleep 0.05; done; echo waited >> done.log" }
      - { name: after, command: "echo after >> done.log" }
`,
    });
    const one = scratch.start('start', '--node-id', 'one');
    await scratch.conductor('enqueue', 'task');
    await until('the step runs', () => runningSteps(scratch).then((count) => count === 1));
    scratch.start('start', '--node-id', 'two');

    one.child.kill('SIGKILL');
    scratch.write({ go: '' });
    await until('the job is done', async () => {
      const { stdout } = await scratch.conductor('jobs', 'list', '--status', 'done', '--json');
      return (JSON.parse(stdout) as { jobs: unknown[] }).jobs.length === 1;
    });

    expect(linesOf(scratch, 'done.log')).toEqual(['waited', 'after']);
    const { stdout } = await scratch.conductor('jobs', 'attempts', 'task', '--json');
    expect((JSON.parse(stdout) as { attempts: unknown[] }).attempts).toMatchObject([
      { attempt: 1, outcome: 'succeeded' },
    ]);
  });

  test('given kill -9 of a conductor run, a daemon ends its step, and only then the job is tried again', async () => {
    const scratch = createScratch({
      'conductor.yaml': `${TIMES}jobs:
  task:
    retry: { max: 1, backoff: fixed, delay: 0s }
    command: "echo $CONDUCTOR_ATTEMPT >> began.log; echo $$ >> pids.log; [ $CONDUCTOR_ATTEMPT = 2 ] || sleep 63"
`,
    });
    const run = scratch.start('run', 'task');
    await until('the step runs', () => linesOf(scratch, 'began.log').length === 1);
    run.child.kill('SIGKILL');

    const daemon = scratch.start('start');
    await until('the job is done', async () => {
      const { stdout } = await scratch.conductor('jobs', 'list', '--status', 'done', '--json');
      return (JSON.parse(stdout) as { jobs: unknown[] }).jobs.length === 1;
    });
    daemon.child.kill('SIGTERM');

    expect(linesOf(scratch, 'began.log')).toEqual(['1', '2']);
    const { stdout } = await scratch.conductor('jobs', 'attempts', 'task', '--json');
    expect((JSON.parse(stdout) as { attempts: unknown[] }).attempts).toMatchObject([
      { attempt: 1, outcome: 'failed', error: 'Lost: the process that ran it was killed' },
      { attempt: 2, outcome: 'succeeded' },
    ]);
    expect((await daemon.ended).exitCode).toBe(0);
  });

  test('given a job that runs in the foreground, a daemon that starts beside it leaves its steps alone', async () => {
    const scratch = createScratch({
      'conductor.yaml': `${TIMES}jobs:
  task:
    steps:
      - { name: wait, command: "while [ ! -e go ]; do sleep 0.05; done" }
      - { name: after, command: "echo after >> done.log" }
`,
    });
    const run = scratch.start('run', 'task');
    await until('the step runs', () => runningSteps(scratch).then((count) => count === 1));
    scratch.start('start');
    await until('the daemon is up', async () => (await statusOf(scratch)).nodes.length === 1);

    scratch.write({ go: '' });
    const result = await run.ended;

    expect(result.exitCode).toBe(0);
    expect(linesOf(scratch, 'done.log')).toEqual(['after']);
  });

  test('given kill -9 of the daemon in the middle of two-step tasks, a new one ends each once, on the same attempt', async () => {
    const scratch = createScratch({
      'conductor.yaml': `${TIMES}jobs:
  task:
    concurrency: 3
    steps:
      - { name: wait, command: "echo began; while [ ! -e go ]; do sleep 0.05; done; echo waited >> done.log" }
      - { name: after, command: "echo after >> done.log" }
`,
    });
    const first = scratch.start('start', '--node-id', 'n');
    for (const key of ['a', 'b', 'c']) await scratch.conductor('enqueue', 'task', '--key', key);
    await until('three steps run', () => runningSteps(scratch).then((count) => count === 3));

    first.child.kill('SIGKILL');
    await first.ended;
    scratch.write({ go: '' });
    scratch.start('start', '--node-id', 'n');
    await until('all jobs are done', async () => {
      const { stdout } = await scratch.conductor('jobs', 'list', '--status', 'done', '--json');
      return (JSON.parse(stdout) as { jobs: unknown[] }).jobs.length === 3;
    });

    expect(linesOf(scratch, 'done.log').toSorted()).toEqual([
      'after',
      'after',
      'after',
      'waited',
      'waited',
      'waited',
    ]);
    const { stdout } = await scratch.conductor('jobs', 'attempts', 'task', '--key', 'a', '--json');
    expect((JSON.parse(stdout) as { attempts: unknown[] }).attempts).toMatchObject([
      { attempt: 1, outcome: 'succeeded', node: 'n' },
    ]);
  });

  test('given a node that runs already, a second daemon of its name is refused and the first goes on', async () => {
    const scratch = createScratch({ 'conductor.yaml': `${TIMES}jobs: {}\n` });
    const first = scratch.start('start', '--node-id', 'n');
    await until('the first one is up', async () => (await statusOf(scratch)).nodes.length === 1);

    const second = await scratch.conductor('start', '--node-id', 'n');

    expect(second.exitCode).toBe(1);
    expect(second.stderr).toContain('Cannot start node');
    expect(first.child.exitCode).toBeNull();
  });
});

async function runningSteps(scratch: Scratch): Promise<number> {
  const { stdout } = await scratch.conductor('runs', 'list', '--status', 'running', '--json');
  return (JSON.parse(stdout) as { runs: unknown[] }).runs.length;
}
