/**
 * What will become of slots, and what a slot is: pure functions of schedule, cursor and time.
 * Invariant: a forecast of a due slot says what `planSlots` says, since both are the same steps.
 */

import {
  planSteps,
  type PlannedDecision,
  type SlotDecision,
  type SlotReason,
  type SlotState,
} from './plan.ts';
import type { Schedule } from './schedule.ts';

/** What a forecast takes into account. */
export interface ForecastState extends SlotState {
  /** The last decided slot, UTC ms. Without it, slots before `nowMs` are left out. */
  readonly cursorMs?: number | undefined;
  /**
   * The present, UTC ms.
   *
   * @defaultValue the start of the forecast
   */
  readonly nowMs?: number;
  /** When the unfinished work is expected to end, UTC ms: slots firing before are skipped under `overlap: 'skip'`. */
  readonly runningUntilMs?: number;
  /**
   * How many entries at most.
   *
   * @defaultValue 1_000
   */
  readonly limit?: number;
}

/** A slot to come, or one that is due and open. */
export interface ForecastSlot extends PlannedDecision {
  /** Name of the schedule. */
  readonly schedule: string;
  /** When it fires: the slot plus the schedule's jitter, UTC ms; for an overdue slot, now. */
  readonly firesAtMs: number;
}

/**
 * The slots of a schedule, without policy.
 *
 * @param schedule - whose
 * @param options - strictly after `afterMs`, at most `limit` (default 10), none after `untilMs` (default unlimited)
 * @returns UTC ms, ascending
 */
export function nextSlots(
  schedule: Schedule,
  options: { readonly afterMs: number; readonly limit?: number; readonly untilMs?: number },
): readonly number[] {
  const { afterMs, limit = 10, untilMs = Infinity } = options;
  const slots: number[] = [];
  let slotMs = schedule.nextAfter(afterMs);
  while (slotMs !== undefined && slotMs <= untilMs && slots.length < limit) {
    slots.push(slotMs);
    slotMs = schedule.nextAfter(slotMs);
  }
  return slots;
}

/**
 * Lists what will become of the slots from `fromMs` (inclusive) to `toMs` (exclusive), oldest first.
 * Entries with decision `ran` will fire; the others carry the reason why not.
 *
 * @param schedule - whose slots
 * @param fromMs - UTC ms
 * @param toMs - UTC ms
 * @param state - cursor, now, and what else is known
 */
export function forecast(
  schedule: Schedule,
  fromMs: number,
  toMs: number,
  state: ForecastState = {},
): readonly ForecastSlot[] {
  const { nowMs = fromMs, cursorMs, limit = 1_000 } = state;
  const { name, delayMs } = schedule;
  const overdue = cursorMs === undefined ? [] : planSteps({ ...state, schedule, cursorMs, nowMs });
  const list: ForecastSlot[] = [];
  const isNowAsked = nowMs >= fromMs && nowMs < toMs;
  for (const planned of overdue) {
    if (planned === undefined) continue;
    if (list.length >= limit || (!isNowAsked && planned.firstSlotMs >= toMs)) break;
    if (isNowAsked || planned.slotMs >= fromMs) list.push({ ...planned, schedule: name, firesAtMs: nowMs });
  }

  // With a cursor, a slot of this very instant is among the overdue.
  const presentMs = nowMs - delayMs - (cursorMs === undefined ? 1 : 0);
  const openMs = Math.max(fromMs - 1, presentMs, cursorMs ?? -Infinity);
  const upcoming = nextSlots(schedule, { afterMs: openMs, limit: limit - list.length, untilMs: toMs - 1 });
  for (const slotMs of upcoming) {
    const [decision, reason] = foresee(schedule, slotMs, state);
    list.push({
      schedule: name,
      slotMs,
      firstSlotMs: slotMs,
      slotCount: 1,
      decision,
      reason,
      firesAtMs: slotMs + delayMs,
    });
  }
  return list.slice(0, limit);
}

function foresee(
  schedule: Schedule,
  slotMs: number,
  { isPaused, runningUntilMs = -Infinity }: ForecastState,
): readonly [SlotDecision, SlotReason] {
  if (schedule.isBlackedOut(slotMs)) return ['skipped', 'blackout'];
  if (isPaused === true) return ['skipped', 'paused'];
  const isOverlapping = schedule.overlap === 'skip' && slotMs + schedule.delayMs < runningUntilMs;
  return isOverlapping ? ['skipped', 'overlap'] : ['ran', 'on-time'];
}

/** What an instant is to a schedule, as far as can be said without the record of decisions. */
export type SlotExplanation =
  | {
      /** Open: to be decided as soon as this node may. */
      readonly status: 'overdue' | 'upcoming';
      /** What will become of it as things are. */
      readonly decision: SlotDecision;
      /** Why. */
      readonly reason: SlotReason;
      /** When it fires, UTC ms. */
      readonly firesAtMs: number;
    }
  | {
      /** The schedule has no slot at this instant. */
      readonly status: 'not-a-slot';
      /** Whether it is out of the schedule's life, between two slots, or before any node knew the schedule. */
      readonly reason: 'before-not-before' | 'after-not-after' | 'between-slots' | 'before-first-seen';
      /** The first slot after the instant, UTC ms. */
      readonly nextSlotMs: number | undefined;
    };

/**
 * Explains an instant that was not decided.
 *
 * @param schedule - whose slot it may be
 * @param slotMs - the instant, UTC ms
 * @param state - cursor, now, and what else is known
 */
export function explainSlot(
  schedule: Schedule,
  slotMs: number,
  state: ForecastState & { readonly nowMs: number },
): SlotExplanation {
  const nextSlotMs = schedule.nextAfter(slotMs - 1);
  if (nextSlotMs !== slotMs) return { status: 'not-a-slot', reason: whyNoSlot(schedule, slotMs), nextSlotMs };
  const { cursorMs = slotMs - 1, nowMs } = state;
  const isOverdue = slotMs + schedule.delayMs <= nowMs;
  if (isOverdue && state.cursorMs === undefined && schedule.kind !== 'at') {
    // The first leader that sees a schedule begins with its next slot.
    return { status: 'not-a-slot', reason: 'before-first-seen', nextSlotMs: schedule.nextAfter(nowMs) };
  }
  const entries = isOverdue
    ? forecast(schedule, slotMs, slotMs + 1, { ...state, cursorMs, limit: Infinity })
    : forecast(schedule, slotMs, slotMs + 1, { ...state, cursorMs: undefined });
  const entry = entries.find((candidate) => candidate.firstSlotMs <= slotMs && candidate.slotMs >= slotMs);
  if (entry === undefined) return { status: 'not-a-slot', reason: 'between-slots', nextSlotMs };
  const { decision, reason, firesAtMs } = entry;
  return { status: isOverdue ? 'overdue' : 'upcoming', decision, reason, firesAtMs };
}

/** @internal What keeps an instant from being a slot. */
export function whyNoSlot(
  schedule: Schedule,
  slotMs: number,
): 'before-not-before' | 'after-not-after' | 'between-slots' {
  if (slotMs < schedule.notBeforeMs) return 'before-not-before';
  if (slotMs > schedule.notAfterMs) return 'after-not-after';
  return 'between-slots';
}
