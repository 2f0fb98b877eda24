import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { createScratch, type Scratch, until } from './fixtures/scratch.ts';

/** The one run directory of a scratch. */
function runDirOf({ dir }: Scratch): string {
  const runs = path.join(dir, '.conductor', 'runs');
  const [task] = readdirSync(runs);
  const [run] = readdirSync(path.join(runs, task ?? ''));
  return path.join(runs, task ?? '', run ?? '');
}

function read(scratch: Scratch, file: string): string {
  return readFileSync(path.join(runDirOf(scratch), file), 'utf8');
}

describe('conductor exec', () => {
  test('given a command that prints and fails, it exits with its code and leaves a true record', async () => {
    const scratch = createScratch();

    const result = await scratch.conductor('exec', '--', 'sh', '-c', 'echo out; echo err >&2; exit 3');

    expect(result.exitCode).toBe(3);
    expect(result.stdout).toBe('out\n');
    expect(result.stderr).toContain('err\n');
    expect(read(scratch, 'stdout.log')).toBe('out\n');
    expect(read(scratch, 'stderr.log')).toBe('err\n');
    expect(JSON.parse(read(scratch, 'state.json'))).toMatchObject({ status: 'failed', exitCode: 3 });
    expect(JSON.parse(read(scratch, 'result.json'))).toMatchObject({ outcome: 'failed', exitCode: 3 });
  });

  test('given a command that succeeds, the job row is done under its watermark', async () => {
    const scratch = createScratch();

    await scratch.conductor('exec', 'true');
    const { stdout } = await scratch.conductor('jobs', 'list', '--json');

    const { jobs } = JSON.parse(stdout) as { jobs: unknown[] };
    expect(jobs).toMatchObject([
      {
        job: 'exec',
        status: 'done',
        inputWatermark: 1,
        lastSuccessWatermark: 1,
        isDirty: false,
        attempt: 1,
      },
    ]);
  });

  test('given a command in a git work tree, the diff it leaves applies to a fresh checkout', async () => {
    const scratch = createScratch({ 'a.txt': 'one\n' });
    scratch.git('init', '--quiet');
    scratch.git('add', '--all');
    scratch.git('commit', '--quiet', '--message=start');

    await scratch.conductor('exec', '--', 'sh', '-c', 'echo two >> a.txt; printf "\\000\\001" > b.bin');
    const diff = await scratch.conductor('runs', 'diff', 'last');

    scratch.write({ 'change.patch': diff.stdout });
    scratch.git('worktree', 'add', '--quiet', '--detach', 'fresh');
    scratch.git('-C', 'fresh', 'apply', '--binary', '../change.patch');
    expect(readFileSync(path.join(scratch.dir, 'fresh', 'a.txt'), 'utf8')).toBe('one\ntwo\n');
    expect([...readFileSync(path.join(scratch.dir, 'fresh', 'b.bin'))]).toEqual([0, 1]);
  });

  test('given a program that does not exist, it says so and exits with 126', async () => {
    const scratch = createScratch();

    const result = await scratch.conductor('exec', '--', 'no-such-program-anywhere');

    expect(result.exitCode).toBe(126);
    expect(result.stderr).toContain('no-such-program-anywhere');
  });

  test('given a time limit that runs out, it exits with 124', async () => {
    const scratch = createScratch();

    const result = await scratch.conductor('exec', '--timeout', '200ms', '--', 'sleep', '60');

    expect(result.exitCode).toBe(124);
    expect(JSON.parse(read(scratch, 'state.json'))).toMatchObject({ status: 'timed_out' });
  });

  test('given SIGINT while the step runs, it ends the whole tree, records it as cancelled and exits with 130', async () => {
    const scratch = createScratch();
    const { child, ended } = scratch.start('exec', '--', 'sh', '-c', 'sleep 61 & echo $! > pid; wait');
    const pid = await until('the step has started its child', () => readPid(scratch));

    child.kill('SIGINT');
    const result = await ended;

    expect(result.exitCode).toBe(130);
    expect(JSON.parse(read(scratch, 'state.json'))).toMatchObject({ status: 'cancelled' });
    expect(isRunning(pid)).toBe(false);
  });

  test('given an option of the command itself, it is passed on and not read by conductor', async () => {
    const scratch = createScratch();

    const result = await scratch.conductor('exec', 'sh', '-c', 'echo "$0 $1"', '--json', '--help');

    expect(result).toMatchObject({ exitCode: 0, stdout: '--json --help\n' });
  });
});

/** A zombie that nobody has reaped yet runs no more. */
function isRunning(pid: number): boolean {
  const { stdout } = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' });
  return stdout.trim() !== '' && !stdout.trim().startsWith('Z');
}

function readPid(scratch: Scratch): number | undefined {
  try {
    const text = readFileSync(path.join(scratch.dir, 'pid'), 'utf8');
    return text.endsWith('\n') ? Number(text) : undefined;
  } catch {
    return undefined;
  }
}
