import { chmodSync, mkdirSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { callCli } from './fixtures/cli.ts';
import { createScratch, until } from './fixtures/scratch.ts';

const CONFIG = { 'conductor.yaml': 'jobs:\n  nightly: { command: "true" }\n' };

/** The document of a command that failed. */
function errorOf(stdout: string): object {
  const { error } = JSON.parse(stdout) as { readonly error: object };
  return error;
}

describe('a command that fails', () => {
  test('given --json, stdout is one document with code, message, hint and exit code, and stderr has the sentence', async () => {
    const { dir } = createScratch(CONFIG);

    const { stdout, stderr, exitCode } = await callCli(dir, ['jobs', 'show', 'nihgtly', '--json']);

    expect(errorOf(stdout)).toEqual({
      code: 'job-unknown',
      message: 'Cannot find job "nihgtly": expected one of the config or the store',
      hint: 'Did you mean "nightly"?',
      details: {},
      exitCode: 2,
    });
    expect(stderr).toContain('error Cannot find job "nihgtly"');
    expect(exitCode).toBe(2);
  });

  test('given --json and arguments that are not understood, it is a document too', async () => {
    const { dir } = createScratch(CONFIG);

    const { stdout, exitCode } = await callCli(dir, ['jobs', 'list', '--staus', 'done', '--json']);

    expect(errorOf(stdout)).toMatchObject({ code: 'usage', hint: 'Did you mean "--status"?', exitCode: 2 });
    expect(exitCode).toBe(2);
  });

  test('given --json behind the command of exec, it belongs to that command and failures are words', async () => {
    const { dir } = createScratch({ 'conductor.yaml': 'jobs: 5\n' });

    const { stdout, exitCode } = await callCli(dir, ['exec', '--', 'echo', '--json']);

    expect({ stdout, exitCode }).toEqual({ stdout: '', exitCode: 2 });
  });

  test('given a command that prints a document a line, its failure is a line', async () => {
    const { dir } = createScratch(CONFIG);

    const { stdout } = await callCli(dir, ['logs', '--json']);

    expect(stdout.split('\n')).toHaveLength(2);
    expect(errorOf(stdout)).toMatchObject({ code: 'log-not-found', exitCode: 1 });
  });

  test.for([
    [['runs', 'show', 'nobody'], 'run-unknown'],
    [['runs', 'logs', 'nobody'], 'run-unknown'],
    [['checkpoints', 'show', 'exec', '7'], 'checkpoint-unknown'],
    [['jobs', 'cancel', 'nobody'], 'job-unknown'],
    [['run', 'nobody'], 'job-unknown'],
  ] as const)('given %j, it exits with 2 and code %s', async ([args, code]) => {
    const scratch = createScratch(CONFIG);
    await scratch.conductor('exec', 'true');

    const { stdout, exitCode } = await callCli(scratch.dir, [...args, '--json']);

    expect(exitCode).toBe(2);
    expect(errorOf(stdout)).toMatchObject({ code });
  });

  test.for([
    [['runs', 'bogus'], 'Cannot find command "conductor runs bogus": expected one of list, show', undefined],
    [
      ['cancel', 'x'],
      'Cannot find command "conductor cancel"',
      '"conductor jobs cancel" or "conductor runs cancel"',
    ],
    [['frecast'], 'Cannot find command "conductor frecast"', 'Did you mean "conductor forecast"?'],
    [['why'], 'Cannot run conductor why: argument "job" is missing', 'conductor why --help'],
    [
      ['jobs', 'show', 'a', 'b'],
      'Cannot run conductor jobs show: too many arguments, expected at most 1',
      undefined,
    ],
    [['why', 'a', '--key'], 'Cannot use option "--key <key>": its value is missing', undefined],
  ] as const)('given %j, it says so in the words of every refusal', async ([args, message, hint]) => {
    const { dir } = createScratch(CONFIG);

    const { stderr, exitCode } = await callCli(dir, args);

    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/^error Cannot /);
    expect(stderr).toContain(message);
    expect(stderr).toContain(hint ?? '');
  });

  test('given what the system refuses, it says what could not be done and what to do, without a stack', async () => {
    const { dir } = createScratch(CONFIG);
    mkdirSync(path.join(dir, 'plain'));

    const missing = await callCli(dir, ['store', 'import', '/nope/jobs.ndjson', '--json']);
    const folder = await callCli(dir, ['store', 'import', path.join(dir, 'plain')]);

    expect(errorOf(missing.stdout)).toMatchObject({
      code: 'ENOENT',
      message: 'Cannot open "/nope/jobs.ndjson": no such file or directory',
      hint: 'See that the path is right and that it exists.',
    });
    expect(folder).toMatchObject({ exitCode: 1 });
    expect(folder.stderr).toContain('It is a folder: name a file.');
  });

  test('given a state directory that is a file, every command says what is in the way', async () => {
    const scratch = createScratch({ ...CONFIG, '.conductor': '' });
    chmodSync(path.join(scratch.dir, '.conductor'), 0o600);

    const { stderr, exitCode } = await scratch.conductor('run', 'nightly');

    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^error Cannot make folder ".*\.conductor": file already exists\n/);
  });
});

describe('steering that does nothing', () => {
  test('given a job that runs, remove exits with 75 and says so; cancel asks its owner and exits with 0', async () => {
    const scratch = createScratch({ 'conductor.yaml': 'jobs:\n  long: { command: touch up; sleep 100 }\n' });
    const run = scratch.start('run', 'long');
    await until('it runs', async () =>
      (await callCli(scratch.dir, ['runs', 'list'])).stdout.includes('running'),
    );

    const removed = await callCli(scratch.dir, ['jobs', 'remove', 'long']);
    const cancelled = await callCli(scratch.dir, ['jobs', 'cancel', 'long']);

    expect(removed).toMatchObject({ exitCode: 75 });
    expect(removed.stdout).toContain('long: not removed, it runs');
    expect(cancelled).toMatchObject({ exitCode: 0, stdout: 'long: its owner is asked to stop\n' });
    expect((await run.ended).exitCode).not.toBe(0);
  });

  test('given a job that is up to date, cancel and retry exit with 1 and the document says why', async () => {
    const scratch = createScratch(CONFIG);
    await scratch.conductor('run', 'nightly');

    const cancelled = await callCli(scratch.dir, ['jobs', 'cancel', 'nightly']);
    const retried = await callCli(scratch.dir, ['jobs', 'retry', 'nightly', '--json']);

    expect(cancelled).toMatchObject({
      exitCode: 1,
      stdout: 'nightly: nothing to cancel, it is up to date\n',
    });
    expect(retried.exitCode).toBe(1);
    expect(JSON.parse(retried.stdout)).toEqual({ job: 'nightly', key: 'default', outcome: 'up_to_date' });
  });
});

describe('conductor on a Node that is too old', () => {
  test.for(['20.20.2', '22.17.1', '23.11.0'])(
    'given Node %s, it says which one it needs, without a stack',
    async (version) => {
      const { startWith } = createScratch();
      const pretend = `Object.defineProperty(process.versions, 'node', { value: '${version}' })`;

      const { exitCode, stdout, stderr } = await startWith(
        ['--import', `data:text/javascript,${encodeURIComponent(pretend)}`],
        'status',
      ).ended;

      expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
      expect(stderr).toBe(
        `error Conductor needs Node 22.18, or 24 and newer; this is ${version}\nInstall one from https://nodejs.org, or put it first on PATH.\n`,
      );
    },
  );
});

describe('a job with a work tree where there is no git', () => {
  test('given no git on PATH inside a repository, it says that git is missing and not the repository', async () => {
    const scratch = createScratch({ 'conductor.yaml': 'jobs:\n  tree: { command: "true", worktree: {} }\n' });
    scratch.git('init', '--quiet');
    scratch.write({ 'empty/.keep': '' });
    const pathWithoutGit = process.env['PATH'];
    process.env['PATH'] = path.join(scratch.dir, 'empty');

    const { stdout, exitCode } = await callCli(scratch.dir, ['run', 'tree', '--json']).finally(() => {
      process.env['PATH'] = pathWithoutGit;
    });

    expect(exitCode).toBe(1);
    expect(errorOf(stdout)).toMatchObject({
      code: 'git-missing',
      message: 'Cannot make a work tree for job "tree": there is no git on PATH',
    });
  });
});

describe('conductor config check', () => {
  test('given no config, it refuses; given one with a schedule that never comes, it warns', async () => {
    const none = createScratch();
    const never = createScratch({
      'conductor.yaml': 'jobs:\n  a: { command: x, schedule: { at: 2020-01-01 } }\n',
    });

    const missing = await callCli(none.dir, ['config', 'check']);
    const warned = await callCli(never.dir, ['config', 'check']);

    expect(missing).toMatchObject({ exitCode: 2, stdout: '' });
    expect(missing.stderr).toContain('Cannot check the config: there is none in');
    expect(warned.exitCode).toBe(0);
    expect(warned.stdout).toContain(': 1 job\nwarning jobs.a.schedule has no slot to come');
  });
});
