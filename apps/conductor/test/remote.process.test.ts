import { readFileSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { callCli } from './fixtures/cli.ts';
import { TIMES } from './fixtures/daemon.ts';
import { createScratch, type Scratch, until } from './fixtures/scratch.ts';

/** A step may take long to start where many tests run at once, and must not lose its lease over that. */
const CONFIG = `${TIMES.replace(/jobLeaseMs: \d+/, 'jobLeaseMs: 20000')}localApiPort: 0
jobs:
  hello: { command: "echo one; echo two >&2; printf 'é'; sleep 0.3; echo ' three'" }
  wait: { command: "touch waits; echo waiting; exec sleep 100" }
  cat: { command: cat }
  change: { command: "echo two >> a.txt" }
  nightly: { command: "true", schedule: { cron: "0 3 * * *" } }
`;

interface Setup {
  readonly here: Scratch;
  /** Runs conductor in an empty directory of its own, against the daemon of `here`. */
  there(...args: readonly string[]): ReturnType<Scratch['conductor']>;
  readonly daemon: ReturnType<Scratch['start']>;
  readonly url: string;
}

async function setup(): Promise<Setup> {
  const here = createScratch({ 'conductor.yaml': CONFIG });
  const elsewhere = createScratch();
  const daemon = here.start('start');
  const url = await until('the API listens', async () => {
    const { stdout } = await here.conductor('status', '--json');
    const status = JSON.parse(stdout) as {
      readonly answeredBy: string | null;
      readonly nodes: readonly { readonly apiUrl: string | null }[];
    };
    return status.answeredBy === null ? undefined : (status.nodes[0]?.apiUrl ?? undefined);
  });
  const token = readFileSync(path.join(here.dir, '.conductor', 'token'), 'utf8').trim();
  elsewhere.write({ token: `${token}\n` });
  return {
    here,
    daemon,
    url,
    there: (...args) => elsewhere.conductor(...args, '--api', url, '--shared-token-file', 'token'),
  };
}

describe('--api', () => {
  test('given a daemon elsewhere, commands say of it what they say on its machine', async () => {
    const { here, there } = await setup();
    expect(await there('enqueue', 'hello', '--watermark', '7')).toMatchObject({
      exitCode: 0,
      stdout: 'hello: watermark 7, due now\n',
    });
    await until('it has run', async () =>
      (await there('jobs', 'show', 'hello')).stdout.includes('last success 7'),
    );

    for (const command of [
      ['jobs', 'list'],
      ['jobs', 'show', 'hello'],
      ['jobs', 'attempts', 'hello'],
      ['runs', 'list'],
      ['runs', 'show', 'hello'],
      ['runs', 'events', 'last'],
      ['checkpoints', 'list', 'hello'],
      ['checkpoints', 'show', 'hello', '1'],
      ['store', 'stats'],
      ['why', 'hello'],
      ['why', 'nightly', '--at', '2027-03-28T03:00:00Z'],
    ]) {
      const [local, remote] = [await here.conductor(...command, '--json'), await there(...command, '--json')];
      expect([command, remote.exitCode, JSON.parse(remote.stdout)]).toEqual([
        command,
        0,
        JSON.parse(local.stdout),
      ]);
    }
    for (const command of ['status', 'nodes', 'leader', 'forecast']) {
      expect([command, (await there(command)).exitCode]).toEqual([command, 0]);
    }
    expect((await there('status')).stdout).toContain('✓ http api');
    expect((await there('forecast', '--hours', '48')).stdout).toContain('nightly');
  });

  test('given a run elsewhere, its log is the same as there, whole, by its end, and with times', async () => {
    const { here, there } = await setup();
    await there('enqueue', 'hello');
    await until('it has run', async () => (await there('jobs', 'show', 'hello')).stdout.includes('done'));

    for (const flags of [[], ['--tail', '2'], ['--channel', 'stderr'], ['-f'], ['-f', '--tail', '1']]) {
      const [local, remote] = [
        await here.conductor('runs', 'logs', 'hello', ...flags),
        await there('runs', 'logs', 'hello', ...flags),
      ];
      expect([flags, remote.stdout.split('\n').toSorted()]).toEqual([
        flags,
        local.stdout.split('\n').toSorted(),
      ]);
    }
    const timed = await there('runs', 'logs', 'hello', '--timestamps', '--channel', 'stdout');
    expect(timed.stdout).toMatch(/^\S+Z one\n\S+Z é three\n$/);
  });

  test('given a run elsewhere that changed files, its patch and its checkpoints are the same as there', async () => {
    const { here, there } = await setup();
    here.git('init', '--quiet', '--initial-branch=main');
    here.write({ 'a.txt': 'one\n', '.gitignore': 'conductor.yaml\n' });
    here.git('add', '.gitignore', 'a.txt');
    here.git('commit', '--quiet', '--message=start');
    await there('enqueue', 'change');
    await until('it has run', async () => (await there('jobs', 'show', 'change')).stdout.includes('done'));

    for (const command of [
      ['runs', 'diff', 'change'],
      ['runs', 'diff', 'change', '--stat'],
      ['runs', 'diff', 'change', '--json'],
      ['checkpoints', 'list', 'change', '--json'],
      ['checkpoints', 'show', 'change'],
    ]) {
      const [local, remote] = [await here.conductor(...command), await there(...command)];
      expect([command, remote.exitCode, remote.stdout]).toEqual([command, 0, local.stdout]);
    }
    expect((await there('runs', 'diff', 'change')).stdout).toContain('\n+two\n');
    const unknown = await there('checkpoints', 'show', 'change', '99');
    expect(unknown).toMatchObject({ exitCode: 2 });
    expect(unknown.stderr).toContain('Cannot find checkpoint "99"');
  });

  test('given a running step, runs cancel ends it, and following it ends with it', async () => {
    const { here, there } = await setup();
    await there('enqueue', 'wait');
    await until('it waits', async () => (await there('runs', 'show', 'wait')).stdout.includes('running'));
    const followed = there('runs', 'logs', 'wait', '-f');

    const cancelled = await there('runs', 'cancel', 'wait');

    expect(cancelled.stdout).toBe('wait: its owner is asked to stop\n');
    expect(await followed).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^waiting\n/),
    });
    expect((await here.conductor('runs', 'show', 'wait')).stdout).toContain('cancelled');
    const again = await there('runs', 'cancel', 'wait');
    expect(again).toMatchObject({ exitCode: 1 });
    expect(again.stderr).toContain('no running job has its task');
  });

  test('given input, the job that is enqueued carries it', async () => {
    const { here, there } = await setup();
    here.write({ 'input.json': '{"file": "a.md"}' });
    expect((await here.conductor('jobs', 'pause')).exitCode).toBe(0);

    await here.conductor('enqueue', 'cat', '--input', 'input.json');
    const broken = await here.conductor('enqueue', 'cat', '--input', 'conductor.yaml');

    const { stdout } = await there('jobs', 'show', 'cat', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ job: { payload: { input: { file: 'a.md' } } } });
    expect(broken.exitCode).toBe(2);
    expect(broken.stderr).toContain('expected a file of JSON');
  });

  test('given a wrong address, no token or a wrong one, it says so and asks nobody else', async () => {
    const { url } = await setup();
    const elsewhere = createScratch({ wrong: 'a-wrong-token-that-is-long-enough-to-be-one\n' });

    const noToken = await elsewhere.conductor('status', '--api', url);
    const wrong = await elsewhere.conductor('status', '--api', url, '--shared-token-file', 'wrong');
    const noUrl = await elsewhere.conductor('status', '--api', 'build-box', '--shared-token-file', 'wrong');
    const nobody = await elsewhere.conductor(
      'nodes',
      '--api',
      'http://127.0.0.1:1',
      '--shared-token-file',
      'wrong',
    );

    expect(noToken).toMatchObject({ exitCode: 1, stdout: '' });
    expect(noToken.stderr).toContain('there is no token to send');
    expect(wrong.stderr).toContain('its bearer token is another one');
    expect(noUrl).toMatchObject({ exitCode: 2 });
    expect(noUrl.stderr).toContain('expected a URL');
    expect(nobody.stderr).toContain('Cannot reach "http://127.0.0.1:1"');
    expect(nobody).toMatchObject({ exitCode: 1, stdout: '' });
  });
});

describe('CONDUCTOR_API', () => {
  test('given a daemon elsewhere, what works on the files here says so; what asks the daemon does not', async () => {
    const { url, here } = await setup();
    const token = readFileSync(path.join(here.dir, '.conductor', 'token'), 'utf8').trim();
    const env = { CONDUCTOR_API: url, CONDUCTOR_SHARED_TOKEN: token };
    const elsewhere = createScratch();

    const local = await callCli(elsewhere.dir, ['store', 'migrate'], env);
    const remote = await callCli(elsewhere.dir, ['status', '--json'], env);

    expect(local.stderr).toContain('migrate works on the files here');
    expect(remote.stderr).toBe('');
    expect(JSON.parse(remote.stdout)).toMatchObject({
      store: path.join(here.dir, '.conductor', 'conductor.db'),
    });
  });
});

describe('conductor status', () => {
  test('given a daemon here, it answers with its check-list; once it is gone the store is read, and that is said', async () => {
    const { here, daemon } = await setup();
    const live = await here.conductor('status');

    daemon.child.kill('SIGTERM');
    await daemon.ended;
    const gone = await here.conductor('status');

    expect(live.stdout).toMatch(/is made of\n {2}✓ /);
    expect(live.stdout).not.toContain('read from the store');
    expect(gone.stdout).toContain('read from the store: no daemon is up here');
    expect(gone.stdout).not.toContain('✓');
  });

  test('given a daemon that answers with a refusal, the store is read, and the refusal is said', async () => {
    const { here, url } = await setup();

    const { stdout, exitCode } = await here.conductor('status', '--shared-token', 'x'.repeat(32));

    expect(exitCode).toBe(0);
    expect(stdout).toContain(`the daemon at ${url} refused, Cannot take the request: its bearer token`);
  });

  test('given a daemon that is stopped in its tracks, the store is read, and that is said', async () => {
    const { here, daemon, url } = await setup();

    daemon.child.kill('SIGSTOP');
    const { stdout, exitCode } = await here.conductor('status');

    expect(exitCode).toBe(0);
    expect(stdout).toContain(`the daemon at ${url} did not answer`);
  });
});
