/** What exists nowhere else is not lost with a work tree, wherever git keeps it and whoever else works on the repository. */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { createHost, removeWorktree } from '../src/index.ts';
import { commitIn, makeGitRepo, prepare, type GitRepo } from './fixtures/git-repo.ts';
import { makeDirectory } from './fixtures/setup.ts';

/** Two work trees with the same commit on the branch of each, and nowhere else. */
async function prepareTwins(repo: GitRepo): Promise<{ paths: readonly string[]; commit: string }> {
  const first = await prepare(repo, 'first');
  commitIn(repo, first);
  const second = await prepare(repo, 'second', 'conductor/first');
  return { paths: [first, second], commit: repo.git(first, 'rev-parse', 'HEAD').trim() };
}

function branchesWith(repo: GitRepo, commit: string): string {
  return repo.git(repo.root, 'for-each-ref', '--contains', commit, '--format=%(refname)');
}

/** A git that does `before` in `sh` first when it is asked for `subcommand`, as another process might at that moment. */
function interruptedGit(subcommand: string, before: string): Readonly<Record<string, string>> {
  const directory = makeDirectory();
  const path = process.env['PATH'] ?? '';
  const script = `#!/bin/sh
PATH='${path}'
case "$*" in *' ${subcommand}'*) ${before};; esac
exec git "$@"
`;
  writeFileSync(join(directory, 'git'), script);
  chmodSync(join(directory, 'git'), 0o700);
  return { ...process.env, PATH: directory };
}

describe('commits on two branches of ours', () => {
  test('given both removed at once, one refuses and the commits stay', async () => {
    const repo = makeGitRepo();
    const { paths, commit } = await prepareTwins(repo);

    const outcomes = await Promise.allSettled(
      paths.map((path) => removeWorktree({ repoRoot: repo.root, path })),
    );

    expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    expect(outcomes.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: { code: 'worktree-unmerged' },
    });
    expect(branchesWith(repo, commit)).not.toBe('');
  });

  test.for(['worktree remove', 'update-ref --stdin'])(
    'given another process that deletes the second right before "%s", the first is kept',
    async (subcommand) => {
      const repo = makeGitRepo();
      const { paths, commit } = await prepareTwins(repo);
      const env = interruptedGit(
        subcommand,
        `git -C '${repo.root}' update-ref -d refs/heads/conductor/second`,
      );
      const removing = removeWorktree({
        repoRoot: repo.root,
        path: paths[0] ?? '',
        host: { ...createHost(), env },
      });

      await expect(removing).rejects.toMatchObject({ code: 'worktree-unmerged' });
      expect(branchesWith(repo, commit)).toBe('refs/heads/conductor/first\n');
    },
  );

  test('given a symbolic ref to the branch that goes, it does not count as another', async () => {
    const repo = makeGitRepo();
    const path = await prepare(repo, 'work');
    commitIn(repo, path);
    repo.git(repo.root, 'symbolic-ref', 'refs/heads/alias', 'refs/heads/conductor/work');

    await expect(removeWorktree({ repoRoot: repo.root, path })).rejects.toMatchObject({
      code: 'worktree-unmerged',
    });
  });
});

describe('files that git was told not to look at', () => {
  test.for(['--assume-unchanged', '--skip-worktree'])(
    'given one marked %s, when it was changed, the work tree is kept; when it was not, it goes',
    async (flag) => {
      const repo = makeGitRepo();
      const path = await prepare(repo, 'work');
      repo.git(path, 'update-index', flag, 'file.txt');
      writeFileSync(join(path, 'file.txt'), 'hours of work\n');

      await expect(removeWorktree({ repoRoot: repo.root, path })).rejects.toMatchObject({
        code: 'worktree-dirty',
      });
      expect(readFileSync(join(path, 'file.txt'), 'utf8')).toBe('hours of work\n');

      writeFileSync(join(path, 'file.txt'), 'one\n');
      await removeWorktree({ repoRoot: repo.root, path });
      expect(existsSync(path)).toBe(false);
    },
  );

  test('given a sparse checkout, when nothing was changed, it goes', async () => {
    const repo = makeGitRepo();
    mkdirSync(join(repo.root, 'part'));
    writeFileSync(join(repo.root, 'part', 'other.txt'), 'other\n');
    repo.git(repo.root, 'add', '.');
    repo.git(repo.root, 'commit', '-q', '-m', 'part');
    const path = await prepare(repo, 'work');
    repo.git(path, 'sparse-checkout', 'set', 'nowhere');

    await removeWorktree({ repoRoot: repo.root, path });

    expect(existsSync(path)).toBe(false);
  });
});

describe('repositories inside a work tree', () => {
  test.for(['a submodule', 'a clone'])(
    'given a commit in %s, when files may be lost, it refuses until the commit is on a remote branch',
    async (what) => {
      const repo = makeGitRepo();
      const origin = makeGitRepo();
      origin.git(origin.root, 'config', 'receive.denyCurrentBranch', 'ignore');
      const git = (cwd: string, ...args: string[]): string =>
        repo.git(cwd, '-c', 'protocol.file.allow=always', ...args);
      if (what === 'a submodule') {
        git(repo.root, 'submodule', 'add', '-q', origin.root, 'inner/one');
        git(repo.root, 'commit', '-q', '-m', 'submodule');
      }
      const path = await prepare(repo, 'work');
      const inner = join(path, 'inner', 'one');
      if (what === 'a submodule') git(path, 'submodule', 'update', '--init', '-q');
      else git(path, 'clone', '-q', origin.root, inner);
      git(inner, 'checkout', '-q', '-B', 'topic');
      commitIn(repo, inner);
      const remove = (): Promise<void> =>
        removeWorktree({ repoRoot: repo.root, path, discardUncommitted: true });

      await expect(remove()).rejects.toMatchObject({ code: 'worktree-unmerged' });
      expect(existsSync(join(inner, 'new.txt'))).toBe(true);

      git(inner, 'push', '-q', 'origin', 'topic');
      await remove();
      expect(existsSync(path)).toBe(false);
    },
  );
});
