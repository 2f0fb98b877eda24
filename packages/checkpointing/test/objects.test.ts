/** What a capture leaves in the repository's object directory. */
import { readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { setup, type Setup } from './fixtures/setup.ts';

describe('the objects of a snapshot', () => {
  test.for(['sha1', 'sha256'] as const)(
    'given a few changes in a %s repository, when captured, they are loose and whole, with the mode git gives them',
    async (objectFormat) => {
      const context = setup({ objectFormat, files: { 'a.txt': 'one\n', 'dir/b.txt': 'b\n' } });
      context.write({ 'a.txt': 'two\n', 'dir/new': 'x'.repeat(5_000), empty: '' });

      const record = await context.manager.writeGitDiff({ worktree: context.path });

      expect(packs(context)).toEqual([]);
      expect(context.git('fsck', '--full', '--strict')).toBe('');
      const modes = ['HEAD', record.commit].map((revision) => {
        const oid = context.git('rev-parse', revision).trim();
        return statSync(join(context.path, '.git/objects', oid.slice(0, 2), oid.slice(2))).mode;
      });
      expect(modes[1]).toBe(modes[0]);
    },
  );

  test('given objects that are there already, when captured, they are left as they are, but for one that is empty', async () => {
    const context = setup({ files: { 'a.txt': 'one\n' } });
    context.write({ 'staged.txt': 'staged\n', 'damaged.txt': 'damaged\n' });
    context.git('add', '--all');
    const whole = objectFile(context, ':staged.txt');
    const before = statSync(whole);
    const damaged = objectFile(context, ':damaged.txt');
    rmSync(damaged);
    writeFileSync(damaged, '');

    const record = await context.manager.writeGitDiff({ worktree: context.path });

    expect(statSync(whole)).toMatchObject({ ino: before.ino, mode: before.mode });
    expect(context.git('show', `${record.commit}:damaged.txt`)).toBe('damaged\n');
  });

  test.for<readonly [string, Readonly<Record<string, string | Uint8Array>>]>([
    [
      'more than a hundred objects',
      Object.fromEntries(Array.from({ length: 120 }, (_, n) => [`n${n}`, `${n}\n`])),
    ],
    ['few objects of many bytes', { 'big.bin': Buffer.alloc(9 * 1024 * 1024, 7) }],
  ])('given %s, when captured, they stay one pack that git finds sound', async ([, files]) => {
    const context = setup({ files: { 'a.txt': 'one\n' } });
    context.write(files);

    await context.manager.writeGitDiff({ worktree: context.path });

    expect(packs(context).map((name) => name.replace(/^.*\./, ''))).toEqual(['idx', 'pack']);
    expect(context.git('fsck', '--full', '--strict')).toBe('');
  });
});

function packs(context: Setup): string[] {
  return readdirSync(join(context.path, '.git/objects/pack')).toSorted();
}

function objectFile(context: Setup, revision: string): string {
  const oid = context.git('rev-parse', revision).trim();
  return join(context.path, '.git/objects', oid.slice(0, 2), oid.slice(2));
}
