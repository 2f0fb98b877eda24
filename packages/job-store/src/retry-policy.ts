/** When to try again after a failure. Pure: randomness comes in as a number. */
import { requireMs } from './options.ts';

/** When to try again. */
export type RetryPolicy =
  | {
      readonly policy: 'fixed';
      /** The wait before each retry, in ms. */
      readonly delayMs: number;
    }
  | {
      readonly policy: 'exponential';
      /** The longest wait before the first retry, in ms; it doubles with each further one. */
      readonly baseMs: number;
      /** The longest wait of all, in ms. */
      readonly maxMs: number;
    };

/** The policy of a store that was opened without one: up to 1 s, then doubling up to 5 minutes. */
export const DEFAULT_RETRY_POLICY: RetryPolicy = { policy: 'exponential', baseMs: 1000, maxMs: 300_000 };

/**
 * How long to wait before the next attempt.
 *
 * @param policy - the rule
 * @param failedAttempts - how many attempts have failed since the last reset, at least 1
 * @param random - a number from 0 up to, not including, 1; full jitter spreads a herd over the whole wait
 * @returns integer ms from 0 to the cap
 */
export function retryDelayMs(policy: RetryPolicy, failedAttempts: number, random: number): number {
  if (policy.policy === 'fixed') return policy.delayMs;
  const ceilingMs = Math.min(policy.maxMs, policy.baseMs * 2 ** Math.min(failedAttempts - 1, 52));
  return Math.floor(random * (ceilingMs + 1));
}

/** @internal Throws RangeError unless the policy is one of those above, with waits that are integers of at least 0 ms. */
export function requireRetryPolicy(policy: RetryPolicy): void {
  // For callers without types; the compiler sees no other name.
  const name: string = policy.policy;
  switch (policy.policy) {
    case 'fixed':
      requireMs('retry.delayMs', policy.delayMs);
      return;
    case 'exponential':
      requireMs('retry.baseMs', policy.baseMs);
      requireMs('retry.maxMs', policy.maxMs);
      return;
  }
  throw new RangeError(`Cannot use retry.policy "${name}": expected "fixed" or "exponential"`);
}
