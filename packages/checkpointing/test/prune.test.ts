/** Refs that a prune could not remove are not forgotten. */
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readCheckpoints } from '@conductor-run/checkpointing';
import { describe, expect, test } from 'vitest';
import { setup, type Setup } from './fixtures/setup.ts';

describe('prune', () => {
  test('given a repository that was away, when pruned again by anybody, its refs go then', async () => {
    const context = await captured();
    renameSync(context.path, `${context.path}-away`);

    const first = await context.manager.prune({});
    renameSync(`${context.path}-away`, context.path);
    const second = await context.reopen().prune({});

    expect(first).toMatchObject({ removed: [1], unreachable: [{ repository: join(context.path, '.git') }] });
    expect(second).toMatchObject({ removed: [], removedRefs: ['refs/conductor/run-1/1'], unreachable: [] });
    expect(refs(context)).toBe('');
    expect(await context.reopen().prune({})).toMatchObject({ removedRefs: [], unreachable: [] });
  });

  test('given refs that another git has locked, when pruned again with new records, all refs go', async () => {
    const context = await captured();
    const lock = join(context.path, '.git/packed-refs.lock');
    writeFileSync(lock, '');

    const first = await context.manager.prune({});
    rmSync(lock);
    await context.manager.writeSummary({ summary: 'later' });
    const second = await context.manager.prune({ keepLast: 1 });

    expect(first.unreachable).toHaveLength(1);
    expect(second).toMatchObject({ kept: [2], removedRefs: ['refs/conductor/run-1/1'] });
    expect(refs(context)).toBe('');
    expect(await readCheckpoints(context.directory)).toMatchObject({ skippedLines: [], nextSeq: 3 });
  });
});

async function captured(): Promise<Setup> {
  const context = setup({ files: { 'a.txt': 'one\n' } });
  context.write({ 'a.txt': 'two\n' });
  await context.manager.writeGitDiff({ worktree: context.path });
  return context;
}

function refs(context: Setup): string {
  return context.git('for-each-ref', 'refs/conductor');
}
