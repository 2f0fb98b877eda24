/** FIFOs where git keeps its files: whoever opens one waits for a writer that never comes. */
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { setup } from './fixtures/setup.ts';

describe('writeGitDiff', () => {
  test.for(['commondir', 'HEAD', 'config', 'packed-refs', 'index'])(
    'given a FIFO as .git/%s, when captured, it fails at once and the process goes on',
    async (name) => {
      const context = setup({ files: { 'a.txt': 'one\n' } });
      context.git('pack-refs', '--all');
      const path = join(context.path, '.git', name);
      rmSync(path, { force: true });
      execFileSync('mkfifo', [path]);

      const captured = context.manager.writeGitDiff({ worktree: context.path });

      await expect(captured).rejects.toMatchObject({
        code: 'git-failed',
        message: expect.stringContaining(`"${path}"`) as string,
      });
    },
  );
});
