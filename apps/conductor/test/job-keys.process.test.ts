import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { STEP_VARIABLES } from '../src/step-variables.ts';
import { createCluster } from './fixtures/cluster.ts';
import { linesOf, logOf, TIMES } from './fixtures/daemon.ts';
import { createScratch, until } from './fixtures/scratch.ts';

describe('watch job', () => {
  test('given a chain of jobs, each runs after a success of the one before, once for many, and not after a failure', async () => {
    const scratch = createScratch({
      'conductor.yaml': `${TIMES}jobs:
  build: { command: 'echo build >> ran.log; test ! -e broken' }
  deploy: { command: echo deploy >> ran.log, watch: { job: build } }
  smoke: { command: echo smoke >> ran.log, watch: { job: deploy } }
`,
    });
    const ran = (): readonly string[] => linesOf(scratch, 'ran.log');

    await scratch.conductor('enqueue', 'build');
    expect((await scratch.conductor('start', '--run-once')).exitCode).toBe(0);
    expect(ran()).toEqual(['build', 'deploy', 'smoke']);
    for (let count = 0; count < 3; count += 1) await scratch.conductor('run', 'build');
    await scratch.conductor('start', '--run-once');
    expect(ran().slice(3)).toEqual(['build', 'build', 'build', 'deploy', 'smoke']);
    scratch.write({ broken: '' });
    await scratch.conductor('enqueue', 'build');
    await scratch.conductor('start', '--run-once');
    await scratch.conductor('start', '--run-once');

    expect(ran().slice(8)).toEqual(['build']);
    expect((await scratch.conductor('why', 'deploy')).stdout).toContain(
      'watches job build, acted on up to 4',
    );
  });

  test('given kill -9 between the two, the second runs once when a daemon is up again', async () => {
    const cluster = await createCluster(`${TIMES}jobs:
  build: { command: echo build >> ran.log }
  deploy: { command: echo deploy >> ran.log, watch: { job: build } }
`);
    const { scratch, store } = cluster;
    const rounds = process.env['SOAK'] === undefined ? 3 : 20;
    for (let round = 1; round <= rounds; round += 1) {
      const daemon = cluster.start('n');
      await store.enqueue({ kind: 'build', key: 'default' });
      // As soon as the success is recorded: before, while or after the other is raised and claimed.
      await until('build has succeeded', async () => {
        const job = await store.get('build', 'default');
        return job?.lastSuccessWatermark === job?.inputWatermark && job?.lastSuccessWatermark === round;
      });
      daemon.child.kill('SIGKILL');
      await daemon.ended;
      const next = cluster.start('n');
      await until(
        'deploy has run for it',
        async () => (await store.get('deploy', 'default'))?.status === 'done',
      );
      await until('it acted on the last success', async () => {
        const { stdout } = await scratch.conductor('why', 'deploy');
        return stdout.includes(`acted on up to ${round}`);
      });
      await until('nothing of it is left', async () => {
        const job = await store.get('deploy', 'default');
        return job?.isDirty === false && job.status === 'done';
      });
      next.child.kill('SIGTERM');
      await next.ended;
    }

    expect(linesOf(scratch, 'ran.log').filter((line) => line === 'deploy')).toHaveLength(rounds);
  });

  test.for([
    [
      'a: { command: x, watch: { job: b } }\n  b: { command: x, watch: { job: c } }\n  c: { command: x, watch: { job: a } }',
      'expected no circle: a watches b watches c watches a',
    ],
    ['a: { command: x, watch: { job: a } }', 'expected no circle: a watches a'],
    [
      'build: { command: x }\n  a: { command: x, watch: { job: biuld } }',
      '"jobs.a.watch.job" is "biuld", expected the name of another job of this file, did you mean "build"?',
    ],
    ['a: { command: x, after: b }', '"jobs.a.after" is not a known key: `watch: { job: NAME }`'],
    ['a: { command: x, depends_on: [b] }', '"jobs.a.depends_on" is not a known key: `watch: { job: NAME }`'],
    [
      'a: { command: x, cwd: ../b }',
      '"jobs.a.cwd" is "../b", expected a relative path that stays below its folder',
    ],
    ['a: { command: x, cwd: /tmp }', '"jobs.a.cwd" is "/tmp", expected a relative path'],
    ['a: { command: x, notify: { on: [final-failure], command: x } }', 'did you mean "exhausted"?'],
    ['a: { command: x, notify: { on: [success], command: x } }', 'did you mean "succeeded"?'],
    ['a: { command: x, concurrencyKey: gpu }\nconcurrencyKeys: { gpo: 2 }', 'did you mean "gpu"?'],
  ] as const)('given %s, config check refuses it by name', async ([jobs, words]) => {
    const scratch = createScratch({ 'conductor.yaml': `jobs:\n  ${jobs}\n` });

    const { exitCode, stderr } = await scratch.conductor('config', 'check');

    expect(exitCode).toBe(2);
    expect(stderr).toContain(words);
  });
});

describe('cwd', () => {
  test('given a folder below the config, steps run in it, also in a work tree; one that is missing or leads out is an error that names it', async () => {
    const scratch = createScratch({
      'conductor.yaml': `jobs:
  here: { command: pwd, cwd: app/web }
  tree: { command: pwd, cwd: app/web, worktree: { base: HEAD } }
  missing: { command: pwd, cwd: nowhere }
  out: { command: pwd, cwd: link }
`,
      'app/web/.keep': '',
    });
    scratch.git('init', '--quiet', '--initial-branch=main');
    scratch.git('add', '.');
    scratch.git('commit', '--quiet', '--message=first');
    mkdirSync(path.join(scratch.dir, '../outside'));
    symlinkSync('../outside', path.join(scratch.dir, 'link'));

    expect((await scratch.conductor('run', 'here')).stdout).toBe(`${scratch.dir}/app/web\n`);
    expect((await scratch.conductor('run', 'tree')).stdout).toMatch(
      /\.conductor\/worktrees\/tree-[^/]+\/app\/web\n$/,
    );
    const missing = await scratch.conductor('run', 'missing');
    expect(missing.exitCode).not.toBe(0);
    expect(missing.stderr).toContain(`in "${scratch.dir}/nowhere": it is not there, expected a folder below`);
    expect((await scratch.conductor('run', 'out')).stderr).toContain('/outside", expected a folder below');
  });
});

describe('priority and concurrencyKey', () => {
  test('given room for one, the job of higher priority starts first', async () => {
    const scratch = createScratch({
      'conductor.yaml': `${TIMES}maxParallel: 1\njobs:
  a-low: { command: echo low >> ran.log, priority: -5 }
  b-plain: { command: echo plain >> ran.log }
  c-high: { command: echo high >> ran.log, priority: 5 }
`,
    });
    for (const job of ['a-low', 'b-plain', 'c-high']) await scratch.conductor('enqueue', job);

    await scratch.conductor('start', '--run-once');

    expect(linesOf(scratch, 'ran.log')).toEqual(['high', 'plain', 'low']);
  });

  test('given jobs that share a key, no more than its limit run at once, whoever starts them, and a key taken away limits nothing', async () => {
    const command = 'echo $CONDUCTOR_JOB >> begun.log; while [ ! -e go ]; do sleep 0.05; done';
    const jobs = (key: string): string =>
      ['a', 'b', 'c'].map((name) => `  ${name}: { command: '${command}'${key} }\n`).join('');
    const scratch = createScratch({
      'conductor.yaml': `${TIMES}concurrencyKeys: { gpu: 2 }\njobs:\n${jobs(', concurrencyKey: gpu')}`,
    });
    const daemon = scratch.start('start');
    for (const job of ['a', 'b', 'c']) await scratch.conductor('enqueue', job);
    await until('two run', () => linesOf(scratch, 'begun.log').length === 2);
    const waiting = ['a', 'b', 'c'].find((job) => !linesOf(scratch, 'begun.log').includes(job)) ?? '';

    const run = await scratch.conductor('run', waiting);
    const why = await scratch.conductor('why', waiting);
    expect(run.exitCode).toBe(75);
    expect(run.stderr).toContain('concurrency limit');
    expect(why.stdout).toContain('and 2 of all with concurrencyKey gpu');
    expect(linesOf(scratch, 'begun.log')).toHaveLength(2);
    scratch.write({ 'conductor.yaml': `${TIMES}jobs:\n${jobs('')}` });
    daemon.child.kill('SIGHUP');
    await until('the third runs', () => linesOf(scratch, 'begun.log').length === 3);
    scratch.write({ go: '' });
    await until('all are done', () => logOf(scratch, 'job.recorded').length === 3);
  });
});

describe("a step's environment", () => {
  test('given a step, every documented variable is set, and no other of ours, whatever the config and our environment say', async () => {
    const scratch = createScratch(
      {
        'conductor.yaml': `jobs:
  show:
    steps: [{ name: first, command: 'true' }, { name: second, command: 'env | sort > env.log' }]
    env: { pass: [MINE] }
`,
      },
      { CONDUCTOR_JOB: 'a lie', CONDUCTOR_WATERMARK: '99', MINE: 'passed' },
    );
    await scratch.conductor('enqueue', 'show', '--key', 'a key/ü', '--watermark', '41');

    await scratch.conductor('run', 'show', '--key', 'a key/ü');

    const env = new Map(
      readFileSync(path.join(scratch.dir, 'env.log'), 'utf8')
        .split('\n')
        .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    );
    const ours = [...env.keys()].filter((name) => name.startsWith('CONDUCTOR_') || name.startsWith('PYTHON'));
    expect(ours.toSorted()).toEqual(
      STEP_VARIABLES.filter(({ when }) => when === undefined)
        .map(({ name }) => name)
        .toSorted(),
    );
    expect(Object.fromEntries(env)).toMatchObject({
      CONDUCTOR_JOB: 'show',
      CONDUCTOR_KEY: 'a key/ü',
      CONDUCTOR_STEP: 'second',
      CONDUCTOR_WATERMARK: '42',
      CONDUCTOR_ATTEMPT: '1',
      MINE: 'passed',
    });
    expect(existsSync(env.get('CONDUCTOR_RUN_DIR') ?? '')).toBe(true);
    const readme = readFileSync(path.join(import.meta.dirname, '../README.md'), 'utf8');
    for (const { name } of STEP_VARIABLES) expect(readme).toContain(`\`${name}\``);
  });

  test('given a config that sets a variable of ours, it is refused', async () => {
    const scratch = createScratch({
      'conductor.yaml': 'jobs:\n  a: { command: env, env: { set: { CONDUCTOR_JOB: x } } }\n',
    });

    const { exitCode, stderr } = await scratch.conductor('run', 'a');

    expect(exitCode).not.toBe(0);
    expect(stderr).toContain('CONDUCTOR_JOB');
  });
});
