/** How fast one address may ask. Invariant: memory is bounded, however many addresses come. */
import type { Clock } from '@conductor-run/clock';

/** A limit per address. */
export interface RateLimit {
  /** Whether one more request of this address is within the limit; counts it when it is. */
  take(address: string): boolean;
}

/**
 * Makes a token bucket per address.
 *
 * @param perSecond - requests a second in the long run
 * @param burst - requests at once after a pause
 * @param clock - where time comes from
 */
export function createRateLimit(perSecond: number, burst: number, clock: Clock): RateLimit {
  const buckets = new Map<string, { left: number; atMs: number }>();
  return {
    take(address) {
      const nowMs = clock.monotonicMs();
      const bucket = buckets.get(address) ?? { left: burst, atMs: nowMs };
      bucket.left = Math.min(burst, bucket.left + ((nowMs - bucket.atMs) / 1_000) * perSecond);
      bucket.atMs = nowMs;
      // The address seen least recently goes first.
      buckets.delete(address);
      buckets.set(address, bucket);
      if (buckets.size > MAX_ADDRESSES) buckets.delete(buckets.keys().next().value ?? address);
      if (bucket.left < 1) return false;
      bucket.left -= 1;
      return true;
    },
  };
}

const MAX_ADDRESSES = 10_000;
