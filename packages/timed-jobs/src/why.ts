/** Finds the decision that covers a slot. Invariant: that is the first decision at or after the slot, whoever recorded it. */

import { type SlotExplanation, whyNoSlot } from './forecast.ts';
import type { Schedule } from './schedule.ts';
import type { DecisionRecord, SlotStore } from './slot-store.ts';

/** Why a slot ran, did not run, or is none. */
export type SlotAnswer =
  | SlotExplanation
  | ({
      /** In the record. When its `slotMs` is later than the slot asked about, the two were decided together. */
      readonly status: 'decided';
    } & DecisionRecord)
  | {
      /** Before the cursor, and its record is gone: the store keeps decisions for a limited time. */
      readonly status: 'forgotten';
    };

/** @internal For a slot that is not after the cursor. */
export async function findDecision(
  slots: SlotStore,
  schedule: Schedule,
  slotMs: number,
): Promise<SlotAnswer> {
  const nextSlotMs = schedule.nextAfter(slotMs - 1);
  if (nextSlotMs !== slotMs) return { status: 'not-a-slot', reason: whyNoSlot(schedule, slotMs), nextSlotMs };

  const [before] = await slots.decisions(schedule.name, { before: slotMs + 1, limit: 1 });
  // Every schedule's record begins with an anchor: when nothing is older than the slot, its decision was pruned.
  if (before === undefined) return { status: 'forgotten' };
  if (before.slotMs === slotMs) return { status: 'decided', ...before };
  const covering = await firstAtOrAfter(slots, schedule.name, slotMs);
  return covering === undefined ? { status: 'forgotten' } : { status: 'decided', ...covering };
}

/** Pages back from ever later instants, since the store lists newest first. */
async function firstAtOrAfter(
  slots: SlotStore,
  name: string,
  slotMs: number,
): Promise<DecisionRecord | undefined> {
  const [newest] = await slots.decisions(name, { limit: 1 });
  if (newest === undefined || newest.slotMs < slotMs) return undefined;
  let found: DecisionRecord = newest;
  for (let spanMs = FIRST_SPAN_MS; slotMs + spanMs < newest.slotMs; spanMs *= 4) {
    const [before] = await slots.decisions(name, { before: slotMs + spanMs, limit: 1 });
    if (before !== undefined && before.slotMs >= slotMs) {
      found = before;
      break;
    }
  }
  for (;;) {
    const page = await slots.decisions(name, { before: found.slotMs, limit: PAGE_LENGTH });
    const later = page.filter((record) => record.slotMs >= slotMs);
    found = later.at(-1) ?? found;
    if (later.length < PAGE_LENGTH) return found;
  }
}

const FIRST_SPAN_MS = 3_600_000;
const PAGE_LENGTH = 100;
