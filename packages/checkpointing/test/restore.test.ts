/** What a restore must not do: change anything before it can be finished, or overwrite what no checkpoint holds. */
import { readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  restoreCheckpoint,
  type CheckpointManager,
  type GitDiffRecord,
  type RestoreOptions,
} from '@conductor-run/checkpointing';
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

describe('what no checkpoint holds', () => {
  test('given a left-out path whose name is redacted, when restored, it is refused, and where the snapshot left it out it is left alone', async () => {
    const name = 'hunter22.bin';
    const redactor = {
      redact: (text: string) => text.replaceAll('hunter22', '[redacted:pw]'),
      contains: (bytes: Uint8Array) => Buffer.from(bytes).includes('hunter22'),
    };
    const context = setup({ files: { [name]: 'base\n', 'a.txt': 'base\n' }, manager: { redactor } });
    context.write({ [name]: 'snapshot\n' });
    const held = await capture(context);
    context.write({ [name]: 'x'.repeat(100) });
    const small = await context.manager.writeGitDiff({ worktree: context.path, maxFileBytes: 50 });
    context.write({ 'a.txt': 'later\n' });

    const overwriting = restore(context, held, { maxFileBytes: 50 });
    await expect(overwriting).rejects.toMatchObject({ code: 'would-lose-content' });
    await restore(context, small);

    expect(readFileSync(join(context.path, name), 'utf8')).toBe('x'.repeat(100));
    expect(readFileSync(join(context.path, 'a.txt'), 'utf8')).toBe('base\n');
    expect(readFileSync(join(context.directory, 'index.ndjson'), 'utf8')).not.toContain('hunter22');
    expect(small.leftOut).toMatchObject([{ path: '[redacted:pw].bin', reason: 'too-large' }]);
  });

  test('given a clean file that is written to after the checkpoint, when restored, it is refused', async () => {
    const context = setup({ files: { 'a.txt': 'base\n', 'caf\u00e9': 'base\n' } });
    context.write({ 'a.txt': 'snapshot\n', 'caf\u00e9': 'snapshot\n' });
    const record = await capture(context);
    context.git('checkout', '--', '.');
    const manager: Pick<CheckpointManager, 'writeGitDiff'> = {
      async writeGitDiff(options) {
        const before = await context.manager.writeGitDiff(options);
        context.write({ 'caf\u00e9': 'written after the checkpoint\n' });
        return before;
      },
    };

    const restored = restoreCheckpoint(record, { worktree: context.path, manager, env: context.libraryEnv });

    await expect(restored).rejects.toMatchObject({ code: 'would-lose-content' });
    expect(readFileSync(join(context.path, 'a.txt'), 'utf8')).toBe('base\n');
  });

  test('given clean files that a checkout wrote with other line ends, when restored, they count as held', async () => {
    const context = setup({
      files: { '.gitattributes': '*.bat eol=crlf\n', 'a.bat': 'a\n', 'new\nline.bat': 'b\n' },
    });
    context.write({ 'a.bat': 'snapshot\n', 'new\nline.bat': 'snapshot\n' });
    const record = await capture(context);
    context.remove('a.bat', 'new\nline.bat');
    context.git('checkout', '--', '.');
    // Long ago, so that git trusts the times and calls them clean.
    for (const name of ['a.bat', 'new\nline.bat']) utimesSync(join(context.path, name), 1, 1);
    context.git('status');

    await restore(context, record);

    expect(readFileSync(join(context.path, 'a.bat'), 'utf8')).toBe('snapshot\n');
    expect(readFileSync(join(context.path, 'new\nline.bat'), 'utf8')).toBe('snapshot\n');
  });

  test('given an entry of a sparse checkout that git is told not to look at, when restored, its content is held', async () => {
    const context = setup({ files: { 'out/b.txt': 'base\n' } });
    context.write({ 'out/b.txt': 'snapshot\n' });
    const record = await capture(context);
    context.git('checkout', '--', '.');
    context.git('config', 'core.sparseCheckout', 'true');
    context.git('update-index', '--assume-unchanged', 'out/b.txt');
    context.git('update-index', '--skip-worktree', 'out/b.txt');
    context.write({ 'out/b.txt': 'work nobody else holds\n' });

    const { before } = await restore(context, record);

    expect(context.git('show', `${before.tree}:out/b.txt`)).toBe('work nobody else holds\n');
    expect(readFileSync(join(context.path, 'out/b.txt'), 'utf8')).toBe('snapshot\n');
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

function restore(
  context: Setup,
  record: GitDiffRecord,
  capture: RestoreOptions['capture'] = {},
): ReturnType<typeof restoreCheckpoint> {
  return restoreCheckpoint(record, {
    worktree: context.path,
    manager: context.manager,
    capture,
    env: context.libraryEnv,
  });
}

/** The loose object's file. */
function blobFile(context: Setup, revision: string): string {
  const oid = context.git('rev-parse', revision).trim();
  return join(context.path, '.git/objects', oid.slice(0, 2), oid.slice(2));
}
