/** Line ends and attributes that change between two captures by one manager. */
import { mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { replayCheckpoint } from '@conductor-run/checkpointing';
import { createManualClock } from '@conductor-run/clock';
import { describe, expect, test } from 'vitest';
import { setup, type Setup } from './fixtures/setup.ts';

describe('writeGitDiff', () => {
  test.for([
    ['core.autocrlf', (context: Setup) => context.git('config', 'core.autocrlf', 'true')],
    ['info/attributes', (context: Setup) => writeAttributes(join(context.path, '.git/info'))],
    ["the user's attributes", (context: Setup) => writeAttributes(join(context.temp, 'home/.config/git'))],
  ] as const)(
    'given a change of %s between two captures, when replayed, clean files have the bytes that were on disk',
    async ([, change]) => {
      const context = setup({ files: { 'a.txt': 'base\n', 'clean.txt': 'one\ntwo\n' } });
      context.write({ 'a.txt': 'changed\n' });
      // Long ago, so that git trusts the times and calls it clean.
      utimesSync(join(context.path, 'clean.txt'), 1, 1);
      context.git('status');
      await context.manager.writeGitDiff({ worktree: context.path });
      change(context);

      for (const [name, manager] of [
        ['same', context.manager] as const,
        ['fresh', context.reopen()] as const,
      ]) {
        const record = await manager.writeGitDiff({ worktree: context.path });
        const directory = join(context.temp, name);
        await replayCheckpoint(record, { directory, env: context.libraryEnv });
        expect(readFileSync(join(directory, 'clean.txt'), 'utf8')).toBe('one\ntwo\n');
      }
    },
  );

  test('given attributes and a commit that changes no file, when captured again, it is a snapshot on the new base', async () => {
    // Much later, so that the second capture remembers what the first has read.
    const clock = createManualClock({ nowMs: Date.UTC(2037, 0, 1) });
    const context = setup({
      files: { '.gitattributes': '*.txt text\n', 'a.txt': 'one\n' },
      manager: { clock },
    });
    context.write({ 'a.txt': 'two\n', '.gitattributes': '*.txt text\n*.md text\n' });
    const first = await context.manager.writeGitDiff({ worktree: context.path });
    context.git('commit', '--quiet', '--allow-empty', '--message=note');

    const second = await context.manager.writeGitDiff({ worktree: context.path });

    expect(second.tree).toBe(first.tree);
    expect(second.baseCommit).not.toBe(first.baseCommit);
  });
});

function writeAttributes(folder: string): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'attributes'), '*.txt text eol=crlf\n');
}
