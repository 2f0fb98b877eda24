/** Work trees come in parallel and go only when nothing is lost with them. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { listWorktrees, prepareWorktree, pruneWorktrees, removeWorktree } from '../src/index.ts';
import { makeGitRepo, type GitRepo } from './fixtures/git-repo.ts';

async function prepare(repo: GitRepo, name: string): Promise<string> {
  const { path } = await prepareWorktree({
    repoRoot: repo.root,
    baseRef: 'main',
    path: join(repo.beside, name),
    name,
  });
  return path;
}

function commitIn(repo: GitRepo, path: string): void {
  writeFileSync(join(path, 'new.txt'), 'new\n');
  repo.git(path, 'add', '.');
  repo.git(path, 'commit', '-q', '-m', 'new');
}

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

describe('pruneWorktrees', () => {
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
