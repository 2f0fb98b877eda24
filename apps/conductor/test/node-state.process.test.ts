import { existsSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { createCluster } from './fixtures/cluster.ts';
import { until } from './fixtures/scratch.ts';

/** Default times: a node counts as live for 15 s after its last sign. */
const CONFIG = `jobs:
  long: { command: 'touch begun; while [ ! -e go ]; do sleep 0.05; done' }
`;

interface Nodes {
  readonly nodes: readonly {
    readonly isLive: boolean;
    readonly isDraining: boolean;
    readonly role: string;
  }[];
}

describe('status', () => {
  test('given a daemon that drains, status and nodes say so until it is gone', async () => {
    const cluster = await createCluster(CONFIG);
    const { scratch, store } = cluster;
    const daemon = cluster.start('n');
    await store.enqueue({ kind: 'long', key: 'default' });
    await until('the step runs', () => existsSync(path.join(scratch.dir, 'begun')));
    expect((await scratch.conductor('nodes')).stdout).toMatch(/^n +\S+ +live /m);

    daemon.child.kill('SIGTERM');
    await until('it says so', async () => (await scratch.conductor('nodes')).stdout.includes('draining'));
    const status = await scratch.conductor('status');
    const json = JSON.parse((await scratch.conductor('nodes', '--json')).stdout) as Nodes;
    scratch.write({ go: '' });

    expect(status.stdout).toMatch(/^n +\S+ +draining /m);
    expect(json.nodes).toMatchObject([{ isLive: true, isDraining: true }]);
    expect((await daemon.ended).exitCode).toBe(0);
    expect(JSON.parse((await scratch.conductor('nodes', '--json')).stdout)).toEqual({ nodes: [] });
  });

  test('given kill -9, it is not called live any more as soon as its process is gone', async () => {
    const cluster = await createCluster(CONFIG);
    const daemon = cluster.start('n');
    await cluster.leader('n');

    daemon.child.kill('SIGKILL');
    await daemon.ended;
    const status = await cluster.scratch.conductor('status');
    const doctor = await cluster.scratch.conductor('doctor');

    expect(status.stdout).toMatch(/^n +\S+ +silent /m);
    expect(status.stdout).not.toContain('live');
    expect(doctor.stdout).toContain('none is up; silent: n');
  });
});

describe('why', () => {
  test('given a job without retries whose step was lost with its supervisor, it says what was lost, what that costs and how to have it tried again', async () => {
    const cluster = await createCluster('jobs:\n  work: { command: "true" }\n');
    const { store, scratch } = cluster;
    await store.enqueue({ kind: 'work', key: 'default', retries: 0 });
    await store.claim({ kind: 'work', key: 'default', workerId: 'dead', leaseMs: 1 });

    // The question itself ends the lease that has run out.
    const why = await until('the lease has run out', async () => {
      await store.claimNext({ workerId: 'other', leaseMs: 1_000, kinds: ['none'] });
      const { stdout } = await scratch.conductor('why', 'work');
      return stdout.includes('has none left') ? stdout : undefined;
    });

    expect(why).toContain(
      'was lost with the process that ran it, which costs a retry, and has none left of 0',
    );
    expect(why).toContain('with retry: { max: 1 } in the config a lost attempt is tried again by itself');
  });
});
