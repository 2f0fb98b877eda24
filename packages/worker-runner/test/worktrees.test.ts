import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, onTestFinished, test } from 'vitest';

import { createHost, listWorktrees, prepareWorktree, pruneWorktrees, removeWorktree } from '../src/index.ts';

const ENV = {
  PATH: process.env['PATH'],
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_SYSTEM: '/dev/null',
  GIT_AUTHOR_NAME: 'test',
  GIT_AUTHOR_EMAIL: 'test@example.invalid',
  GIT_COMMITTER_NAME: 'test',
  GIT_COMMITTER_EMAIL: 'test@example.invalid',
};

/** A repository with one commit, and a folder for work trees beside it. */
function setup() {
  const top = realpathSync(mkdtempSync(join(tmpdir(), 'worktrees-')));
  onTestFinished(() => rmSync(top, { recursive: true, force: true }));
  const repoRoot = join(top, 'repo');
  const root = join(top, 'trees');
  const git = (cwd: string, ...args: readonly string[]) =>
    execFileSync('git', args, { cwd, env: ENV, encoding: 'utf8' }).trim();
  git(top, 'init', '--quiet', '--initial-branch=main', 'repo');
  writeFileSync(join(repoRoot, 'a.txt'), 'one\n');
  git(repoRoot, 'add', '--all');
  git(repoRoot, 'commit', '--quiet', '--message=start');
  const host = { ...createHost(), env: { ...ENV, HOME: top } };
  const prepare = (name: string) =>
    prepareWorktree({ repoRoot, baseRef: 'main', path: join(root, name), name, host });
  const remove = (path: string, force = false) => removeWorktree({ repoRoot, path, force, host });
  return { top, repoRoot, root, git, host, prepare, remove };
}

describe('prepareWorktree', () => {
  test('given a base, it checks it out on a branch of its own and leaves the repository as it was', async () => {
    const { repoRoot, git, prepare } = setup();

    const worktree = await prepare('task-1');

    expect(worktree.branch).toBe('conductor/task-1');
    expect(worktree.baseCommit).toBe(git(repoRoot, 'rev-parse', 'main'));
    expect(readFileSync(join(worktree.path, 'a.txt'), 'utf8')).toBe('one\n');
    expect(git(repoRoot, 'branch', '--show-current')).toBe('main');
    expect(git(repoRoot, 'status', '--porcelain')).toBe('');
  });

  test('given 20 at once from one repository, all are made', async () => {
    const { prepare, repoRoot, host } = setup();

    await Promise.all(Array.from({ length: 20 }, (_, index) => prepare(`task-${index}`)));

    expect(await listWorktrees({ repoRoot, host })).toHaveLength(20);
  });

  test('given a hook in the repository, it is not run', async () => {
    const { top, repoRoot, prepare } = setup();
    const canary = join(top, 'canary');
    writeFileSync(join(repoRoot, '.git/hooks/post-checkout'), `#!/bin/sh\ntouch ${canary}\n`, {
      mode: 0o755,
    });

    await prepare('task-1');

    expect(existsSync(canary)).toBe(false);
  });

  test('given a path that is taken, it refuses and touches nothing', async () => {
    const { prepare } = setup();
    const { path } = await prepare('task-1');
    writeFileSync(join(path, 'mine.txt'), 'mine\n');

    await expect(prepare('task-1')).rejects.toMatchObject({ code: 'worktree-exists' });
    expect(readFileSync(join(path, 'mine.txt'), 'utf8')).toBe('mine\n');
  });

  test.for(['..', 'a/b', '-x', 'a..b', 'a.lock', '', 'x'.repeat(200)])(
    'given the name %j, it refuses before git is asked',
    async (name) => {
      const { prepare, root } = setup();

      await expect(prepare(name)).rejects.toThrow(TypeError);
      expect(existsSync(root)).toBe(false);
    },
  );

  test('given a set-up command that fails, the work tree and its branch are gone again', async () => {
    const { repoRoot, root, git, host } = setup();
    const setupCommands = [['sh', '-c', 'echo broken >&2; exit 3']];

    const preparing = prepareWorktree({
      repoRoot,
      baseRef: 'main',
      path: join(root, 't'),
      name: 't',
      setup: setupCommands,
      host,
    });

    await expect(preparing).rejects.toMatchObject({ code: 'worktree-setup-failed' });
    await expect(preparing).rejects.toThrow('broken');
    expect(existsSync(join(root, 't'))).toBe(false);
    expect(git(repoRoot, 'branch', '--list', 'conductor/*')).toBe('');
  });
});

describe('removeWorktree', () => {
  test('given one without changes, it goes with its branch', async () => {
    const { repoRoot, git, prepare, remove } = setup();
    const { path } = await prepare('t');

    expect(await remove(path)).toEqual({ outcome: 'removed' });
    expect(existsSync(path)).toBe(false);
    expect(git(repoRoot, 'branch', '--list', 'conductor/*')).toBe('');
  });

  test.for([
    ['an untracked file', (path: string) => writeFileSync(join(path, 'new.txt'), 'new\n')],
    ['a changed file', (path: string) => writeFileSync(join(path, 'a.txt'), 'two\n')],
    ['a deleted file', (path: string) => rmSync(join(path, 'a.txt'))],
  ] as const)('given %s, it stays, also when the user hides untracked files', async ([, change]) => {
    const { repoRoot, git, prepare, remove } = setup();
    git(repoRoot, 'config', 'status.showUntrackedFiles', 'no');
    const { path } = await prepare('t');
    change(path);

    expect(await remove(path)).toEqual({ outcome: 'kept', reason: 'uncommitted' });
    expect(existsSync(path)).toBe(true);
  });

  test('given a commit nothing else holds, it stays until a branch holds it', async () => {
    const { repoRoot, git, prepare, remove } = setup();
    const { path } = await prepare('t');
    writeFileSync(join(path, 'b.txt'), 'b\n');
    git(path, 'add', '--all');
    git(path, 'commit', '--quiet', '--message=work');

    const before = await remove(path);
    git(repoRoot, 'merge', '--quiet', 'conductor/t');
    const after = await remove(path);

    expect(before).toEqual({ outcome: 'kept', reason: 'unmerged' });
    expect(after).toEqual({ outcome: 'removed' });
  });

  test('given a commit on a detached HEAD, it stays', async () => {
    const { git, prepare, remove } = setup();
    const { path } = await prepare('t');
    git(path, 'checkout', '--quiet', '--detach');
    git(path, 'commit', '--quiet', '--allow-empty', '--message=lonely');

    expect(await remove(path)).toEqual({ outcome: 'kept', reason: 'unmerged' });
  });

  test('given force, it goes whatever it holds', async () => {
    const { prepare, remove } = setup();
    const { path } = await prepare('t');
    writeFileSync(join(path, 'new.txt'), 'new\n');

    expect(await remove(path, true)).toEqual({ outcome: 'removed' });
  });

  test('given a directory that is no work tree, it refuses', async () => {
    const { top, remove } = setup();

    await expect(remove(top)).rejects.toMatchObject({ code: 'worktree-not-found' });
  });
});

describe('pruneWorktrees', () => {
  test('given clean, changed and missing ones, only what holds nothing goes', async () => {
    const { repoRoot, root, git, host, prepare } = setup();
    const clean = await prepare('clean');
    const changed = await prepare('changed');
    const missing = await prepare('missing');
    writeFileSync(join(changed.path, 'new.txt'), 'new\n');
    rmSync(missing.path, { recursive: true });

    const planned = await pruneWorktrees({ repoRoot, root, host, dryRun: true });
    const done = await pruneWorktrees({ repoRoot, root, host });

    expect(planned.removed.map(({ path }) => path).toSorted()).toEqual([clean.path, missing.path]);
    expect(done.kept).toMatchObject([{ path: changed.path, keptFor: 'uncommitted' }]);
    expect(existsSync(clean.path)).toBe(false);
    expect(git(repoRoot, 'worktree', 'list').split('\n')).toHaveLength(2);
  });

  test('given a minimum age, younger ones stay', async () => {
    const { repoRoot, root, host, prepare } = setup();
    await prepare('young');

    const { removed, kept } = await pruneWorktrees({ repoRoot, root, host, olderThanMs: 3_600_000 });

    expect(removed).toEqual([]);
    expect(kept).toHaveLength(1);
  });
});
