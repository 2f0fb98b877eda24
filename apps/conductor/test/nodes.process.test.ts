import { describe, expect, test } from 'vitest';

import { STEADY_TIMES } from './fixtures/daemon.ts';
import { createScratch, until } from './fixtures/scratch.ts';

describe('conductor nodes, leader and logs', () => {
  test('given no daemon ever, each says so and what runs one', async () => {
    const scratch = createScratch();

    const nodes = await scratch.conductor('nodes');
    const leader = await scratch.conductor('leader');
    const logs = await scratch.conductor('logs');

    expect(nodes.stdout).toContain('no daemon is up');
    expect(leader.stdout).toContain('nobody leads');
    expect(logs).toMatchObject({ exitCode: 1 });
    expect(logs.stderr).toContain('no daemon has written one here');
  });

  test('given a daemon that was killed, it is silent at once; one that stops is gone, and who led is known', async () => {
    const scratch = createScratch({ 'conductor.yaml': STEADY_TIMES });
    const first = scratch.start('start', '--node-id', 'n');
    await until('it leads', async () => (await scratch.conductor('leader')).stdout.includes('leads, term 1'));

    first.child.kill('SIGKILL');
    await first.ended;
    const killed = await scratch.conductor('status');
    const second = scratch.start('start', '--node-id', 'n');
    await until('it is back', async () => (await scratch.conductor('nodes')).stdout.includes('live'));
    const twice = await scratch.conductor('start', '--node-id', 'n', '--json');
    second.child.kill('SIGTERM');
    await second.ended;
    const stopped = await scratch.conductor('nodes');

    expect(killed.stdout).toMatch(/^n +\S+ +silent /m);
    expect(killed.stdout).toMatch(/leader {2}n\/\w+, term 1, .*; it is silent, and its lease runs out/);
    expect(twice.exitCode).toBe(1);
    expect(twice.stderr).toMatch(/^error Cannot start node "n": process \d+ runs it already/);
    expect(JSON.parse(twice.stdout.trimEnd().split('\n').at(-1) ?? '')).toMatchObject({
      error: { code: 'daemon-running' },
    });
    expect(stopped.stdout).toBe(
      'no daemon is up (conductor leader shows who led, conductor start runs one)\n',
    );
  });

  test('given a daemon, they tell its state, its term, and its log as it grows', async () => {
    const scratch = createScratch({ 'conductor.yaml': `${STEADY_TIMES}jobs:\n  a: { command: "true" }\n` });
    const following = scratch.start('logs', '-f', '--level', 'info');
    let followed = '';
    following.child.stdout?.on('data', (chunk: Buffer) => (followed += chunk.toString()));
    const daemon = scratch.start('start', '--node-id', 'n');
    await until('it leads', async () => (await scratch.conductor('leader')).stdout.includes('leads, term 1'));
    await until('its heartbeat says so', async () =>
      (await scratch.conductor('nodes')).stdout.includes('leader'),
    );
    const nodes = await scratch.conductor('nodes', '--json');
    await scratch.conductor('enqueue', 'a');
    await until('the claim is followed', () => followed.includes('job.recorded'));

    following.child.kill('SIGINT');
    daemon.child.kill('SIGTERM');
    await daemon.ended;
    const leader = await scratch.conductor('leader', '--json');
    const lines = (await scratch.conductor('logs', '--tail', '2', '--json')).stdout.trimEnd().split('\n');
    const warnings = await scratch.conductor('logs', '--level', 'warn');

    expect(JSON.parse(nodes.stdout)).toMatchObject({
      nodes: [{ nodeId: 'n', isLive: true, role: 'leader', running: 0, maxParallel: 4 }],
    });
    expect((await following.ended).exitCode).toBe(0);
    expect(followed).toMatch(/Z info +job\.claimed job=a key=default/);
    expect(JSON.parse(leader.stdout)).toMatchObject({ terms: [{ term: 1, endedBy: 'resigned' }] });
    expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg).at(-1)).toBe('daemon.stopped');
    expect(warnings.stdout).toBe('');
  });
});
