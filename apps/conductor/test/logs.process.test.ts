import { existsSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { createScratch, until } from './fixtures/scratch.ts';

const WAITS = 'echo one; echo oops >&2; touch started; while [ ! -e go ]; do sleep 0.05; done; echo two';

describe('conductor runs logs', () => {
  test('given a live run of another process, -f shows what was and what comes, and ends with the run', async () => {
    const scratch = createScratch();
    const run = scratch.start('exec', '--', 'sh', '-c', WAITS);
    await until('the step has printed', () => existsSync(path.join(scratch.dir, 'started')));
    const reader = scratch.start('runs', 'logs', 'last', '-f', '--channel', 'stdout');
    const seen = await new Promise<string>((resolve) => {
      reader.child.stdout?.once('data', (chunk: Buffer) => resolve(chunk.toString('utf8')));
    });

    scratch.write({ go: '' });
    const result = await reader.ended;

    expect(seen).toBe('one\n');
    expect(result).toMatchObject({ exitCode: 0, stdout: 'one\ntwo\n' });
    expect((await run.ended).exitCode).toBe(0);
  });

  test('given Ctrl-C while following, only the reading ends', async () => {
    const scratch = createScratch();
    const run = scratch.start('exec', '--', 'sh', '-c', WAITS);
    await until('the step has printed', () => existsSync(path.join(scratch.dir, 'started')));
    const reader = scratch.start('runs', 'logs', 'last', '--follow');
    await new Promise((resolve) => {
      reader.child.stdout?.once('data', resolve);
    });

    reader.child.kill('SIGINT');
    const result = await reader.ended;
    scratch.write({ go: '' });

    expect(result.exitCode).toBe(0);
    expect((await run.ended).exitCode).toBe(0);
  });

  test('given an ended run, --tail, --channel, --timestamps and --no-color choose and dress its lines', async () => {
    const scratch = createScratch();
    await scratch.conductor(
      'exec',
      '--',
      'sh',
      '-c',
      'printf "a\\n\\033[31mred\\033[0m\\nlast"; echo err >&2',
    );

    const bytes = await scratch.conductor('runs', 'logs', 'last', '--channel', 'stdout');
    const tail = await scratch.conductor(
      'runs',
      'logs',
      'last',
      '--channel',
      'stdout',
      '--tail',
      '2',
      '--no-color',
    );
    const stamped = await scratch.conductor('runs', 'logs', 'last', '--channel', 'stderr', '--timestamps');

    expect(bytes.stdout).toBe('a\n\u001B[31mred\u001B[0m\nlast');
    expect(tail.stdout).toBe('red\nlast\n');
    expect(stamped.stdout).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z err\n$/);
  });

  test('given a selector that matches nothing, it names what was expected', async () => {
    const scratch = createScratch();

    const result = await scratch.conductor('runs', 'logs', 'nothing-like-this');

    expect(result.exitCode).toBe(2);
    expect(result.stderr).toContain('Cannot find run "nothing-like-this"');
  });
});
