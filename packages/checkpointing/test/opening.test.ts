/** What a manager expects of a repository, from its files or from the capture before, must not outlive what it is about. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, describe, test } from 'vitest';
import { expectHead, isSameExpectation } from '../src/expectation.ts';
import { createGit } from '../src/git-process.ts';
import { openWorktree } from '../src/git-repository.ts';
import { roundTrip, setup, type Setup } from './fixtures/setup.ts';

describe('a repository that is no longer what the capture before found', () => {
  test.for<readonly [string, (context: Setup) => void]>([
    [
      'another commit is checked out and a file is as the old one has it',
      (context) => {
        context.git('commit', '--quiet', '--all', '--message=second');
        context.write({ 'a.txt': 'one\n' });
      },
    ],
    [
      'HEAD is not born yet',
      (context) => {
        context.git('checkout', '--quiet', '--orphan', 'empty');
        context.git('read-tree', '--empty');
      },
    ],
    [
      'the git directory is elsewhere',
      (context) => {
        context.git('init', '--quiet', '--separate-git-dir', join(context.temp, 'moved'));
      },
    ],
  ])('given %s, when captured again, the snapshot is exact', async ([, change]) => {
    const context = setup({ files: { 'a.txt': 'one\n', 'b.txt': 'b\n' } });
    context.write({ 'a.txt': 'changed\n' });
    await context.manager.writeGitDiff({ worktree: context.path });
    change(context);

    const record = await roundTrip(context);

    expect(record.seq).toBe(2);
  });

  test('given a setting that hides a file now, when captured again, the snapshot is without it', async () => {
    const context = setup({ files: { 'a.txt': 'one\n' } });
    context.write({ 'notes.tmp': 'note\n' });
    const first = await context.manager.writeGitDiff({ worktree: context.path });
    context.write({ '../excludes': '*.tmp\n' });
    context.git('config', 'core.excludesFile', join(context.temp, 'excludes'));

    const second = await context.manager.writeGitDiff({ worktree: context.path });

    expect(first.diffStat.filesChanged).toBe(1);
    expect(second.diffStat.filesChanged).toBe(0);
  });

  test('given a repository that is gone, when captured again, it is refused', async () => {
    const context = setup({ files: { 'a.txt': 'one\n' } });
    await context.manager.writeGitDiff({ worktree: context.path });
    context.remove('.git');

    await expect(context.manager.writeGitDiff({ worktree: context.path })).rejects.toMatchObject({
      code: 'not-a-repository',
    });
  });
});

describe('expectHead', () => {
  test.for<readonly [string, (context: Setup) => string]>([
    ['a branch', (context) => context.path],
    [
      'a branch whose ref is packed',
      (context) => {
        context.git('pack-refs', '--all');
        return context.path;
      },
    ],
    [
      'a detached HEAD',
      (context) => {
        context.git('checkout', '--quiet', '--detach');
        return context.path;
      },
    ],
    [
      'a linked work tree',
      (context) => {
        context.git('worktree', 'add', '--quiet', '-b', 'linked', join(context.temp, 'linked'));
        return join(context.temp, 'linked');
      },
    ],
    [
      'settings of the user and of the repository',
      (context) => {
        const own = '[core]\n\texcludesFile = ~/a b\n  autocrlf\n[user]\n\tname = "A;B"\n';
        writeFileSync(join(context.temp, 'home/.gitconfig'), own);
        context.git('config', 'core.excludesFile', 'other');
        return context.path;
      },
    ],
  ])('given %s, when asked, it says what git says', async ([, prepare]) => {
    const context = setup({ files: { 'a.txt': 'one\n' } });
    const worktree = prepare(context);

    const expected = expectHead(worktree, context.env['HOME']);

    const { repo, base } = await openWorktree(createGit({ env: context.env }), worktree, 'HEAD');
    expect(isSameExpectation({ repo, commit: base.commit }, expected)).toBe(true);
  });

  test.for<readonly [string, (context: Setup) => void]>([
    ['includes another file', (context) => context.git('config', 'include.path', 'more')],
    ['quotes a value', (context) => context.git('config', 'core.excludesFile', 'a;b')],
  ])(
    'given configuration that %s, when asked, it expects nothing and the capture is exact',
    async ([, configure]) => {
      const context = setup({ files: { 'a.txt': 'one\n' } });
      configure(context);
      context.write({ 'a.txt': 'two\n' });

      expect(expectHead(context.path, context.env['HOME'])).toBeUndefined();
      await roundTrip(context);
    },
  );

  test('given a setting that only git finds, when captured, the snapshot is as git would have it', async () => {
    const context = setup({ files: { 'a.txt': 'one\n' }, variables: elsewhere });
    context.write({ '../xdg/git/config': '[core]\n\texcludesFile = ~/excludes\n' });
    context.write({ '../home/excludes': '*.tmp\n', 'note.tmp': 'note\n' });

    const record = await context.manager.writeGitDiff({ worktree: context.path });

    expect(record.diffStat.filesChanged).toBe(0);
  });
});

function elsewhere(temp: string): Readonly<Record<string, string>> {
  return { XDG_CONFIG_HOME: join(temp, 'xdg') };
}
