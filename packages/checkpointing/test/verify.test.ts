/** Damage to what a snapshot needs: found by a verify, and made good from the patch where that is possible. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  replayCheckpoint,
  restoreCheckpoint,
  verifyCheckpoints,
  type GitDiffRecord,
} from '@conductor-run/checkpointing';
import { describe, expect, test } from 'vitest';
import { setup, type Setup } from './fixtures/setup.ts';

const files = { 'a.txt': 'base\n', 'dir/b.txt': 'base\n' };

describe('verifyCheckpoints', () => {
  test.for([
    ['a blob that is gone', ':dir/b.txt', undefined],
    ['a blob emptied by a power cut', ':dir/b.txt', Buffer.alloc(0)],
    ['a tree that is gone', ':dir', undefined],
    ['a commit emptied by a power cut', '', Buffer.alloc(0)],
  ] as const)('given %s, when verified, the ref is found unusable', async ([, path, content]) => {
    const { context, record } = await captured();
    damage(context, `${record.ref}${path}`, content);

    const { problems } = await verifyCheckpoints(context.directory, { env: context.libraryEnv });

    expect(problems).toContainEqual(expect.objectContaining({ seq: 1, problem: 'ref-unusable' }));
  });

  test('given a blob of the staged tree that is gone, when verified, the ref is found unusable', async () => {
    const context = setup({ files });
    context.write({ 'a.txt': 'staged\n' });
    context.git('add', 'a.txt');
    context.write({ 'a.txt': 'on disk\n' });
    await context.manager.writeGitDiff({ worktree: context.path, includeIndex: true });
    damage(context, ':a.txt', undefined);

    const { problems } = await verifyCheckpoints(context.directory, { env: context.libraryEnv });

    expect(problems.map(({ problem }) => problem)).toEqual(['ref-unusable']);
  });

  test('given a patch that is gone, when verified, it is a finding and the rest is verified', async () => {
    const { context } = await captured();
    rmSync(join(context.directory, '0001/changes.patch'));

    const { verified, problems } = await verifyCheckpoints(context.directory, { env: context.libraryEnv });

    expect(verified).toEqual([1]);
    expect(problems.map(({ problem }) => problem)).toEqual(['file-missing', 'patch-unusable']);
  });
});

describe('bringing back', () => {
  test('given a blob of the ref that is gone, when replayed or restored, it comes from the patch', async () => {
    const { context, record } = await captured();
    damage(context, `${record.ref}:dir/b.txt`, undefined);
    const directory = join(context.temp, 'back');

    const replayed = await replayCheckpoint(record, { directory, env: context.libraryEnv });
    context.write({ 'dir/b.txt': 'later\n' });
    const { manager, path: worktree } = context;
    await restoreCheckpoint(record, { worktree, manager, env: context.libraryEnv });

    expect(replayed).toMatchObject({ source: 'patch', tree: record.tree });
    expect(readFileSync(join(directory, 'dir/b.txt'), 'utf8')).toBe('changed\n');
    expect(readFileSync(join(worktree, 'dir/b.txt'), 'utf8')).toBe('changed\n');
  });

  test('given a patch that is gone as well, when replayed, it is unavailable', async () => {
    const { context, record } = await captured();
    damage(context, `${record.ref}:dir/b.txt`, undefined);
    rmSync(join(context.directory, '0001/changes.patch'));

    const replayed = replayCheckpoint(record, {
      directory: join(context.temp, 'back'),
      env: context.libraryEnv,
    });

    await expect(replayed).rejects.toMatchObject({ code: 'snapshot-unavailable' });
  });
});

async function captured(): Promise<{ readonly context: Setup; readonly record: GitDiffRecord }> {
  const context = setup({ files });
  context.write({ 'a.txt': 'changed too\n', 'dir/b.txt': 'changed\n' });
  return { context, record: await context.manager.writeGitDiff({ worktree: context.path }) };
}

/** Takes a loose object away, or puts something else in its place. */
function damage(context: Setup, revision: string, content: Buffer | undefined): void {
  const oid = context.git('rev-parse', revision).trim();
  const path = join(context.path, '.git/objects', oid.slice(0, 2), oid.slice(2));
  rmSync(path);
  if (content !== undefined) writeFileSync(path, content);
}
