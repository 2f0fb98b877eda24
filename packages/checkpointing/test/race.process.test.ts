/** Capturing while somebody else writes, and what cannot be read. */
import { chmodSync, chownSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { replayCheckpoint, verifyCheckpoints, type GitDiffRecord } from '@conductor-run/checkpointing';
import { describe, expect, inject, test } from 'vitest';
import { startChild } from './fixtures/child.ts';
import { isRoot, setup } from './fixtures/setup.ts';

describe('a work tree that changes while it is captured', () => {
  test('given a process that creates, grows, truncates and deletes files, when captured again and again, every record verifies', async () => {
    const rounds = inject('soak') ? 200 : 8;
    const context = setup({
      files: Object.fromEntries(
        Array.from({ length: 160 }, (_, index) => [
          `churn-${index % 4}/file-${index % 40}`,
          `${index}\n`.repeat(50),
        ]),
      ),
    });
    const churn = startChild('churn.ts', [context.path]);
    await churn.nextLine();

    const records: GitDiffRecord[] = [];
    for (let round = 0; round < rounds; round++) {
      records.push(
        await context.manager.writeGitDiff({ worktree: context.path, includeIndex: round % 5 === 0 }),
      );
    }
    await churn.kill();

    expect(records.map(({ seq }) => seq)).toEqual(Array.from({ length: rounds }, (_, index) => index + 1));
    const report = await verifyCheckpoints(context.directory, { env: context.env });
    expect(report).toMatchObject({ problems: [], skippedLines: [], unfinished: [] });
    expect(report.verified).toHaveLength(rounds);
    for (const record of records.filter(({ seq }) => seq % 10 === 1)) {
      const directory = join(context.temp, `replay-${record.seq}`);
      const replayed = await replayCheckpoint(record, { directory, env: context.env });
      expect(replayed).toMatchObject({ tree: record.tree });
    }
    expect(context.git('fsck', '--connectivity-only')).toBe('');
  });
});

describe('what may not be read', () => {
  test('given an unreadable file and folder, when captured by a user who is not root, they are listed and the rest is captured', async () => {
    const context = setup({ files: { 'a.txt': 'a\n', 'closed.txt': 'c\n', 'inner/d.txt': 'd\n' } });
    context.write({
      'a.txt': 'changed\n',
      'closed.txt': 'changed\n',
      'secret.txt': 's\n',
      'hidden/x.txt': 'x\n',
    });
    for (const name of ['closed.txt', 'secret.txt', 'hidden']) chmodSync(join(context.path, name), 0o000);
    context.git('config', '--global', 'safe.directory', '*');
    const uid = isRoot() ? NOBODY : undefined;
    if (uid !== undefined) giveTo(context.temp, uid);

    const options = {
      worktree: context.path,
      directory: context.directory,
      runId: 'run-1',
      env: context.env,
      rounds: 1,
    };
    const child = startChild('capture-child.ts', [JSON.stringify(options)], uid === undefined ? {} : { uid });
    await child.nextLine();
    const record = JSON.parse(await child.nextLine()) as GitDiffRecord;

    expect(Object.fromEntries(record.leftOut.map(({ path, reason }) => [path, reason]))).toEqual({
      'closed.txt': 'unreadable',
      hidden: 'unreadable',
      'secret.txt': 'unreadable',
    });
    expect(record.diffStat).toEqual({ filesChanged: 1, insertions: 1, deletions: 1 });
    expect(await verifyCheckpoints(context.directory, { env: context.env })).toMatchObject({
      verified: [1],
      unfinished: [],
    });
  });
});

function giveTo(path: string, uid: number): void {
  chownSync(path, uid, uid);
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const child = join(path, entry.name);
    if (entry.isDirectory()) giveTo(child, uid);
    else chownSync(child, uid, uid);
  }
}

const NOBODY = 65_534;
