import { mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { callCli } from './fixtures/cli.ts';
import { createScratch } from './fixtures/scratch.ts';

/** Commands that only read, or steer what is there. */
const READERS: readonly (readonly string[])[] = [
  ['status'],
  ['jobs'],
  ['jobs', 'show', 'hello'],
  ['jobs', 'attempts', 'hello'],
  ['jobs', 'cancel', 'hello'],
  ['jobs', 'retry', 'hello'],
  ['jobs', 'remove', 'hello'],
  ['why', 'hello'],
  ['forecast'],
  ['simulate', '--from', '2027-03-01', '--to', '2027-03-02'],
  ['runs'],
  ['runs', 'show', 'last'],
  ['runs', 'logs', 'last'],
  ['runs', 'diff', 'last'],
  ['runs', 'events', 'last'],
  ['runs', 'cancel', 'last'],
  ['runs', 'prune', '--max-runs', '1'],
  ['checkpoints', 'list', 'last'],
  ['checkpoints', 'verify', 'last'],
  ['worktrees'],
  ['worktrees', 'prune'],
  ['nodes'],
  ['leader'],
  ['logs'],
  ['store', 'stats'],
  ['config', 'show'],
  ['config', 'schema'],
  ['config', 'check'],
  ['completion', 'jobs'],
  ['completion', 'runs'],
];

describe('reading where nothing is', () => {
  test('given a folder without a record, no reading command makes anything, with and without --json', async () => {
    const scratch = createScratch({ 'conductor.yaml': 'jobs:\n  hello: { command: "true" }\n' });
    scratch.git('init', '--quiet');

    for (const args of READERS) {
      await callCli(scratch.dir, args);
      await callCli(scratch.dir, [...args, '--json']);
      expect([args, readdirSync(scratch.dir).toSorted()]).toEqual([args, ['.git', 'conductor.yaml']]);
    }
  });

  test('given status there, it says on stderr that nothing is recorded yet, and its document is whole', async () => {
    const { dir } = createScratch();

    const { exitCode, stdout, stderr } = await callCli(dir, ['status', '--json']);

    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ nodes: [], kinds: [], leadership: null });
    expect(stderr).toContain(
      `nothing is recorded yet: ${path.join(dir, '.conductor/conductor.db')} is not there`,
    );
  });

  test('given a pause of everything there, it holds: what is decided is kept', async () => {
    const { dir } = createScratch();

    await callCli(dir, ['jobs', 'pause']);

    expect((await callCli(dir, ['status'])).stdout).toContain('everything is paused');
  });
});

describe('a project without a config', () => {
  test('given exec in a folder of a repository, the record is at its top, and every folder of it finds it', async () => {
    const scratch = createScratch();
    scratch.git('init', '--quiet');
    const deep = path.join(scratch.dir, 'a/b');
    mkdirSync(deep, { recursive: true });

    const ran = await callCli(deep, ['exec', '--', 'pwd']);
    const listed = await callCli(path.join(scratch.dir, 'a'), ['runs', 'list', '--json']);

    expect(ran).toMatchObject({ exitCode: 0, stdout: `${deep}\n` });
    expect(readdirSync(deep)).toEqual([]);
    expect(readdirSync(scratch.dir).toSorted()).toEqual(['.conductor', '.git', 'a']);
    expect(JSON.parse(listed.stdout)).toMatchObject({ runs: [{ job: 'exec', status: 'completed' }] });
  });

  test('given a folder outside of any repository, the record is in it', async () => {
    const { dir } = createScratch();

    await callCli(dir, ['exec', 'true']);

    expect(readdirSync(dir)).toEqual(['.conductor']);
  });
});

describe('a config with a slip', () => {
  const SLIP = 'stateDir: kept\njobs:\n  good: { command: "true" }\n  bad: { comand: "true" }\n';

  test('given a job that is not understood, what reads and steers the record warns and works where the file says', async () => {
    const scratch = createScratch({
      'conductor.yaml': 'stateDir: kept\njobs:\n  good: { command: "true" }\n',
    });
    await scratch.conductor('run', 'good');
    scratch.write({ 'conductor.yaml': SLIP });

    const listed = await callCli(scratch.dir, ['jobs', 'list', '--json']);
    const runs = await callCli(scratch.dir, ['runs', 'show', 'last']);
    const paused = await callCli(scratch.dir, ['jobs', 'pause', 'good']);

    expect(listed.exitCode).toBe(0);
    expect(JSON.parse(listed.stdout)).toMatchObject({ jobs: [{ job: 'good', status: 'done' }] });
    expect(listed.stderr).toContain('warning Cannot use config');
    expect(listed.stderr).toContain('did you mean "command"?');
    expect(runs).toMatchObject({ exitCode: 0 });
    expect(paused).toMatchObject({ exitCode: 0, stdout: 'good paused\n' });
  });

  test.for([
    [['run', 'good']],
    [['enqueue', 'good']],
    [['forecast']],
    [['start', '--run-once']],
    [['config', 'check']],
  ] as const)('given a job that is not understood, %j needs the jobs and refuses with 2', async ([args]) => {
    const { dir } = createScratch({ 'conductor.yaml': SLIP });

    const { exitCode, stderr } = await callCli(dir, args);

    expect(exitCode).toBe(2);
    expect(stderr).toContain('error Cannot use config');
    expect(readdirSync(dir)).toEqual(['conductor.yaml']);
  });

  test.for(['statDir: kept\n', 'stateDir: [1]\n', 'jobs: {a: {\n'])(
    'given %j, where the record is stays open, and reading is refused, unless flags say where',
    async (content) => {
      const { dir } = createScratch({ 'conductor.yaml': content });
      const place = ['--state-dir', 'kept', '--store', 'sqlite:kept/conductor.db', '--runs-dir', 'kept/runs'];

      const refused = await callCli(dir, ['jobs', 'list']);
      const told = await callCli(dir, ['jobs', 'list', ...place]);

      expect(refused).toMatchObject({ exitCode: 2 });
      expect(told).toMatchObject({ exitCode: 0, stdout: 'no jobs\n' });
      expect(told.stderr).toContain('warning Cannot ');
    },
  );
});
