/** What a restore must not do: change anything before it can be finished, or overwrite what no checkpoint holds. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { restoreCheckpoint, type GitDiffRecord } from '@conductor-run/checkpointing';
import { describe, expect, test } from 'vitest';
import { readTree } from './fixtures/git-repo.ts';
import { setup, type Setup } from './fixtures/setup.ts';

describe('restoreCheckpoint', () => {
  test('given a blob of the snapshot that is gone or damaged, when restored, it fails with the tree as it was', async () => {
    const context = setup({ files: { 'a.txt': 'base\n' } });
    context.write({ 'a.txt': 'snapshot\n' });
    const record = await capture(context);
    context.write({ 'a.txt': 'work\n', 'extra.txt': 'made later\n' });
    const before = readTree(context.path);
    const blob = blobFile(context, `${record.ref}:a.txt`);

    // Without its own patch the ref is all there is.
    rmSync(join(context.directory, '0001/changes.patch'));
    rmSync(blob);
    const gone = restore(context, record);
    await expect(gone).rejects.toMatchObject({ code: 'snapshot-unavailable' });
    expect(readTree(context.path)).toEqual(before);
    writeFileSync(blob, '');
    const emptied = restore(context, record);
    await expect(emptied).rejects.toMatchObject({ code: 'snapshot-unavailable' });
    expect(readTree(context.path)).toEqual(before);
  });

  test('given a snapshot with a name that git refuses, when restored, it fails with the tree as it was', async () => {
    const context = setup({ files: { 'a.txt': 'base\n' } });
    const record = { ...(await capture(context)), ...withRefusedName(context) };
    context.write({ 'extra.txt': 'made later\n' });
    const before = readTree(context.path);

    await expect(restore(context, record)).rejects.toMatchObject({ code: 'git-failed' });

    expect(readTree(context.path)).toEqual(before);
  });
});

/** A tree that no capture makes, as an earlier version did. */
function withRefusedName(context: Setup): Pick<GitDiffRecord, 'tree' | 'commit' | 'ref'> {
  const blob = context.git('hash-object', '-w', 'a.txt').trim();
  const tree = context
    .git('hash-object', '-w', '-t', 'tree', '--literally', '--', rawTree(context, blob))
    .trim();
  const commit = context.git('commit-tree', tree, '-m', 'odd').trim();
  const ref = 'refs/conductor/run-1/77';
  context.git('update-ref', ref, commit);
  return { tree, commit, ref };
}

function rawTree(context: Setup, blob: string): string {
  const path = join(context.temp, 'raw-tree');
  writeFileSync(path, Buffer.concat([Buffer.from('100644 .GIT\0'), Buffer.from(blob, 'hex')]));
  return path;
}

function capture(context: Setup): Promise<GitDiffRecord> {
  return context.manager.writeGitDiff({ worktree: context.path });
}

function restore(context: Setup, record: GitDiffRecord): ReturnType<typeof restoreCheckpoint> {
  return restoreCheckpoint(record, {
    worktree: context.path,
    manager: context.manager,
    env: context.libraryEnv,
  });
}

/** The loose object's file. */
function blobFile(context: Setup, revision: string): string {
  const oid = context.git('rev-parse', revision).trim();
  return join(context.path, '.git/objects', oid.slice(0, 2), oid.slice(2));
}
