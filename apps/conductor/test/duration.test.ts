import { describe, expect, test } from 'vitest';

import { formatDuration, parseDuration } from '../src/duration.ts';

describe('parseDuration', () => {
  test.for([
    ['250ms', 250],
    ['90s', 90_000],
    ['30m', 1_800_000],
    ['1h30m', 5_400_000],
    ['1.5h', 5_400_000],
    ['0s', 0],
    ['30', undefined],
    ['5 minutes', undefined],
    ['-1s', undefined],
    ['', undefined],
    ['99999999999999d', undefined],
  ] as const)('given %s, it gives %s', ([text, expected]) => {
    expect(parseDuration(text)).toBe(expected);
  });
});

describe('formatDuration', () => {
  test.for([
    [0, '0ms'],
    [999, '999ms'],
    [2_449, '2.4s'],
    [59_999, '59.9s'],
    [60_000, '1m 0s'],
    [5_400_000, '1h 30m'],
    [90_000_000, '1d 1h'],
  ] as const)('given %s ms, it reads %s', ([durationMs, expected]) => {
    expect(formatDuration(durationMs)).toBe(expected);
  });
});
