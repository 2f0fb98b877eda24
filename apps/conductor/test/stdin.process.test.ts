import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, onTestFinished, test } from 'vitest';

import { createScratch, type Scratch, until } from './fixtures/scratch.ts';

const BIN = path.join(import.meta.dirname, '../src/bin.ts');

/** Conductor with a pipe for its standard input. */
function startWithInput({ dir }: Scratch, ...args: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', BIN, ...args], {
    cwd: dir,
    env: { PATH: process.env['PATH'], HOME: path.dirname(dir) },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

async function outputOf(child: ChildProcess): Promise<{ stdout: Buffer; stderr: string; exitCode: number }> {
  const [out, err]: [Buffer[], Buffer[]] = [[], []];
  child.stdout?.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => err.push(chunk));
  const exitCode = await new Promise<number>((resolve) => {
    child.once('close', (code) => resolve(code ?? -1));
  });
  return { stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString(), exitCode };
}

describe('standard input', () => {
  test('given bytes that are piped into exec, the step reads them, each one', async () => {
    const scratch = createScratch();
    const bytes = randomBytes(3_000_000);
    const child = startWithInput(scratch, 'exec', '--', 'cat');

    child.stdin?.end(bytes);
    const { stdout, exitCode } = await outputOf(child);

    expect(exitCode).toBe(0);
    expect(stdout.equals(bytes)).toBe(true);
  });

  test('given a pipe that stays open, the step reads what comes as it comes', async () => {
    const scratch = createScratch();
    const child = startWithInput(
      scratch,
      'exec',
      '--',
      'sh',
      '-c',
      'read one; echo "$one" > one; read two; echo "$two" > two',
    );
    const ended = outputOf(child);

    child.stdin?.write('first\n');
    await until('the first line was read', () => readIfThere(scratch, 'one') === 'first\n');
    child.stdin?.write('second\n');

    expect((await ended).exitCode).toBe(0);
    expect(readIfThere(scratch, 'two')).toBe('second\n');
  });

  test('given conductor killed while the step reads, the step reads on', async () => {
    const scratch = createScratch();
    const child = startWithInput(
      scratch,
      'exec',
      '--',
      'sh',
      '-c',
      'read one; echo "$one" > one; read two; echo "$two" > two',
    );
    child.stdin?.write('first\n');
    await until('the first line was read', () => readIfThere(scratch, 'one') === 'first\n');

    child.kill('SIGKILL');
    child.stdin?.write('second\n');

    const second = await until(
      'the second line was read',
      () => readIfThere(scratch, 'two')?.includes('\n') === true,
    );
    expect([second, readIfThere(scratch, 'two')]).toEqual([true, 'second\n']);
  });

  test('given a terminal or nothing as standard input, the step reads nothing and ends', async () => {
    const scratch = createScratch();

    expect(await scratch.conductor('exec', '--', 'cat')).toMatchObject({ exitCode: 0, stdout: '' });
  });

  test('given a job that is run, --input gives each step the JSON, and what is piped in without it is not lost in silence', async () => {
    const scratch = createScratch({
      'conductor.yaml': 'jobs:\n  two: { steps: [{ name: a, command: cat }, { name: b, command: cat }] }\n',
      'input.json': '{"n":1}',
    });
    const piped = startWithInput(scratch, 'run', 'two', '--input', '-');
    piped.stdin?.end('[2]');

    expect((await outputOf(piped)).stdout.toString()).toBe('[2]\n[2]\n');
    expect((await scratch.conductor('run', 'two', '--input', 'input.json')).stdout).toBe(
      '{"n":1}\n{"n":1}\n',
    );
    const unread = startWithInput(scratch, 'run', 'two', '--key', 'other');
    unread.stdin?.end('lost');
    const { stdout, stderr, exitCode } = await outputOf(unread);
    expect({ stdout: stdout.toString(), exitCode }).toEqual({ stdout: '', exitCode: 0 });
    expect(stderr).toContain('standard input is not passed to a job; --input - does, as JSON');
  });
});

describe('--json of what runs in the foreground', () => {
  test.for(['exec', 'run'] as const)(
    'given %s, stdout is the document alone and the output of the step is on stderr',
    async (command) => {
      const scratch = createScratch({
        'conductor.yaml': 'jobs:\n  loud: { command: "echo \'{ out\'; echo err >&2; exit 3" }\n',
      });
      const args = command === 'run' ? ['loud'] : ['--', 'sh', '-c', "echo '{ out'; echo err >&2; exit 3"];

      const { stdout, stderr, exitCode } = await scratch.conductor(command, '--json', ...args);

      expect(exitCode).toBe(3);
      expect(JSON.parse(stdout)).toMatchObject({ recorded: 'failed' });
      expect(stderr).toContain('{ out\n');
      expect(stderr).toContain('err\n');
    },
  );
});

function readIfThere({ dir }: Scratch, name: string): string | undefined {
  const file = path.join(dir, name);
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}
