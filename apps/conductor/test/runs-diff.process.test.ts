/** What `runs diff` says a run changed: that, and nothing its user had changed before. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';

import { expect, test } from 'vitest';

import { createScratch } from './fixtures/scratch.ts';

test('given a work tree with changes of its user, runs diff shows what the run changed alone, and git applies it', async () => {
  const scratch = createScratch();
  const git = (...args: string[]): string =>
    execFileSync('git', args, { cwd: scratch.dir, encoding: 'utf8' });
  git('init', '-q', '-b', 'main');
  git('config', 'user.name', 'T');
  git('config', 'user.email', 't@example.com');
  scratch.write({ 'f.txt': 'one\n', '.gitignore': '.conductor/\n' });
  git('add', '.');
  git('commit', '-qm', 'one');
  scratch.write({ 'f.txt': 'one\nmine\n', 'mine.txt': 'untracked\n' });

  await scratch.conductor('exec', '--', 'true');
  const nothing = await scratch.conductor('runs', 'diff', 'last');
  const noStat = await scratch.conductor('runs', 'diff', 'last', '--stat');
  await scratch.conductor('exec', '--', 'sh', '-c', 'echo step >> f.txt; printf "\\377\\000" > new.bin');
  const patch = await scratch.conductor('runs', 'diff', 'last');
  const stat = await scratch.conductor('runs', 'diff', 'last', '--stat');
  const json = await scratch.conductor('runs', 'diff', 'last', '--json');

  expect(nothing).toMatchObject({ exitCode: 0, stdout: '' });
  expect(noStat.stdout).toBe('0 files changed, 0 insertions, 0 deletions since the run began\n');
  expect(patch.stdout).toMatch(/^diff --git a\/f\.txt b\/f\.txt\n/);
  expect(patch.stdout).toContain('\n+step\n');
  expect(patch.stdout).not.toContain('+mine');
  expect(patch.stdout).not.toContain('mine.txt');
  expect(stat.stdout).toContain('2 files changed, 1 insertion, 0 deletions since the run began\n');
  expect(JSON.parse(json.stdout)).toMatchObject({
    startSeq: 2,
    files: [
      { path: 'f.txt', status: 'modified', insertions: 1 },
      { path: 'new.bin', status: 'added', insertions: null },
    ],
  });

  // Undone and done again, the work tree is what the run left.
  const left = readFileSync(path.join(scratch.dir, 'f.txt'), 'utf8');
  const input = patch.stdout;
  execFileSync('git', ['apply', '-R'], { cwd: scratch.dir, input });
  expect(readFileSync(path.join(scratch.dir, 'f.txt'), 'utf8')).toBe('one\nmine\n');
  execFileSync('git', ['apply'], { cwd: scratch.dir, input });
  expect(readFileSync(path.join(scratch.dir, 'f.txt'), 'utf8')).toBe(left);
  expect(readFileSync(path.join(scratch.dir, 'new.bin')).toString('hex')).toBe('ff00');
});
