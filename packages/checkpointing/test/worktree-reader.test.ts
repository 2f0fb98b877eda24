/** When the times of a file can be trusted. */
import { describe, expect, test } from 'vitest';
import { isRacy, type FileSignature } from '../src/worktree-reader.ts';

const NOW_MS = 1_000_000_000_000;

describe('isRacy', () => {
  test.for([
    ['just now', NOW_MS - 10, NOW_MS - 10, 1n, true],
    ['a second ago, on fine times', NOW_MS - 1_000, NOW_MS - 1_000, 1n, false],
    ['a second ago, on whole seconds', NOW_MS - 1_000, NOW_MS - 1_000, 0n, true],
    ['long ago, on whole seconds', NOW_MS - 3_000, NOW_MS - 3_000, 0n, false],
    ['with its old time put back', NOW_MS - 900_000, NOW_MS - 10, 1n, true],
    ['in the future', NOW_MS + 5_000, NOW_MS + 5_000, 1n, true],
  ] as const)('given a file changed %s, it says so', ([, modifiedAtMs, changedAtMs, extraNs, expected]) => {
    const signature: FileSignature = {
      ino: 1n,
      size: 1n,
      mode: 0o100_644n,
      mtimeNs: BigInt(modifiedAtMs) * 1_000_000n + extraNs,
      ctimeNs: BigInt(changedAtMs) * 1_000_000n + extraNs,
    };

    expect(isRacy(signature, NOW_MS)).toBe(expected);
  });
});
