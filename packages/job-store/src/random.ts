/** The default source of randomness. */
import { randomInt } from 'node:crypto';

/** @internal A number from 0 up to, not including, 1. */
export function systemRandom(): number {
  return randomInt(RANGE) / RANGE;
}

const RANGE = 2 ** 47;
