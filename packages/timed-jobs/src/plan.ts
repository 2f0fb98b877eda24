/**
 * What to do with the slots that are due: a pure function of schedule, cursor and time.
 * Invariant: the decisions of one plan cover every slot in (cursor, now] exactly once, oldest first.
 */

import type { Schedule } from './schedule.ts';

/** What became of a slot: it ran, a newer slot ran for it, or nothing did. `anchored` marks where a schedule began. */
export type SlotDecision = 'ran' | 'coalesced' | 'skipped' | 'anchored';

/**
 * Why. `ran`: on-time, caught-up. `coalesced`: newer-slot. `skipped`: overlap, paused, not-leader, blackout,
 * outside-window (older than the catch-up window), missed (nobody was there, or more than `catchUpMax`).
 * `anchored`: first-seen.
 */
export type SlotReason =
  | 'on-time'
  | 'caught-up'
  | 'newer-slot'
  | 'overlap'
  | 'paused'
  | 'not-leader'
  | 'blackout'
  | 'outside-window'
  | 'missed'
  | 'first-seen';

/** A stretch of time in which this node did not decide slots, and why. */
export interface Absence {
  /** First instant, UTC ms. */
  readonly fromMs: number;
  /** First instant after it, UTC ms. */
  readonly untilMs: number;
  /** What kept it from deciding. */
  readonly reason: 'paused' | 'not-leader';
}

/** What is known about a schedule besides its definition. Everything has a default that means "nothing special". */
export interface SlotState {
  /**
   * Work of earlier slots that is not finished.
   *
   * @defaultValue 0
   */
  readonly runningCount?: number;
  /**
   * Whether the schedule itself is paused.
   *
   * @defaultValue false
   */
  readonly isPaused?: boolean;
  /**
   * When this node did not decide slots, oldest first; explains slots that are not caught up.
   *
   * @defaultValue []
   */
  readonly absences?: readonly Absence[];
}

/** What {@link planSlots} looks at. */
export interface PlanInput extends SlotState {
  /** Whose slots. */
  readonly schedule: Schedule;
  /** The last decided slot, UTC ms; slots after it are open. */
  readonly cursorMs: number;
  /** The present, UTC ms. */
  readonly nowMs: number;
}

/** One decision about one slot, or about consecutive slots that share it. */
export interface PlannedDecision {
  /** The slot, or the last of the slots, UTC ms. */
  readonly slotMs: number;
  /** The first of the slots, UTC ms; equal to `slotMs` for one. */
  readonly firstSlotMs: number;
  /** How many slots; slots outside the catch-up window are not counted beyond 1,000. */
  readonly slotCount: number;
  /** What is to become of them. */
  readonly decision: SlotDecision;
  /** Why. */
  readonly reason: SlotReason;
}

/**
 * Decides every slot that is due.
 *
 * @param input - schedule, cursor, now, and what else is known
 * @returns decisions, oldest first; empty when nothing is due
 */
export function planSlots(input: PlanInput): readonly PlannedDecision[] {
  const { schedule, cursorMs, nowMs } = input;
  const dueMs = nowMs - schedule.delayMs;
  const firstMs = schedule.nextAfter(cursorMs);
  if (firstMs === undefined || firstMs > dueMs) return [];
  const secondMs = schedule.nextAfter(firstMs);
  const isSingle = secondMs === undefined || secondMs > dueMs;
  const windowStartMs = dueMs - Math.max(schedule.catchUpWindowMs, schedule.graceMs);
  // The common case, a node that keeps up, allocates one record.
  if (isSingle && firstMs >= windowStartMs) return [decideAlone(input, firstMs, dueMs)];

  const plan: PlannedDecision[] = [];
  let openMs = cursorMs;
  if (firstMs < windowStartMs) {
    const stale = staleRange(schedule, firstMs, windowStartMs);
    plan.push(stale);
    openMs = stale.slotMs;
  }
  return plan.concat(decideOpen(input, openMs, dueMs));
}

/** One slot, as if it were the only one. */
function decideAlone(input: PlanInput, slotMs: number, dueMs: number): PlannedDecision {
  const [decision, reason] = input.schedule.isBlackedOut(slotMs)
    ? SKIPPED_BLACKOUT
    : decideNewest(input, slotMs, dueMs);
  return { slotMs, firstSlotMs: slotMs, slotCount: 1, decision, reason };
}

/** The slots from `openMs` to `dueMs`, all inside the window. */
function decideOpen(input: PlanInput, openMs: number, dueMs: number): readonly PlannedDecision[] {
  const { schedule } = input;
  const slots: number[] = [];
  const isBlackedOut: boolean[] = [];
  let candidateCount = 0;
  for (
    let slotMs = schedule.nextAfter(openMs);
    slotMs !== undefined && slotMs <= dueMs;
    slotMs = schedule.nextAfter(slotMs)
  ) {
    const blackedOut = schedule.isBlackedOut(slotMs);
    slots.push(slotMs);
    isBlackedOut.push(blackedOut);
    if (!blackedOut) candidateCount += 1;
  }

  const ranges = createRanges();
  let rank = candidateCount;
  let hasRun = false;
  for (const [index, slotMs] of slots.entries()) {
    if (isBlackedOut[index] === true) {
      ranges.add(slotMs, SKIPPED_BLACKOUT);
      continue;
    }
    rank -= 1;
    const outcome = decideRanked({ ...input, isPreviousOpen: hasRun }, slotMs, dueMs, rank);
    if (outcome[0] === 'ran') hasRun = true;
    ranges.add(slotMs, outcome);
  }
  return ranges.list();
}

interface RankedInput extends PlanInput {
  /** A slot of this very plan runs before this one. */
  readonly isPreviousOpen: boolean;
}

/** A slot with `newerCount` open slots after it that are not blacked out. */
function decideRanked(input: RankedInput, slotMs: number, dueMs: number, newerCount: number): Outcome {
  const { schedule, isPreviousOpen } = input;
  if (input.isPaused === true) return ['skipped', 'paused'];
  if (schedule.catchUp === 'all') {
    if (newerCount >= schedule.catchUpMax) return ['skipped', 'missed'];
    if (schedule.overlap === 'skip' && isPreviousOpen) return ['skipped', 'overlap'];
    return decideNewest(input, slotMs, dueMs);
  }
  if (newerCount === 0) return decideNewest(input, slotMs, dueMs);
  // What the newest slot does not run, it cannot run for its elders either.
  if (isOverlapping(input)) return ['skipped', 'overlap'];
  if (schedule.catchUp === 'none' && isLate(schedule, slotMs, dueMs)) return absenceAt(input, slotMs);
  return ['coalesced', 'newer-slot'];
}

/** The newest open slot, or any of them under `catchUp: 'all'`. */
function decideNewest(input: PlanInput, slotMs: number, dueMs: number): Outcome {
  const { schedule } = input;
  if (input.isPaused === true) return ['skipped', 'paused'];
  const late = isLate(schedule, slotMs, dueMs);
  if (late && schedule.catchUp === 'none') return absenceAt(input, slotMs);
  if (isOverlapping(input)) return ['skipped', 'overlap'];
  return ['ran', late ? 'caught-up' : 'on-time'];
}

function isOverlapping(input: PlanInput): boolean {
  return input.schedule.overlap === 'skip' && (input.runningCount ?? 0) > 0;
}

function isLate(schedule: Schedule, slotMs: number, dueMs: number): boolean {
  return dueMs - slotMs > schedule.graceMs;
}

/** Why nobody decided this slot in time. */
function absenceAt({ schedule, absences = [] }: PlanInput, slotMs: number): Outcome {
  const firesAtMs = slotMs + schedule.delayMs;
  const absence = absences.find(({ fromMs, untilMs }) => firesAtMs >= fromMs && firesAtMs < untilMs);
  return ['skipped', absence?.reason ?? 'missed'];
}

/** All slots older than the window, as one decision: a schedule that was down for a year must not cost a year of records. */
function staleRange(schedule: Schedule, firstMs: number, windowStartMs: number): PlannedDecision {
  let slotCount = 1;
  let slotMs = firstMs;
  for (
    let nextMs = schedule.nextAfter(slotMs);
    nextMs !== undefined && nextMs < windowStartMs;
    nextMs = schedule.nextAfter(slotMs)
  ) {
    if (slotCount === COUNTED_SLOTS) {
      slotMs = lastSlotBefore(schedule, slotMs, windowStartMs);
      break;
    }
    slotMs = nextMs;
    slotCount += 1;
  }
  return { slotMs, firstSlotMs: firstMs, slotCount, decision: 'skipped', reason: 'outside-window' };
}

/** The last slot before `endMs`; `knownMs` is one of them. Looks back in ever wider steps. */
function lastSlotBefore(schedule: Schedule, knownMs: number, endMs: number): number {
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

type Outcome = readonly [decision: SlotDecision, reason: SlotReason];

/** Joins consecutive slots with the same outcome; a run is never joined. */
function createRanges(): { add(slotMs: number, outcome: Outcome): void; list(): readonly PlannedDecision[] } {
  const list: PlannedDecision[] = [];
  return {
    add(slotMs, [decision, reason]) {
      const last = list.at(-1);
      if (last !== undefined && decision !== 'ran' && last.decision === decision && last.reason === reason) {
        list[list.length - 1] = { ...last, slotMs, slotCount: last.slotCount + 1 };
        return;
      }
      list.push({ slotMs, firstSlotMs: slotMs, slotCount: 1, decision, reason });
    },
    list: () => list,
  };
}

const SKIPPED_BLACKOUT: Outcome = ['skipped', 'blackout'];
const COUNTED_SLOTS = 1_000;
const LOOK_BACK_MS = 60_000;
