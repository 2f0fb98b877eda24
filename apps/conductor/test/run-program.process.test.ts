import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { createRealClock } from '@conductor-run/clock';
import { describe, expect, test } from 'vitest';

import { type ProgramResult, runProgram } from '../src/daemon/run-program.ts';
import { createScratch, until } from './fixtures/scratch.ts';

const TIMEOUT_MS = 60_000;

function setup(timeoutMs = TIMEOUT_MS) {
  const { dir } = createScratch();
  const abort = new AbortController();
  const run = (command: string): Promise<ProgramResult> =>
    runProgram({
      command,
      cwd: dir,
      env: { PATH: process.env['PATH'] ?? '' },
      timeoutMs,
      signal: abort.signal,
      clock: createRealClock(),
    });
  return { dir, abort, run };
}

describe('a program of the user', () => {
  test('given one that ends and leaves a session of its own holding a pipe, its answer counts at once', async () => {
    const { run } = setup();

    const result = await run('setsid sleep 600 > /dev/null & echo 7');

    expect(result).toEqual({ exitCode: 0, failure: undefined, stdout: '7\n' });
  });

  test('given one that takes too long beside such a session, it is over all the same', async () => {
    const { run } = setup(200);

    const result = await run('setsid sleep 600 & sleep 600');

    expect(result.failure).toBe('took longer than 200 ms');
  });

  test('given such a session when conductor stops, the program is gone and nobody is waited for', async () => {
    const { run, abort, dir } = setup();
    const running = run('setsid sleep 600 & echo $$ > pid.new; mv pid.new pid; sleep 600');
    await until('it runs', () => existsSync(path.join(dir, 'pid')));
    const pid = Number(readFileSync(path.join(dir, 'pid'), 'utf8'));

    abort.abort();
    const result = await running;

    expect(result.failure).toBe('was ended because conductor stops');
    await until('it is gone', () => !isAlive(pid));
  });

  test('given one that fails, what it said last is told', async () => {
    const { run } = setup();

    const result = await run('echo out; echo no such place >&2; exit 4');

    expect(result).toEqual({
      exitCode: 4,
      failure: 'ended with exit code 4: no such place',
      stdout: 'out\n',
    });
  });

  test('given one that is not there, it cannot be started', async () => {
    const { dir } = setup();

    const result = await runProgram({
      command: ['./nowhere'],
      cwd: dir,
      env: {},
      timeoutMs: TIMEOUT_MS,
      signal: new AbortController().signal,
      clock: createRealClock(),
    });

    expect(result).toMatchObject({ exitCode: null, failure: expect.stringContaining('cannot be started') });
  });

  test('given no file descriptor left, it cannot be started, and the caller goes on', () => {
    const fixture = path.join(import.meta.dirname, 'fixtures/starved-program.ts');

    const said = execFileSync('sh', ['-c', 'ulimit -n 256; exec "$0" "$1"', process.execPath, fixture], {
      encoding: 'utf8',
    });

    expect(said).toContain('cannot be started: spawn');
  });
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
