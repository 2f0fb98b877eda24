/** Which runs a daemon takes over, and what it lets go of. */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { type Cluster, createCluster } from './fixtures/cluster.ts';
import { linesOf, STEADY_TIMES, TIMES } from './fixtures/daemon.ts';
import { type Scratch, until } from './fixtures/scratch.ts';

const waitFor = (file: string): string => `while [ ! -e ${file} ]; do sleep 0.05; done`;

/**
 * Holds a process up in the middle of its adoption, after it has listed the runs: one of them has a plan that is a pipe.
 * Whoever reads it waits until `release`.
 */
function createObstacle({ dir }: Scratch): { reached(): Promise<void>; release(): void } {
  const runDir = path.join(dir, '.conductor/runs/obstacle/01');
  const pipe = path.join(runDir, '.step.json');
  mkdirSync(runDir, { recursive: true });
  writeFileSync(path.join(runDir, 'meta.json'), '{}');
  execFileSync('mkfifo', [pipe]);
  let fd: number | undefined;
  const tryOpen = (): number | undefined => {
    try {
      return openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK);
    } catch (error) {
      // Nobody reads yet.
      if (error instanceof Error && 'code' in error && error.code === 'ENXIO') return undefined;
      throw error;
    }
  };
  return {
    async reached() {
      fd = await until('somebody reads the plan', tryOpen);
    },
    release() {
      unlinkSync(pipe);
      if (fd === undefined) throw new Error('Nobody reads the plan');
      writeSync(fd, '{}');
      closeSync(fd);
    },
  };
}

async function untilDone({ store }: Cluster): Promise<void> {
  await until('the job is done', async () => (await store.get('task', 'default'))?.status === 'done');
}

describe('adoption', () => {
  test('given a run of another daemon, one that is stopped ends at once, while the run goes on', async () => {
    const cluster = await createCluster(
      `${TIMES}jobs:\n  task: { command: 'echo began >> began.log; ${waitFor('go')}' }\n`,
    );
    cluster.start('a');
    await cluster.store.enqueue({ kind: 'task', key: 'default' });
    await until('the step runs', () => linesOf(cluster.scratch, 'began.log').length === 1);
    const { child, ended } = cluster.start('b');
    await until('both live', async () => (await cluster.store.nodes()).length === 2);
    await until('b is up', async () => {
      const node = (await cluster.store.nodes()).find(({ nodeId }) => nodeId === 'b');
      return JSON.stringify(node?.state ?? null).includes('timed jobs');
    });

    child.kill('SIGTERM');
    await until('b has ended', () => child.exitCode !== null, 20_000);

    expect((await ended).stdout).toContain('stopped\n');
    expect(await cluster.store.get('task', 'default')).toMatchObject({ status: 'running', node: 'a' });
    cluster.scratch.write({ go: '' });
    await untilDone(cluster);
    expect(linesOf(cluster.scratch, 'began.log')).toEqual(['began']);
  });

  test('given a task that began its next step and lost its daemon while another one looked, no step runs twice', async () => {
    const cluster = await createCluster(`${STEADY_TIMES}jobs:
  task:
    steps:
      - { name: first, command: 'echo first >> steps.log; ${waitFor('go1')}' }
      - { name: second, command: 'echo second >> steps.log; ${waitFor('go2')}' }
`);
    const { scratch } = cluster;
    const one = cluster.start('a');
    await cluster.store.enqueue({ kind: 'task', key: 'default' });
    await until('the first step runs', () => linesOf(scratch, 'steps.log').length === 1);
    const obstacle = createObstacle(scratch);
    cluster.start('b');
    await obstacle.reached();

    scratch.write({ go1: '' });
    await until('the second step runs', () => linesOf(scratch, 'steps.log').length === 2);
    const runDir = (await cluster.store.get('task', 'default'))?.runDir ?? '';
    await until('the first is acknowledged', () => {
      const [first = ''] = readdirSync(runDir)
        .filter((name) => !name.startsWith('.'))
        .toSorted();
      return !existsSync(path.join(runDir, first, 'unacknowledged'));
    });
    one.child.kill('SIGKILL');
    await one.ended;
    obstacle.release();
    scratch.write({ go2: '' });
    await untilDone(cluster);

    expect(linesOf(scratch, 'steps.log')).toEqual(['first', 'second']);
    expect(await cluster.attempts('task')).toMatchObject([{ attempt: 1, outcome: 'succeeded' }]);
  });
});
