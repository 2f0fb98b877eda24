/** A disk that fails under the index: no line without its files, whichever write it was. */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { replayCheckpoint, verifyCheckpoints } from '@conductor-run/checkpointing';
import { describe, expect, test } from 'vitest';
import { startChild } from './fixtures/child.ts';
import { setup, treeByGitAdd, type Setup } from './fixtures/setup.ts';

describe('an index that cannot be flushed', () => {
  test('given a line that was written all the same, when it fails, the line is taken back with its files', async () => {
    const context = setup({ files: { 'a.txt': 'one\n' } });
    await context.manager.writeSummary({ summary: 'first' });
    context.write({ 'a.txt': 'two\n' });

    const answer = await captureFailing(context, ['fsync']);

    expect(answer).toContain('EIO');
    expect((await context.manager.list()).map(({ seq }) => seq)).toEqual([1]);
    expect(existsSync(join(context.directory, '0002'))).toBe(false);
    const next = await context.manager.writeGitDiff({ worktree: context.path });
    expect(next.unchangedSince).toBeUndefined();
    expect(await verifyCheckpoints(context.directory, { env: context.libraryEnv })).toMatchObject({
      problems: [],
      skippedLines: [],
    });
  });

  test('given a line that cannot be taken back either, when it fails, its files stay with it', async () => {
    const context = setup({ files: { 'a.txt': 'one\n' } });
    context.write({ 'a.txt': 'two\n' });

    const answer = await captureFailing(context, ['fsync', 'ftruncateSync']);

    expect(answer).toContain('its line may be there');
    const [record] = await context.manager.list();
    expect(record).toMatchObject({ seq: 1, type: 'git_diff' });
    expect(await verifyCheckpoints(context.directory, { env: context.libraryEnv })).toMatchObject({
      verified: [1],
      problems: [],
    });
  });
});

describe('an unchanged tree', () => {
  test('given a patch of the earlier record that is gone, when captured again, it is a snapshot of its own', async () => {
    const context = setup({ files: { 'a.txt': 'one\n' } });
    context.write({ 'a.txt': 'two\n' });
    await context.manager.writeGitDiff({ worktree: context.path });
    rmSync(join(context.directory, '0001/changes.patch'));

    const second = await context.manager.writeGitDiff({ worktree: context.path });

    expect(second.unchangedSince).toBeUndefined();
    const directory = join(context.temp, 'back');
    const replayed = await replayCheckpoint(second, { directory, from: 'patch', env: context.libraryEnv });
    expect(replayed).toMatchObject({ source: 'patch', tree: second.tree });
  });
});

describe('a file system that does not tell what an entry is', () => {
  test('given names that are not ASCII, when captured, every folder is read all the same', async () => {
    const context = setup({ files: { 'a.txt': 'one\n', 'dir/b.txt': 'b\n' } });
    context.write({
      'new.txt': 'n\n',
      'dir/n\u00e9w.txt': 'n\n',
      'dir/new.txt': 'n\n',
      'f\u00f6lder/deep/x': 'x\n',
    });

    const tree = await captureFailing(context, ['readdirSync']);

    expect(tree).toBe(treeByGitAdd(context));
  });
});

describe('a git that may not be killed', () => {
  test('given a timeout, when captured, it fails and the process goes on', async () => {
    const context = setup({ files: { 'a.txt': 'one\n' } });

    const answer = await captureFailing(context, ['kill'], 1);

    expect(answer).toMatch(/^CheckpointError: Cannot (?:end|run) git/);
    expect(await context.manager.list()).toEqual([]);
  });
});

function captureFailing(context: Setup, fails: readonly string[], timeoutMs?: number): Promise<string> {
  const { path: worktree, directory, libraryEnv: env } = context;
  const child = startChild('failing-child.ts', [
    JSON.stringify({ worktree, directory, env, fails, timeoutMs }),
  ]);
  return child.nextLine();
}
