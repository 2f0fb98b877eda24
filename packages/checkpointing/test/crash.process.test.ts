/** kill -9 at any instant of a capture. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createRealClock } from '@conductor-run/clock';
import { readCheckpoints, verifyCheckpoints } from '@conductor-run/checkpointing';
import { describe, expect, inject, test } from 'vitest';
import { startChild } from './fixtures/child.ts';
import { setup, type Setup } from './fixtures/setup.ts';

describe('a capture that is killed', () => {
  test('given kills at random moments, when looked at afterwards, every record is whole, numbers are fresh and the repository is clean', async () => {
    const rounds = inject('soak') ? 100 : 6;
    const context = setup({ files: { 'a.txt': 'a\n', 'dir/b.txt': 'b\n' } });
    const clock = createRealClock();
    const options = {
      worktree: context.path,
      directory: context.directory,
      runId: 'run-1',
      env: context.env,
    };
    let highest = 0;

    for (let round = 0; round < rounds; round++) {
      const child = startChild('capture-child.ts', [JSON.stringify(options)]);
      await child.nextLine();
      await clock.sleep(Math.random() * 250);
      await child.kill();
      await until(() => leftovers(context).length === 0);

      const { records, nextSeq } = await readCheckpoints(context.directory);
      expect(nextSeq).toBeGreaterThan(Math.max(0, ...records.map(({ seq }) => seq)));
      expect(nextSeq).toBeGreaterThanOrEqual(highest);
      highest = nextSeq;
    }

    const report = await verifyCheckpoints(context.directory, { env: context.env });
    expect(report.problems).toEqual([]);
    const after = await context.manager.writeGitDiff({ worktree: context.path });
    expect(after.seq).toBe(highest);
    const folders = readdirSync(context.directory, { recursive: true, encoding: 'utf8' });
    expect(folders.filter((name) => name.includes('.work-'))).toEqual([]);
    expect(context.git('fsck', '--full')).not.toMatch(/error|missing|corrupt/);
  });
});

/** Files in the repository that only a command in progress may have; git's own children end by themselves. */
function leftovers(context: Setup): string[] {
  const names = readdirSync(join(context.path, '.git'), { recursive: true, encoding: 'utf8' });
  return names.filter((name) => /\.lock$|(?:^|\/)tmp_|fast_import_crash/.test(name));
}

async function until(condition: () => boolean): Promise<void> {
  const clock = createRealClock();
  const giveUpAtMs = clock.monotonicMs() + 5_000;
  while (!condition()) {
    if (clock.monotonicMs() > giveUpAtMs)
      throw new Error('Cannot see the condition come true within 5000 ms');
    await clock.sleep(5);
  }
}
