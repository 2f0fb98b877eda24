/** Paths longer than the system takes in one call. */
import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { setup } from './fixtures/setup.ts';

describe('writeGitDiff', () => {
  test('given folders nested deeper than a path can be long, when captured, the rest is captured and they are listed', async () => {
    const context = setup({ files: { 'a.txt': 'one\n' } });
    context.write({ 'a.txt': 'two\n' });
    const script = 'for i in $(seq 30); do mkdir "$0" && cd -P "./$0" || exit 1; done; : > file';
    execFileSync('sh', ['-c', script, 'd'.repeat(200)], { cwd: context.path });

    const record = await context.manager.writeGitDiff({ worktree: context.path });

    execFileSync('rm', ['-rf', 'd'.repeat(200)], { cwd: context.path });
    expect(context.git('show', `${record.tree}:a.txt`)).toBe('two\n');
    expect(record.leftOut).toMatchObject([{ reason: 'unreadable' }]);
    expect(record.leftOut[0]?.path).toMatch(/^d{200}\/d{200}\//);
  });
});
