/** What a manager remembers of a repository must not outlive what it is about. */
import { join } from 'node:path';
import { expect, describe, test } from 'vitest';
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
