/** Waits before retries stay within their bounds. */
import { retryDelayMs } from '@conductor-run/job-store';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

describe('retryDelayMs', () => {
  test('given any exponential policy, when it is asked, the wait is an integer from 0 to the cap and to its ceiling', () => {
    const share = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    const property = fc.property(
      fc.nat(100_000),
      fc.nat(10_000_000),
      fc.integer({ min: 1, max: 5000 }),
      share,
      (baseMs, maxMs, failedAttempts, random) => {
        const delayMs = retryDelayMs({ policy: 'exponential', baseMs, maxMs }, failedAttempts, random);

        expect(Number.isSafeInteger(delayMs)).toBe(true);
        expect(delayMs).toBeGreaterThanOrEqual(0);
        expect(delayMs).toBeLessThanOrEqual(Math.min(maxMs, baseMs * 2 ** Math.min(failedAttempts - 1, 52)));
      },
    );

    expect(fc.defaultReportMessage(fc.check(property))).toBeUndefined();
  });

  test('given no base and more than a thousand failures, when it is asked, it is no wait rather than no number', () => {
    // Seed -21482233, path 18:0:1:0:3:1:0:0:0:0:1 of the property above.
    expect(retryDelayMs({ policy: 'exponential', baseMs: 0, maxMs: 0 }, 1025, 0)).toBe(0);
  });

  test('given a fixed policy, when it is asked, it says the same each time', () => {
    expect(retryDelayMs({ policy: 'fixed', delayMs: 7 }, 3, 0.9)).toBe(7);
  });
});
