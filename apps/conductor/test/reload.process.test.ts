import { existsSync, readFileSync, truncateSync } from 'node:fs';
import path from 'node:path';

import { createRealClock } from '@conductor-run/clock';
import { describe, expect, test } from 'vitest';

import { createCluster } from './fixtures/cluster.ts';
import { linesOf, logOf, STEADY_TIMES, TIMES } from './fixtures/daemon.ts';
import { type CliResult, createScratch, type Scratch, until } from './fixtures/scratch.ts';

interface Reloads {
  readonly daemons: readonly {
    readonly node: string;
    readonly isInUse: boolean;
    readonly added: readonly string[];
    readonly changed: readonly string[];
    readonly removed: readonly string[];
    readonly restartFor: readonly string[];
    readonly problem: string | null;
  }[];
}

/** Calls `reload` once a daemon can be asked. */
async function reload(scratch: Scratch, ...args: readonly string[]): Promise<CliResult> {
  return until('a daemon can be asked', async () => {
    const result = await scratch.conductor('reload', ...args);
    return result.stderr.includes('no daemon is up') ? undefined : result;
  });
}

const clock = createRealClock();
const LONGEST_RELOAD_MS = 400;

const config = (jobs: string, times = TIMES): Readonly<Record<string, string>> => ({
  'conductor.yaml': `${times}jobs:\n${jobs}`,
});

describe('SIGHUP', () => {
  test('given a job that is running, one added, one changed and one removed, the step goes on as it was started, and the others are as the file says', async () => {
    const scratch = createScratch(
      config(`  long: { command: 'touch begun; while [ ! -e go ]; do sleep 0.05; done; echo old >> long.log' }
  other: { command: echo before >> other.log }
  gone: { command: echo gone >> gone.log, schedule: { every: 300ms } }
`),
    );
    const daemon = scratch.start('start');
    await scratch.conductor('enqueue', 'long');
    await until('the step runs', () => existsSync(path.join(scratch.dir, 'begun')));
    await until('the schedule runs', () => linesOf(scratch, 'gone.log').length > 0);

    scratch.write(
      config(`  long: { command: echo new >> long.log }
  other: { command: echo after >> other.log }
  added: { command: echo added >> added.log, schedule: { every: 300ms } }
`),
    );
    daemon.child.kill('SIGHUP');
    await until('it is in use', () => logOf(scratch, 'config.reloaded').length === 1);
    await until('the added schedule runs', () => linesOf(scratch, 'added.log').length > 2);
    const ran = linesOf(scratch, 'gone.log').length;
    await scratch.conductor('enqueue', 'other');
    await until('the changed job runs', () => linesOf(scratch, 'other.log').length === 1);
    scratch.write({ go: '' });
    await until('the step ends', () => linesOf(scratch, 'long.log').length === 1);
    await until('more slots pass', () => linesOf(scratch, 'added.log').length > 4);

    expect(linesOf(scratch, 'other.log')).toEqual(['after']);
    expect(linesOf(scratch, 'long.log')).toEqual(['old']);
    expect(linesOf(scratch, 'gone.log')).toHaveLength(ran);
    expect((await scratch.conductor('jobs', 'show', 'gone')).exitCode).toBe(0);
    expect((await scratch.conductor('why', 'gone')).stdout).not.toContain('next slot');
    await scratch.conductor('enqueue', 'long');
    await until('the long one runs as it is now', () => linesOf(scratch, 'long.log').length === 2);
    expect(linesOf(scratch, 'long.log')).toEqual(['old', 'new']);
    daemon.child.kill('SIGTERM');
    const { exitCode, stdout } = await daemon.ended;
    expect(exitCode).toBe(0);
    expect(stdout).toContain('the config is in use: added added; changed long, other; removed gone');
  });

  test('given watches, concurrency and maxParallel that change, they hold from then on', async () => {
    const scratch = createScratch({
      ...config(`  job: { command: echo ran >> ran.log, watch: { command: cat one } }
  slow: { command: 'touch begun-$CONDUCTOR_KEY; while [ ! -e go ]; do sleep 0.05; done' }
`),
      one: '5',
      two: '7',
    });
    scratch.start('start');
    await until('the watch counts', () => linesOf(scratch, 'ran.log').length === 1);
    await scratch.conductor('enqueue', 'slow', '--key', 'a');
    await scratch.conductor('enqueue', 'slow', '--key', 'b');
    await until('one runs', () => existsSync(path.join(scratch.dir, 'begun-a')));
    expect((await scratch.conductor('why', 'slow', '--key', 'b')).stdout).toContain('at most 1 of its kind');

    scratch.write(
      config(`  job: { command: echo ran >> ran.log, watch: { command: cat two } }
  slow: { command: 'touch begun-$CONDUCTOR_KEY; while [ ! -e go ]; do sleep 0.05; done', concurrency: 2 }
`),
    );

    expect(await reload(scratch)).toMatchObject({ exitCode: 0 });
    await until('the other one runs', () => existsSync(path.join(scratch.dir, 'begun-b')));
    await until('the new watch counts', () => linesOf(scratch, 'ran.log').length === 2);
    scratch.write({ go: '' });
  });
});

describe('conductor reload', () => {
  test('given a config that cannot be used, nothing changes, and log, answer and status say so until it is mended', async () => {
    const job = `  tick: { command: echo ran >> ran.log, schedule: { every: 300ms } }\n`;
    const scratch = createScratch(config(job, STEADY_TIMES));
    scratch.start('start', '--node-id', 'n');
    await until('it ticks', () => linesOf(scratch, 'ran.log').length > 0);

    scratch.write(config(`${job}  bad: { comand: x }\n`, STEADY_TIMES));
    const refused = await reload(scratch);
    scratch.write(
      config(
        `${job}  hook: { command: x, notify: { on: [failed], webhook: { url: "http://127.0.0.1:1", secretEnv: NOT_SET } } }\n`,
        STEADY_TIMES,
      ),
    );
    const unsigned = await reload(scratch, '--json');
    const status = await scratch.conductor('status');
    const json = JSON.parse((await scratch.conductor('status', '--json')).stdout) as unknown;
    const ran = linesOf(scratch, 'ran.log').length;
    await until('it goes on', () => linesOf(scratch, 'ran.log').length > ran + 1);
    scratch.write(config(`${job}  good: { command: x }\n`, STEADY_TIMES));
    const used = await reload(scratch, '--json');

    expect(refused).toMatchObject({ exitCode: 1, stderr: '' });
    expect(refused.stdout).toContain('the config in use stays: Cannot use config');
    expect(refused.stdout).toContain('did you mean "command"?');
    expect(unsigned.exitCode).toBe(1);
    expect((JSON.parse(unsigned.stdout) as Reloads).daemons[0]).toMatchObject({
      isInUse: false,
      added: [],
      problem: expect.stringContaining('the variable NOT_SET has no value'),
    });
    expect(logOf(scratch, 'config.refused')).toHaveLength(2);
    expect(status.stdout).toContain('n: refused its config, and goes on with the one before');
    expect(json).toMatchObject({
      nodes: [{ config: { isCurrent: false, problem: expect.stringContaining('NOT_SET') } }],
    });
    expect(used.exitCode).toBe(0);
    expect((JSON.parse(used.stdout) as Reloads).daemons[0]).toMatchObject({
      isInUse: true,
      added: ['good'],
      problem: null,
    });
    expect((await scratch.conductor('status')).stdout).not.toContain('config');
  });

  test('given a job the daemon does not know yet, why, status and doctor name the older config, and a reload runs it', async () => {
    const scratch = createScratch(config('  old: { command: "true" }\n', STEADY_TIMES));
    scratch.start('start', '--node-id', 'n');
    await until('it is up', async () => (await scratch.conductor('status')).stdout.includes('leader'));
    expect((await scratch.conductor('status')).stdout).not.toContain('older config');

    scratch.write(config('  old: { command: "true" }\n  fresh: { command: touch ran }\n', STEADY_TIMES));
    await scratch.conductor('enqueue', 'fresh');
    const why = await scratch.conductor('why', 'fresh');
    const status = await scratch.conductor('status');
    const doctor = await scratch.conductor('doctor');

    expect(why.stdout).toContain('is due, but the daemon runs an older config\nconductor reload\n');
    expect(status.stdout).toContain('n: runs an older config: conductor reload');
    expect(doctor.stdout).toContain('n runs an older config');
    expect(await reload(scratch)).toMatchObject({
      exitCode: 0,
      stdout: 'n the config is in use: added fresh\n',
    });
    await until('it ran', () => existsSync(path.join(scratch.dir, 'ran')));
    expect((await scratch.conductor('status')).stdout).not.toContain('older config');
  });

  test('given settings that cannot change while it runs, it names them, exits with 5, and uses the rest', async () => {
    const scratch = createScratch(config('  a: { command: "true" }\n', STEADY_TIMES));
    scratch.start('start', '--node-id', 'n');
    await reload(scratch);

    const head = `${STEADY_TIMES}jobLeaseMs: 5000\nmaxParallel: 9\nretainRuns: 7\n`;
    scratch.write(config('  b: { command: "true" }\n', head));
    const { exitCode, stdout } = await reload(scratch);
    const status = await scratch.conductor('status');

    expect(stdout).toBe('n the config is in use: added b; removed a; restart to use jobLeaseMs\n');
    expect(exitCode).toBe(5);
    expect(status.stdout).toContain('n: restart to use jobLeaseMs');
    expect(status.stdout).toContain('0/9');
  });

  test('given a file that is empty, cut off or still being written, it is not used before it is whole', async () => {
    const whole = `${TIMES}jobs:
  tick: { command: echo ran >> ran.log, schedule: { every: 300ms } }
  list:
    command: [echo, "a long argument that is cut off"]
`;
    const scratch = createScratch({ 'conductor.yaml': whole });
    scratch.start('start', '--node-id', 'n');
    const file = path.join(scratch.dir, 'conductor.yaml');
    await until('it ticks', () => linesOf(scratch, 'ran.log').length > 0);

    truncateSync(file, 0);
    const empty = await reload(scratch);
    scratch.write({ 'conductor.yaml': whole.slice(0, -12) });
    const cut = await reload(scratch);
    const writing = scratch.conductor('reload', '--json');
    // Every look sees another file.
    for (let count = 0, isOver = false; !isOver; count += 1) {
      scratch.write({ 'conductor.yaml': `${whole}# ${count}\n  job${count}: { command: x }\n` });
      isOver = await Promise.race([writing.then(() => true), clock.sleep(20).then(() => false)]);
    }
    scratch.write({ 'conductor.yaml': whole });

    expect(empty).toMatchObject({ exitCode: 1 });
    expect(empty.stdout).toContain('it is empty, as a file that is being written');
    expect(cut).toMatchObject({ exitCode: 1 });
    expect(cut.stdout).toContain('the config in use stays: Cannot read config');
    const { daemons } = JSON.parse((await writing).stdout) as Reloads;
    expect(daemons[0]?.problem).toContain('expected a file nobody is writing');
    const ran = linesOf(scratch, 'ran.log').length;
    await until('it goes on', () => linesOf(scratch, 'ran.log').length > ran);
    expect(await reload(scratch)).toMatchObject({
      exitCode: 0,
      stdout: 'n the config is in use: no job differs\n',
    });
  });

  test('given no daemon, it says so and fails; given one, it answers', async () => {
    const scratch = createScratch(config('  a: { command: "true" }\n'));
    const none = await scratch.conductor('reload');
    const { child, ended } = scratch.start('start');
    await reload(scratch);

    expect(none.exitCode).toBe(1);
    expect(none.stderr).toContain('Cannot reload: no daemon is up with the state directory');
    child.kill('SIGTERM');
    await ended;
  });

  test('given two nodes, each reads its own config, and both answer', async () => {
    const cluster = await createCluster(`${STEADY_TIMES}jobs:\n  a: { command: "true" }\n`);
    const { scratch } = cluster;
    scratch.write({ 'second.yaml': `${STEADY_TIMES}jobs:\n  a: { command: "true" }\n` });
    cluster.start('one');
    cluster.start('two', '--config', 'second.yaml');
    await until('both are up', async () => {
      const { stdout } = await scratch.conductor('reload', '--json');
      return (JSON.parse(stdout) as Partial<Reloads>).daemons?.length === 2;
    });

    scratch.write({
      'second.yaml': `${STEADY_TIMES}jobs:\n  a: { command: "true" }\n  b: { command: touch ran-b }\n`,
    });
    const status = await scratch.conductor('status');
    const { stdout } = await scratch.conductor('reload');
    await cluster.store.enqueue({ kind: 'b', key: 'default' });
    await until('the one that knows it runs it', () => existsSync(path.join(scratch.dir, 'ran-b')));

    expect(status.stdout).toContain('two: runs an older config');
    expect(status.stdout).not.toContain('one: runs an older config');
    expect(stdout).toBe('one the config is in use: no job differs\ntwo the config is in use: added b\n');
    const attempts = await cluster.attempts('b');
    expect(attempts.map(({ node }) => node)).toEqual(['two']);
  });

  test('given kill -9 at any instant of a reload, what was due is run once, and the next daemon runs what the file says', async () => {
    const cluster = await createCluster(
      `${TIMES}jobs:\n  work: { command: echo $CONDUCTOR_KEY >> ran.log }\n`,
    );
    const { scratch, store } = cluster;
    const rounds = process.env['SOAK'] === undefined ? 3 : 30;
    for (let round = 0; round < rounds; round += 1) {
      const daemon = cluster.start('n');
      await until('it can be asked', () => existsSync(path.join(scratch.dir, '.conductor/api/n.json')));
      await store.enqueue({ kind: 'work', key: `k${round}` });
      scratch.write({
        'conductor.yaml': `${TIMES}jobs:\n  work: { command: 'echo $CONDUCTOR_KEY >> ran.log' }\n  job${round}: { command: echo job${round} >> ran.log }\n`,
      });
      daemon.child.kill('SIGHUP');
      // From before the first look at the file to after it is in use.
      await clock.sleep((round * LONGEST_RELOAD_MS) / rounds);
      daemon.child.kill('SIGKILL');
      await daemon.ended;
      await store.enqueue({ kind: `job${round}`, key: 'default' });
      const next = cluster.start('n');
      await until('both ran', async () => {
        const [one, other] = [
          await store.get('work', `k${round}`),
          await store.get(`job${round}`, 'default'),
        ];
        return one?.status === 'done' && other?.status === 'done';
      });
      next.child.kill('SIGTERM');
      expect((await next.ended).exitCode).toBe(0);
    }

    const ran = readFileSync(path.join(scratch.dir, 'ran.log'), 'utf8').trimEnd().split('\n');
    const wanted = Array.from({ length: rounds }, (_, round) => [`k${round}`, `job${round}`]).flat();
    expect(ran.toSorted()).toEqual(wanted.toSorted());
  });
});
