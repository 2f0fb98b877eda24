import { describe, expect, test } from 'vitest';

import { type Cluster, createCluster, type Node } from './fixtures/cluster.ts';
import { linesOf, TIMES } from './fixtures/daemon.ts';
import { until } from './fixtures/scratch.ts';

const CONFIG = `${TIMES}jobs:
  long:
    command: echo begun >> begun.log; while [ ! -e go ]; do sleep 0.05; done; echo ended >> ended.log
`;

/** A daemon with a step that goes on until the file `go` is there. */
async function startWithStep(...args: readonly string[]): Promise<Cluster & { readonly daemon: Node }> {
  const cluster = await createCluster(CONFIG);
  const daemon = cluster.start('n', ...args);
  await cluster.store.enqueue({ kind: 'long', key: 'default' });
  await until('the step runs', () => linesOf(cluster.scratch, 'begun.log').length === 1);
  return { ...cluster, daemon };
}

async function untilStopping({ store }: Cluster): Promise<void> {
  await until(
    'it has given leadership up',
    async () => (await store.leadership('leader'))?.holderId === undefined,
  );
}

describe('conductor start', () => {
  test('given a step that ends by itself within the grace, it drains and exits with 0', async () => {
    const cluster = await startWithStep('--grace', '10m');

    cluster.daemon.child.kill('SIGTERM');
    await untilStopping(cluster);
    cluster.scratch.write({ go: '' });
    const result = await cluster.daemon.ended;

    expect(result.exitCode).toBe(0);
    expect(result.stdout).toContain('running steps have 10m 0s to end');
    expect(linesOf(cluster.scratch, 'ended.log')).toEqual(['ended']);
  });

  test('given a step that outlasts the grace, it is ended, its job is due again, and it exits with 4', async () => {
    const cluster = await startWithStep('--grace', '100ms');

    cluster.daemon.child.kill('SIGTERM');
    const result = await cluster.daemon.ended;

    expect(result.exitCode).toBe(4);
    expect(result.stdout).toContain('the grace was over');
    expect(await cluster.store.get('long', 'default')).toMatchObject({
      status: 'pending',
      failedAttempts: 0,
    });
    expect(linesOf(cluster.scratch, 'ended.log')).toEqual([]);
  });

  test('given a second signal, the step is ended, its job is due again, and it exits with 3', async () => {
    const cluster = await startWithStep();

    cluster.daemon.child.kill('SIGTERM');
    await untilStopping(cluster);
    cluster.daemon.child.kill('SIGTERM');
    const result = await cluster.daemon.ended;

    expect(result.exitCode).toBe(3);
    expect(result.stdout).toContain('a second signal ended the running steps');
    expect(await cluster.store.get('long', 'default')).toMatchObject({
      status: 'pending',
      failedAttempts: 0,
    });
  });

  test('given a grace that is no duration, it is refused and nothing starts', async () => {
    const cluster = await createCluster(CONFIG);

    const result = await cluster.scratch.conductor('start', '--grace', 'soon');

    expect(result.exitCode).toBe(2);
    expect(result.stderr).toContain('--grace "soon": expected a duration such as 90s or 1h30m');
  });

  test('given a daemon that is up, its record tells what it is made of and where it listens', async () => {
    const cluster = await createCluster(CONFIG);
    cluster.start('n');

    const state = await until('the check-list is in the record', async () => {
      const [node] = await cluster.store.nodes();
      return JSON.stringify(node?.state ?? null).includes('timed jobs') ? node?.state : undefined;
    });

    expect(state).toMatchObject({
      apiUrl: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
      checklist: [
        'job store',
        'node',
        'leadership',
        'http api',
        'notifications',
        'dispatcher',
        'adoption',
        'timed jobs',
      ].map((name) => ({ name })),
    });
  });
});
