/** The patch from one snapshot to another, as a whole. */
import { createWriteStream, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { diffCheckpoints } from '@conductor-run/checkpointing';
import { describe, expect, test } from 'vitest';
import { runGit } from './fixtures/git-repo.ts';
import { setup } from './fixtures/setup.ts';

describe('diffCheckpoints', () => {
  test('given two snapshots, when the patch is written and applied to the older, it gives the newer', async () => {
    const context = setup({ files: { 'a.txt': 'one\n', 'gone.txt': 'x\n' } });
    context.write({ 'a.txt': 'two\n', 'new.bin': Buffer.from([0, 255, 1]) });
    const older = await context.manager.writeGitDiff({ worktree: context.path });
    context.write({ 'a.txt': 'three\n', 'n\u00e9w\n.bin': Buffer.from([0, 1]) });
    context.remove('gone.txt', 'new.bin');
    const newer = await context.manager.writeGitDiff({ worktree: context.path });
    const path = join(context.temp, 'whole.patch');
    const target = createWriteStream(path);

    const diff = await diffCheckpoints(older, newer, { env: context.libraryEnv });
    await diff.writePatch(target);
    target.end('# more\n');
    await finished(target);

    expect(diff.diffStat).toMatchObject({ filesChanged: 4 });
    expect(readFileSync(path, 'utf8').endsWith('# more\n')).toBe(true);
    const env = { ...context.env, GIT_INDEX_FILE: join(context.temp, 'index') };
    runGit(context.path, env, ['read-tree', older.tree]);
    runGit(context.path, env, ['apply', '--cached', '--binary', path]);
    expect(runGit(context.path, env, ['write-tree']).trim()).toBe(newer.tree);
  });

  test('given the same tree twice, when the patch is written, it is empty', async () => {
    const context = setup({ files: { 'a.txt': 'one\n' } });
    const record = await context.manager.writeGitDiff({ worktree: context.path });
    const path = join(context.temp, 'whole.patch');
    const target = createWriteStream(path);

    await (await diffCheckpoints(record, record, { env: context.libraryEnv })).writePatch(target);
    target.end();
    await finished(target);

    expect(readFileSync(path, 'utf8')).toBe('');
  });
});
