import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { createRealClock } from '@conductor-run/clock';
import { describe, expect, test } from 'vitest';

import { createScratch, until } from './fixtures/scratch.ts';

const clock = createRealClock();

/** A repository with a config in its root. */
function setup(config: string) {
  const scratch = createScratch({ 'conductor.yaml': config, 'a.txt': 'one\n' });
  scratch.git('init', '--quiet', '--initial-branch=main');
  scratch.git('add', '--all');
  scratch.git('commit', '--quiet', '--message=start');
  return scratch;
}

interface JobRow {
  readonly kind: string;
  readonly status: string;
  readonly attempt: number;
  readonly inputWatermark: number;
  readonly lastSuccessWatermark: number;
  readonly lastError?: string;
  readonly leaseUntilMs?: number | null;
}

async function jobsOf(scratch: ReturnType<typeof createScratch>): Promise<readonly JobRow[]> {
  const { stdout } = await scratch.conductor('jobs', 'list', '--json');
  return (JSON.parse(stdout) as { jobs: readonly JobRow[] }).jobs;
}

describe('conductor run', () => {
  test('given a tmpDir, steps get it as TMPDIR, made for them; a job that sets its own keeps it', async () => {
    const scratch = setup(`tmpDir: scratch
jobs:
  ours: { command: 'echo $TMPDIR; touch $TMPDIR/x' }
  own: { command: 'echo $TMPDIR', env: { set: { TMPDIR: /own } } }
`);

    const ours = await scratch.conductor('run', 'ours');
    const own = await scratch.conductor('run', 'own');

    expect([ours.stdout, own.stdout]).toEqual([`${scratch.dir}/scratch\n`, '/own\n']);
    expect(existsSync(path.join(scratch.dir, 'scratch/x'))).toBe(true);
  });

  test('given arguments, a shell line has them as "$@", a list is followed by them, and only of one step', async () => {
    const scratch = setup(`jobs:
  line: { command: 'echo "$#:$0"; printf "<%s>" "$@"' }
  list: { command: [printf, '[%s]', own] }
  two: { steps: [{ name: a, command: touch ran }, { name: b, command: 'true' }] }
`);

    const line = await scratch.conductor('run', 'line', '--', '--key', "it's two", '$HOME');
    const list = await scratch.conductor('run', 'list', '--key', 'k', '--', '-x', 'a b');
    const two = await scratch.conductor('run', 'two', 'x');

    expect(line).toMatchObject({ exitCode: 0, stdout: "3:/bin/sh\n<--key><it's two><$HOME>" });
    expect(list).toMatchObject({ exitCode: 0, stdout: '[own][-x][a b]' });
    expect(two.exitCode).toBe(2);
    expect(two.stderr).toContain('Cannot pass arguments to job "two": it has 2 steps, expected one');
    expect(existsSync(path.join(scratch.dir, 'ran'))).toBe(false);
  });

  test('given two steps and a work tree, both run in it in order and the user’s own tree stays as it is', async () => {
    const scratch = setup(`jobs:
  two:
    worktree: { base: main }
    steps:
      - { name: first, command: "echo two >> a.txt; echo first" }
      - { name: second, command: "wc -l < a.txt" }
`);

    const result = await scratch.conductor('run', 'two');

    expect(result.exitCode).toBe(0);
    expect(result.stdout.replaceAll(' ', '')).toBe('first\n2\n');
    expect(readFileSync(path.join(scratch.dir, 'a.txt'), 'utf8')).toBe('one\n');
    expect(scratch.git('status', '--porcelain')).toBe('');
    expect(result.stderr).toContain('Work tree kept');
  });

  test('given a work tree that takes longer to make than a lease lasts, the lease is renewed meanwhile and the job runs once', async () => {
    const scratch = setup(`jobLeaseMs: 3000
jobs:
  tree: { command: cat a.txt, worktree: { base: main } }
`);
    const gate = path.join(scratch.dir, '../gate');
    execFileSync('mkfifo', [gate]);
    scratch.write({ '.gitattributes': 'a.txt filter=slow\n' });
    scratch.git('add', '.gitattributes');
    scratch.git('commit', '--quiet', '--message=slow');
    // Checking the file out waits until somebody opens the gate.
    scratch.git('config', 'filter.slow.smudge', `cat '${gate}' >&2; cat`);
    const leaseOf = async () => (await jobsOf(scratch))[0]?.leaseUntilMs ?? undefined;

    const running = scratch.start('run', 'tree');
    const firstUntilMs = await until('it is claimed', leaseOf);
    await until(
      'the first lease is over and another one runs',
      async () => clock.nowMs() > firstUntilMs && ((await leaseOf()) ?? 0) > clock.nowMs(),
    );
    writeFileSync(gate, '');

    expect(await running.ended).toMatchObject({ exitCode: 0, stdout: 'one\n' });
    expect(await jobsOf(scratch)).toMatchObject([{ status: 'done', attempt: 1 }]);
  });

  test('given a first step that fails, the second does not run, and the job holds its error', async () => {
    const scratch = setup(`jobs:
  two:
    steps:
      - { name: first, command: exit 7 }
      - { name: second, command: touch second-ran }
`);

    const result = await scratch.conductor('run', 'two');

    expect(result.exitCode).toBe(7);
    expect(existsSync(path.join(scratch.dir, 'second-ran'))).toBe(false);
    expect(await jobsOf(scratch)).toMatchObject([
      { job: 'two', status: 'error', lastError: 'first: Failed with exit code 7' },
    ]);
  });

  test('given a job that runs already, it is refused with 75 and does not run once more afterwards', async () => {
    const scratch = setup(
      'jobs:\n  slow:\n    command: "touch started; while [ ! -e go ]; do sleep 0.05; done"\n',
    );
    const first = scratch.start('run', 'slow');
    await until('the first run has started', () => existsSync(path.join(scratch.dir, 'started')));

    const second = await scratch.conductor('run', 'slow');
    scratch.write({ go: '' });
    const ended = await first.ended;

    expect(second.exitCode).toBe(75);
    expect(second.stderr).toMatch(/: already running \(look again in [\d.]+s\), expected it to be free/);
    expect(ended.exitCode).toBe(0);
    expect(await jobsOf(scratch)).toMatchObject([{ status: 'done', attempt: 1, inputWatermark: 1 }]);
  });

  test('given a paused job, it is refused with 75 and nothing of it waits to run later', async () => {
    const scratch = setup('jobs:\n  quiet:\n    command: touch ran\n');
    await scratch.conductor('jobs', 'pause', 'quiet');

    const result = await scratch.conductor('run', 'quiet');

    expect(result.exitCode).toBe(75);
    expect(result.stderr).toContain('paused');
    expect(await jobsOf(scratch)).toEqual([]);
  });

  test('given an unknown job, it suggests the nearest name and exits with 2', async () => {
    const scratch = setup('jobs:\n  nightly:\n    command: "true"\n');

    const result = await scratch.conductor('run', 'nigthly');

    expect(result.exitCode).toBe(2);
    expect(result.stderr).toContain('Did you mean "nightly"?');
  });

  test('given a secret, its value is in no file of the record and not on the terminal', async () => {
    const scratch = setup(`jobs:
  leaky:
    command: "echo token=$API_TOKEN"
    env: { set: { API_TOKEN: correct-horse-battery }, secrets: [API_TOKEN] }
`);

    const result = await scratch.conductor('run', 'leaky');
    const found = await scratch.conductor('exec', '--', 'grep', '-rl', 'correct-horse-battery', '.conductor');

    expect(result.stdout).toBe('token=[redacted:API_TOKEN]\n');
    // grep finds nothing but its own arguments, which the record of the second run holds.
    expect(found.stdout.split('\n').filter((file) => !file.includes('/exec-'))).toEqual(['']);
  });

  test('given a worktree job outside of a repository, it says what to do and leaves the attempt ended', async () => {
    const scratch = createScratch({
      'conductor.yaml': 'jobs:\n  a:\n    command: "true"\n    worktree: {}\n',
    });

    const result = await scratch.conductor('run', 'a');

    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain('not in a git repository');
    expect(await jobsOf(scratch)).toMatchObject([{ job: 'a', status: 'error' }]);
  });
});
