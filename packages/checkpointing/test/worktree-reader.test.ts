/** When the times of a file can be trusted. */
import { describe, expect, test } from 'vitest';
import { isRacy, type FileSignature } from '../src/worktree-reader.ts';

const NOW_MS = 1_000_000_000_000;

describe('isRacy', () => {
  test.for([
    ['just now', NOW_MS - 10, NOW_MS - 10, true],
    ['half a minute ago', NOW_MS - 34_000, NOW_MS - 34_000, true],
    ['longer ago than the kernel waits', NOW_MS - 36_000, NOW_MS - 36_000, false],
    ['with its old time put back', NOW_MS - 900_000, NOW_MS - 10, true],
    ['in the future', NOW_MS + 5_000, NOW_MS + 5_000, true],
  ] as const)('given a file changed %s, it says so', ([, modifiedAtMs, changedAtMs, expected]) => {
    const signature: FileSignature = {
      ino: 1n,
      size: 1n,
      mode: 0o100_644n,
      mtimeNs: BigInt(modifiedAtMs) * 1_000_000n,
      ctimeNs: BigInt(changedAtMs) * 1_000_000n,
    };

    expect(isRacy(signature, NOW_MS)).toBe(expected);
  });
});
