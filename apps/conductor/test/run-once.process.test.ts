import { mkdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { watchSlotName } from '../src/daemon/watchers.ts';
import { createCluster } from './fixtures/cluster.ts';
import { STEADY_TIMES } from './fixtures/daemon.ts';
import { createScratch, until } from './fixtures/scratch.ts';

const WATCHING = `${STEADY_TIMES}jobs:\n  job: { command: 'true', watch: { command: cat n.txt } }\n`;

const SLOT = watchSlotName('job', { kind: 'command', command: 'cat n.txt' });

describe('conductor start --run-once', () => {
  test('given an attempt that cannot be carried out, it is told as a task that ended, and the exit code is 1', async () => {
    const scratch = createScratch({
      'conductor.yaml': `${STEADY_TIMES}jobs:
  secretive: { command: 'true', env: { secrets: [NO_SUCH_SECRET] } }
`,
    });
    await scratch.conductor('enqueue', 'secretive', '--key', 'a');

    const result = await scratch.conductor('start', '--run-once', '--json');

    expect(result.exitCode).toBe(1);
    const events = result.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(events).toContainEqual({
      atMs: expect.any(Number),
      event: 'task.ended',
      name: 'secretive (a)',
      detail: expect.stringContaining('NO_SUCH_SECRET'),
      recorded: null,
      runId: null,
    });
  });

  test('given a log on a full disk, the work is done all the same, and stderr is told', async () => {
    const scratch = createScratch({ 'conductor.yaml': `${STEADY_TIMES}jobs:\n  job: { command: 'true' }\n` });
    const logsDir = path.join(scratch.dir, '.conductor/logs');
    mkdirSync(logsDir, { recursive: true });
    symlinkSync('/dev/full', path.join(logsDir, 'daemon.log'));
    await scratch.conductor('enqueue', 'job');

    const result = await scratch.conductor('start', '--run-once');

    expect(result.exitCode).toBe(0);
    expect(result.stderr).toContain(`Cannot write the log "${logsDir}/daemon.log": ENOSPC`);
    expect(result.stdout).toContain('succeeded');
  });

  test('given a work tree and no repository, the line says so, and the exit code is 1', async () => {
    const scratch = createScratch({
      'conductor.yaml': `${STEADY_TIMES}jobs:\n  tree: { command: 'true', worktree: {} }\n`,
    });
    await scratch.conductor('enqueue', 'tree');

    const result = await scratch.conductor('start', '--run-once');

    expect(result.exitCode).toBe(1);
    expect(result.stdout).toMatch(/ failed tree {2}.*repository/);
  });

  test('given a daemon that was killed and left its lease, it waits for the lease and plans', async () => {
    const cluster = await createCluster(WATCHING);
    cluster.scratch.write({ 'n.txt': '1' });
    const { child, ended } = cluster.start('dead');
    const { term } = await cluster.leader('dead');
    await until('it has seen the first value', () =>
      cluster.store.slotCursor(SLOT).then((seen) => seen === 1),
    );
    child.kill('SIGKILL');
    await ended;
    cluster.scratch.write({ 'n.txt': '2' });

    const result = await cluster.scratch.conductor('start', '--run-once', '--node-id', 'next');

    expect(result).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await cluster.store.slotCursor(SLOT)).toBe(2);
    expect((await cluster.store.leadership('leader'))?.term).toBe(term + 1);
  });

  test('given a live leader, it says that another node leads and exits with 75', async () => {
    const cluster = await createCluster(`${STEADY_TIMES}jobs: {}\n`);
    cluster.start('live');
    await cluster.leader('live');

    const result = await cluster.scratch.conductor('start', '--run-once', '--node-id', 'other');

    expect(result.exitCode).toBe(75);
    expect(result.stderr).toContain('nothing was planned: another node leads');
  });

  test('given that everything is paused, it says so and exits with 75', async () => {
    const cluster = await createCluster(WATCHING);
    cluster.scratch.write({ 'n.txt': '1' });
    await cluster.store.pause();

    const result = await cluster.scratch.conductor('start', '--run-once');

    expect(result.exitCode).toBe(75);
    expect(result.stderr).toContain('nothing was planned: everything is paused');
    expect(await cluster.store.get('job', 'default')).toBeUndefined();
  });
});
