import { rmSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { createScratch, type Scratch } from './fixtures/scratch.ts';

/** A repository and a run with a snapshot in it. */
async function recordedRun(): Promise<Scratch> {
  const scratch = createScratch({
    'conductor.yaml': 'jobs: {}\n',
    'a.txt': 'one\n',
    '.gitignore': '.conductor\n',
  });
  scratch.git('init', '--quiet', '--initial-branch=main');
  scratch.git('add', '--all');
  scratch.git('commit', '--quiet', '--message=start');
  await scratch.conductor('exec', '--', 'sh', '-c', 'echo two > a.txt');
  return scratch;
}

describe('conductor runs prune', () => {
  test('given runs with snapshots, their refs go with them, and a dry run leaves both', async () => {
    const scratch = await recordedRun();

    const dry = await scratch.conductor('runs', 'prune', '--max-runs', '0', '--dry-run');
    const before = scratch.git('for-each-ref', 'refs/conductor');
    const pruned = await scratch.conductor('runs', 'prune', '--max-runs', '0');

    expect(dry.exitCode).toBe(0);
    expect(before).toContain('refs/conductor/');
    expect(pruned.stdout).toContain('removed 1 run, ');
    expect(scratch.git('for-each-ref', 'refs/conductor')).toBe('');
  });

  test('given a repository that another git has locked, the run stays until its refs can go', async () => {
    const scratch = await recordedRun();
    const lock = path.join(scratch.dir, '.git/packed-refs.lock');
    scratch.write({ '.git/packed-refs.lock': '' });

    const locked = await scratch.conductor('runs', 'prune', '--max-runs', '0');
    rmSync(lock);
    const free = await scratch.conductor('runs', 'prune', '--max-runs', '0');

    expect(locked.stdout).toContain('removed 0 runs');
    expect(free.stdout).toContain('removed 1 run, ');
    expect(scratch.git('for-each-ref', 'refs/conductor')).toBe('');
  });

  test('given a repository that is gone, the run goes all the same', async () => {
    const scratch = await recordedRun();
    rmSync(path.join(scratch.dir, '.git'), { recursive: true });

    const pruned = await scratch.conductor('runs', 'prune', '--max-runs', '0');

    expect(pruned.stdout).toContain('removed 1 run, ');
  });
});
