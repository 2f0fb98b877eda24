/** Replays and forks that are stopped on the way leave nothing behind. */
import { chmodSync, existsSync, mkdirSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { forkCheckpoint, replayCheckpoint, type GitDiffRecord } from '@conductor-run/checkpointing';
import { describe, expect, test } from 'vitest';
import { setup, type Setup } from './fixtures/setup.ts';

/** What git is stopped at: a word of its command line, before or after it did its work. */
const STOPS = [
  ['worktree', 'before'],
  ['worktree', 'after'],
  ['read-tree', 'before'],
  ['read-tree', 'after'],
  ['ls-files', 'before'],
] as const;

describe('bringing back', () => {
  test.for(STOPS)(
    'given an abort at git %s, %s it ran, when forked, nothing of it is left',
    async ([verb, when]) => {
      const { context, record } = await captured();
      const directory = join(context.temp, 'fork');

      const stop = stopAt(context, verb, when);
      const forked = forkCheckpoint(record, { directory, branch: 'again', ...stop });

      await expect(forked).rejects.toThrow('stopped by the test');
      expect(existsSync(directory)).toBe(false);
      expect(context.git('branch', '--list', 'again')).toBe('');
      expect(context.git('worktree', 'list', '--porcelain').match(/^worktree /gm)).toHaveLength(1);
      await forkCheckpoint(record, { directory, branch: 'again', env: context.libraryEnv });
    },
  );

  test('given an abort in a clone that was there, when replayed into it, the clone stays and is empty', async () => {
    const { context, record } = await captured();
    const emptyWorktree = join(context.temp, 'clone');
    context.git('clone', '--quiet', '--no-checkout', context.path, emptyWorktree);

    const replayed = replayCheckpoint(record, { emptyWorktree, ...stopAt(context, 'ls-files', 'before') });

    await expect(replayed).rejects.toThrow('stopped by the test');
    expect(existsSync(join(emptyWorktree, '.git'))).toBe(true);
    expect(existsSync(join(emptyWorktree, 'a.txt'))).toBe(false);
  });
});

async function captured(): Promise<{ readonly context: Setup; readonly record: GitDiffRecord }> {
  const context = setup({ files: { 'a.txt': 'one\n' } });
  context.write({ 'a.txt': 'two\n', 'new.txt': 'n\n' });
  return { context, record: await context.manager.writeGitDiff({ worktree: context.path }) };
}

/** A git on PATH that says when it comes to a command and waits there, and a signal that is aborted then. */
function stopAt(
  context: Setup,
  verb: string,
  when: 'before' | 'after',
): { readonly env: Readonly<Record<string, string>>; readonly signal: AbortSignal } {
  const folder = join(context.temp, 'bin');
  mkdirSync(folder);
  const told = join(folder, 'told');
  mkdirSync(told);
  const real = context.git('--exec-path').trim();
  const wait = `: > '${told}/now'; while :; do read -r line < '${folder}/never'; done`;
  const script = `#!/bin/sh
case " $* " in
  *" ${verb} "*) ${when === 'before' ? '' : `'${real}/git' "$@";`} mkfifo '${folder}/never'; ${wait} ;;
  *) exec '${real}/git' "$@" ;;
esac
`;
  writeFileSync(join(folder, 'git'), script);
  chmodSync(join(folder, 'git'), 0o755);
  const aborting = new AbortController();
  const watcher = watch(told, () => {
    watcher.close();
    aborting.abort(new Error('stopped by the test'));
  });
  const env = { ...context.libraryEnv, PATH: `${folder}:${context.libraryEnv['PATH'] ?? ''}` };
  return { env, signal: aborting.signal };
}
