import { existsSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { createCluster } from './fixtures/cluster.ts';
import { linesOf, TIMES } from './fixtures/daemon.ts';
import { createScratch, until } from './fixtures/scratch.ts';

const WAITING = `touch began; while [ ! -e go ]; do sleep 0.05; done; echo told; echo told >&2; echo ended >> ended.log`;

describe('a reader that goes away', () => {
  test('given a daemon whose streams were closed, it goes on with its tasks, drains and resigns, whatever SIGHUPs come', async () => {
    const cluster = await createCluster(
      `${TIMES}jobs:\n  quick: { command: 'echo ran >> ran.log' }\n  slow: { command: '${WAITING}' }\n`,
    );
    const { scratch, store } = cluster;
    const { child, ended } = cluster.start('n');
    await cluster.leader('n');

    child.stdout?.destroy();
    child.stderr?.destroy();
    for (const key of ['a', 'b']) {
      await store.enqueue({ kind: 'quick', key });
      await until('it is done', async () => (await store.get('quick', key))?.status === 'done');
    }
    await store.enqueue({ kind: 'slow', key: 'default' });
    await until('the step runs', () => existsSync(path.join(scratch.dir, 'began')));
    child.kill('SIGTERM');
    await until(
      'it has given leadership up',
      async () => (await store.leadership('leader'))?.holderId === undefined,
    );
    child.kill('SIGHUP');
    scratch.write({ go: '' });

    expect(await ended).toMatchObject({ exitCode: 0, signal: null });
    expect(linesOf(scratch, 'ran.log')).toEqual(['ran', 'ran']);
    expect(linesOf(scratch, 'ended.log')).toEqual(['ended']);
    expect(await store.nodes()).toEqual([]);
  });

  test.for([
    ['run', 'job'],
    ['exec', '--', 'sh', '-c', `${WAITING}; exit 7`],
  ])(
    'given %s whose streams were closed, it goes on to the end of its step and its exit code',
    async (args) => {
      const scratch = createScratch({
        'conductor.yaml': `jobs:\n  job: { command: '${WAITING}; exit 7' }\n`,
      });
      const { child, ended } = scratch.start(...args);
      await until('the step runs', () => existsSync(path.join(scratch.dir, 'began')));

      child.stdout?.destroy();
      child.stderr?.destroy();
      scratch.write({ go: '' });

      expect(await ended).toMatchObject({ exitCode: 7 });
      expect(linesOf(scratch, 'ended.log')).toEqual(['ended']);
      const { stdout } = await scratch.conductor('runs', 'list', '--json');
      expect(JSON.parse(stdout)).toMatchObject({ runs: [{ status: 'failed' }] });
    },
  );

  test('given a command that only prints, it ends quietly', async () => {
    const scratch = createScratch({ 'conductor.yaml': 'jobs: {}\n' });
    const { child, ended } = scratch.start('config', 'schema');

    child.stdout?.destroy();

    expect(await ended).toMatchObject({ exitCode: 0, signal: null, stderr: '' });
  });
});
