/** Work trees come in parallel and go only when nothing is lost with them. */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { createManualClock } from '@conductor-run/clock';
import { describe, expect, onTestFinished, test } from 'vitest';

import { listWorktrees, prepareWorktree, pruneWorktrees, removeWorktree } from '../src/index.ts';
import { findChangeSince } from '../src/worktree-activity.ts';
import { commitIn, makeGitRepo, prepare } from './fixtures/git-repo.ts';

describe('prepareWorktree', () => {
  test('given one repository, when 20 are prepared in parallel, each has its own branch and files', async () => {
    const repo = makeGitRepo();
    const names = Array.from({ length: 20 }, (_, index) => `work-${index}`);

    const paths = await Promise.all(names.map((name) => prepare(repo, name)));

    for (const path of paths) expect(readFileSync(join(path, 'file.txt'), 'utf8')).toBe('one\n');
    const entries = await listWorktrees({ repoRoot: repo.root });
    expect(new Set(entries.map((entry) => entry.branch))).toEqual(
      new Set(names.map((name) => `conductor/${name}`)),
    );
    expect(repo.git(repo.root, 'config', '--list')).not.toContain('branch.conductor');
  });

  test('given setup commands, when one fails, the words are kept and nothing is left behind', async () => {
    const repo = makeGitRepo();
    const path = join(repo.beside, 'work');

    const preparing = prepareWorktree({
      repoRoot: repo.root,
      baseRef: 'main',
      path,
      name: 'work',
      setup: ['touch made', ['sh', '-c', 'test -e made && echo no such luck >&2; exit 4']],
    });

    await expect(preparing).rejects.toMatchObject({ code: 'worktree-setup-failed' });
    await expect(preparing).rejects.toThrow('no such luck');
    expect(existsSync(path)).toBe(false);
    expect(repo.git(repo.root, 'branch', '--list', 'conductor/*')).toBe('');
  });

  test('given a setup command that hangs, when its time is over, it is ended', async () => {
    const repo = makeGitRepo();

    const preparing = prepareWorktree({
      repoRoot: repo.root,
      baseRef: 'main',
      path: join(repo.beside, 'work'),
      name: 'work',
      setup: ['sleep 300 & sleep 300'],
      setupTimeoutSec: 0.2,
    });

    await expect(preparing).rejects.toThrow('took longer than 0.2 s');
  });

  test('given a taken path, branch or an unknown base, when asked, it refuses', async () => {
    const repo = makeGitRepo();
    const path = await prepare(repo, 'work');
    const options = { repoRoot: repo.root, baseRef: 'main', path, name: 'work' };

    await expect(prepareWorktree(options)).rejects.toMatchObject({ code: 'worktree-exists' });
    const elsewhere = { ...options, path: join(repo.beside, 'other') };
    await expect(prepareWorktree(elsewhere)).rejects.toMatchObject({ code: 'worktree-exists' });
    const unknown = { ...elsewhere, name: 'other', baseRef: 'nowhere' };
    await expect(prepareWorktree(unknown)).rejects.toMatchObject({ code: 'git-failed' });
    await expect(prepareWorktree({ ...elsewhere, name: '../x' })).rejects.toThrow(TypeError);
  });

  test('given a branch called "conductor", when asked, it refuses at once: no branch can be below it', async () => {
    const repo = makeGitRepo();
    repo.git(repo.root, 'branch', 'conductor');
    const clock = createManualClock();
    const path = join(repo.beside, 'work');

    // Waiting for a lock would take this clock for ever.
    const preparing = prepareWorktree({ repoRoot: repo.root, baseRef: 'main', path, name: 'work', clock });

    await expect(preparing).rejects.toMatchObject({ code: 'worktree-exists' });
    await expect(preparing).rejects.toThrow('such as "conductor"');
  });
});

describe('removeWorktree', () => {
  test('given nothing of its own, when removed, it goes with its branch', async () => {
    const repo = makeGitRepo();
    const path = await prepare(repo, 'work');

    await removeWorktree({ repoRoot: repo.root, path });

    expect(existsSync(path)).toBe(false);
    expect(repo.git(repo.root, 'branch', '--list', 'conductor/*')).toBe('');
  });

  test.for(['new.txt', 'file.txt'])(
    'given an uncommitted %s, when removed, it refuses until told to discard',
    async (name) => {
      const repo = makeGitRepo();
      const path = await prepare(repo, 'work');
      writeFileSync(join(path, name), 'changed\n');

      await expect(removeWorktree({ repoRoot: repo.root, path })).rejects.toMatchObject({
        code: 'worktree-dirty',
      });
      expect(readFileSync(join(path, name), 'utf8')).toBe('changed\n');

      await removeWorktree({ repoRoot: repo.root, path, discardUncommitted: true });
      expect(existsSync(path)).toBe(false);
    },
  );

  test('given commits of its own, when removed, it refuses until they are merged', async () => {
    const repo = makeGitRepo();
    const path = await prepare(repo, 'work');
    commitIn(repo, path);

    await expect(removeWorktree({ repoRoot: repo.root, path })).rejects.toMatchObject({
      code: 'worktree-unmerged',
    });
    expect(existsSync(join(path, 'new.txt'))).toBe(true);

    repo.git(repo.root, 'merge', '-q', '--ff-only', 'conductor/work');
    await removeWorktree({ repoRoot: repo.root, path });
    expect(existsSync(path)).toBe(false);
  });

  test('given commits of its own, when told to discard them, it goes', async () => {
    const repo = makeGitRepo();
    const path = await prepare(repo, 'work');
    commitIn(repo, path);

    await removeWorktree({ repoRoot: repo.root, path, discardUnmerged: true });

    expect(repo.git(repo.root, 'branch', '--list', 'conductor/*')).toBe('');
  });
});

describe('listWorktrees', () => {
  test('given a step that makes and removes directories, when listed, it answers', async () => {
    const repo = makeGitRepo();
    const path = await prepare(repo, 'work');
    const churn = 'while :; do mkdir -p m/a m/b m/c m/d m/e; rm -rf m; done';
    const child = spawn('sh', ['-c', churn], { cwd: path, stdio: 'ignore' });
    onTestFinished(() => void child.kill('SIGKILL'));

    for (let call = 0; call < 60; call += 1) {
      const [entry] = await listWorktrees({ repoRoot: repo.root });
      expect(entry).toMatchObject({ path, isMissing: false });
    }
  });

  test('given directories deeper than a path can name, when listed or asked for changes, both answer', async () => {
    const repo = makeGitRepo();
    const path = await prepare(repo, 'work');
    const name = 'd'.repeat(200);
    mkdirSync(join(path, name));
    // One around the other: no path is ever longer than the system takes.
    for (let depth = 1; depth < 30; depth += 1) {
      mkdirSync(join(path, 'outer'));
      renameSync(join(path, name), join(path, 'outer', name));
      renameSync(join(path, 'outer'), join(path, name));
    }
    onTestFinished(() => void execFileSync('rm', ['-rf', path]));

    expect(await listWorktrees({ repoRoot: repo.root })).toHaveLength(1);
    expect(await findChangeSince(path, Date.parse('2100-01-01'))).toBeUndefined();
  });
});

describe('pruneWorktrees', () => {
  test('given one whose directory is away, when pruned, it is as it was when the directory is back', async () => {
    const repo = makeGitRepo();
    const path = join(repo.beside, 'elsewhere');
    repo.git(repo.root, 'worktree', 'add', '-q', '--detach', path, 'main');
    commitIn(repo, path);
    writeFileSync(join(path, 'file.txt'), 'changed\n');
    const before = repo.git(path, 'log', '--format=%H');
    renameSync(path, `${path}-away`);

    const result = await pruneWorktrees({ repoRoot: repo.root, maxAgeMs: -1 });

    renameSync(`${path}-away`, path);
    expect(result).toEqual({ removed: [], kept: [] });
    expect(repo.git(path, 'log', '--format=%H')).toBe(before);
    expect(repo.git(path, 'status', '--short')).toBe(' M file.txt\n');
  });

  test('given old ones, when pruned, only those go that hold nothing of their own', async () => {
    const repo = makeGitRepo();
    const [clean, changed, ahead, running] = await Promise.all(
      ['clean', 'changed', 'ahead', 'running'].map((name) => prepare(repo, name)),
    );
    writeFileSync(join(changed ?? '', 'file.txt'), 'changed\n');
    commitIn(repo, ahead ?? '');

    const options = {
      repoRoot: repo.root,
      maxAgeMs: -1,
      keep: ({ path }: { path: string }) => path === running,
    };
    const planned = await pruneWorktrees({ ...options, dryRun: true });
    const result = await pruneWorktrees(options);

    expect(planned.removed).toHaveLength(3);
    expect(result.removed.map((entry) => entry.path)).toEqual([clean]);
    expect(result.removed[0]).toMatchObject({ bytes: 4, isOurs: true });
    expect(new Set(result.kept.map(({ entry }) => entry.path))).toEqual(new Set([changed, ahead]));
    expect(existsSync(running ?? '')).toBe(true);
  });
});
