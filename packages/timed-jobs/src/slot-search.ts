/**
 * Finds slots from the far end of a stretch, without listing what lies before.
 * Invariant: a search looks back in ever wider steps, so it costs about what lies behind the slot it finds.
 */

import type { Schedule } from './schedule.ts';

/** @internal The last slot before `endMs`; `knownMs` is one of them. */
export function lastSlotBefore(schedule: Schedule, knownMs: number, endMs: number): number {
  for (let stepMs = LOOK_BACK_MS; ; stepMs *= 2) {
    const fromMs = Math.max(knownMs, endMs - stepMs - 1);
    let lastMs = fromMs === knownMs ? knownMs : undefined;
    for (
      let slotMs = schedule.nextAfter(fromMs);
      slotMs !== undefined && slotMs < endMs;
      slotMs = schedule.nextAfter(slotMs)
    ) {
      lastMs = slotMs;
    }
    if (lastMs !== undefined) return lastMs;
  }
}

/**
 * @internal Of the slots in (`openMs`, `dueMs`] outside of blackouts, the nth newest, the oldest when there are fewer,
 * Infinity when there is none. Yields each time a turn's worth of slots was looked at.
 */
export function* nthNewestOpenSlot(
  schedule: Schedule,
  openMs: number,
  dueMs: number,
  count: number,
): Generator<undefined, number, undefined> {
  let lookedAt = 0;
  for (let stepMs = LOOK_BACK_MS; ; stepMs *= 2) {
    const fromMs = Math.max(openMs, dueMs - stepMs);
    const newest: number[] = [];
    let slotMs = schedule.nextAfter(fromMs);
    while (slotMs !== undefined && slotMs <= dueMs) {
      lookedAt += 1;
      if (lookedAt % SLOTS_PER_TURN === 0) yield undefined;
      let passedMs = slotMs;
      if (schedule.isBlackedOut(slotMs)) passedMs = Math.min(schedule.blackoutChangeAfter(slotMs) - 1, dueMs);
      else newest.push(slotMs);
      // Trimmed in strides: shifting one by one would move the whole array each time.
      if (newest.length >= 2 * count) newest.splice(0, newest.length - count);
      slotMs = schedule.nextAfter(passedMs);
    }
    const found = newest.at(-count);
    if (found !== undefined) return found;
    if (fromMs === openMs) return newest[0] ?? Infinity;
  }
}

const LOOK_BACK_MS = 60_000;
/** A few milliseconds. */
const SLOTS_PER_TURN = 10_000;
