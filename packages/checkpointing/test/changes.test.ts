/** Which files of an earlier capture are read again. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { lookAtChanges, type ChangeContext, type KnownFile } from '../src/changes.ts';
import { untracked } from '../src/git-status.ts';
import { silentRedactor } from '../src/options.ts';
import { createWorktreeReader } from '../src/worktree-reader.ts';
import { temporaryDirectory } from './fixtures/git-repo.ts';

/** The name of the blob "content". */
const CONTENT_OID = '6b584e8ece562ebffc15d38808cd6b98fc3d97ea';
const OTHER_OID = 'f'.repeat(40);

describe('lookAtChanges', () => {
  test.for([
    ['a young file that is what it was', 10_000, false, CONTENT_OID, 'reused', false],
    ['a young file that changed without its times showing it', 10_000, false, OTHER_OID, 'read', undefined],
    ['an older file that was young when it was read', 60_000, false, CONTENT_OID, 'reused', true],
    [
      'an older file that was young when it was read, and changed',
      60_000,
      false,
      OTHER_OID,
      'read',
      undefined,
    ],
    ['a file that was old when it was read', 60_000, true, OTHER_OID, 'reused', true],
  ] as const)('given %s, it is %s', async ([, ageMs, isSettled, oid, expected, isSettledNow]) => {
    const topLevel = temporaryDirectory();
    writeFileSync(join(topLevel, 'file'), 'content');
    const reader = createWorktreeReader(topLevel, 'sha1');
    const seen = reader.look('file');
    if (seen.kind !== 'file') throw new Error('Cannot look at the file');
    const { signature } = seen;
    const known: KnownFile = { signature, oid, mode: '100644', bytes: 7, hasSecret: false, isSettled };
    const context: ChangeContext = {
      reader,
      limits: {
        maxUntrackedFileBytes: 1e6,
        maxTrackedFileBytes: 1e6,
        maxTotalBytes: 1e6,
        maxUntrackedFiles: 10,
      },
      redactor: silentRedactor,
      hasExecutableBit: true,
      known: new Map([['file', known]]),
      nowMs: Number(signature.ctimeNs / 1_000_000n) + ageMs,
    };

    const { reused, toRead } = await lookAtChanges([untracked('file')], context);

    expect(toRead).toHaveLength(expected === 'read' ? 1 : 0);
    expect(reused.get('file')?.isSettled).toBe(isSettledNow);
  });
});
