import { readFileSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { createScratch, until } from './fixtures/scratch.ts';

describe('conductor init', () => {
  test('given an empty folder, what it writes works as it stands: manual, scheduled and watched', async () => {
    const scratch = createScratch();

    const { exitCode, stdout } = await scratch.conductor('init');
    const check = await scratch.conductor('config', 'check', '--json');
    const hello = await scratch.conductor('run', 'hello');
    const nightly = await scratch.conductor('run', 'nightly');
    const forecast = await scratch.conductor('forecast');
    scratch.write({ 'notes/one.md': 'three short words\n' });
    scratch.start('start', '--timed-jobs-interval-ms', '100', '--timed-jobs-settle-delay-ms', '100');
    const words = await until('the watched job ran', async () => {
      const shown = await scratch.conductor('runs', 'logs', 'words');
      return shown.stdout.trim() === '3' ? shown : undefined;
    });

    expect(exitCode).toBe(0);
    expect(stdout).toContain('conductor run hello');
    expect(JSON.parse(check.stdout)).toMatchObject({ isUsable: true, jobs: ['hello', 'nightly', 'words'] });
    expect(hello.stdout).toBe('hello from conductor, attempt 1\n');
    expect(nightly.stdout).toBe('first\nsecond\n');
    expect(forecast.stdout).toContain('nightly');
    expect(words.exitCode).toBe(0);
  });

  test('given a config that is there, it is left alone', async () => {
    const scratch = createScratch({ 'conductor.yaml': '# mine\n' });

    const { exitCode, stderr } = await scratch.conductor('init', '--json');

    expect(exitCode).toBe(2);
    expect(stderr).toContain('it exists already');
    expect(readFileSync(path.join(scratch.dir, 'conductor.yaml'), 'utf8')).toBe('# mine\n');
  });
});
