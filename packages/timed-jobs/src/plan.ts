/**
 * What to do with the slots that are due: a pure function of schedule, cursor and time.
 * Invariant: the decisions of one plan cover every slot in (cursor, now] exactly once, oldest first, and what is held of
 * them does not grow with their number.
 */

import type { Schedule } from './schedule.ts';
import { lastSlotBefore, nthNewestOpenSlot } from './slot-search.ts';

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
  /** How many slots: counted up to 100,000, outside the catch-up window up to 1,000; more slots show that number. */
  readonly slotCount: number;
  /** What is to become of them. */
  readonly decision: SlotDecision;
  /** Why. */
  readonly reason: SlotReason;
}

/**
 * Decides every slot that is due. Takes no longer for a long catch-up window than for 100,000 slots, unless blackouts
 * cut it to pieces.
 *
 * @param input - schedule, cursor, now, and what else is known
 * @returns decisions, oldest first; empty when nothing is due
 */
export function planSlots(input: PlanInput): readonly PlannedDecision[] {
  const plan: PlannedDecision[] = [];
  for (const planned of planSteps(input)) if (planned !== undefined) plan.push(planned);
  return plan;
}

/**
 * @internal What {@link planSlots} decides, one decision after another; `undefined` each time a turn's worth of slots was
 * looked at, so that others may have theirs.
 */
export function planSteps(input: PlanInput): Iterable<PlannedDecision | undefined> {
  const { schedule, cursorMs, nowMs } = input;
  const dueMs = nowMs - schedule.delayMs;
  const firstMs = schedule.nextAfter(cursorMs);
  if (firstMs === undefined || firstMs > dueMs) return [];
  const secondMs = schedule.nextAfter(firstMs);
  const isSingle = secondMs === undefined || secondMs > dueMs;
  const windowStartMs = dueMs - Math.max(schedule.catchUpWindowMs, schedule.graceMs);
  // The common case, a node that keeps up, allocates one record.
  if (isSingle && firstMs >= windowStartMs) return [decideAlone(input, firstMs, dueMs)];
  return decideMany(input, firstMs, windowStartMs, dueMs);
}

/** The slots from `firstMs` to `dueMs`. */
function* decideMany(input: PlanInput, firstMs: number, windowStartMs: number, dueMs: number): PlanSteps {
  let openMs = input.cursorMs;
  if (firstMs < windowStartMs) {
    const stale = staleRange(input.schedule, firstMs, windowStartMs);
    yield stale;
    openMs = stale.slotMs;
  }
  yield* decideOpen(input, openMs, dueMs);
}

/** One slot, as if it were the only one. */
function decideAlone(input: PlanInput, slotMs: number, dueMs: number): PlannedDecision {
  const [decision, reason] = input.schedule.isBlackedOut(slotMs)
    ? SKIPPED_BLACKOUT
    : decideNewest(input, slotMs, dueMs);
  return { slotMs, firstSlotMs: slotMs, slotCount: 1, decision, reason };
}

/** The slots from `openMs` to `dueMs`, all inside the window. */
function* decideOpen(input: PlanInput, openMs: number, dueMs: number): PlanSteps {
  const { schedule } = input;
  const runCount = schedule.catchUp === 'all' ? schedule.catchUpMax : 1;
  const runsFromMs = yield* nthNewestOpenSlot(schedule, openMs, dueMs, runCount);
  let range: Range | undefined;
  let hasRun = false;
  let lookedAt = 0;
  for (
    let slotMs = schedule.nextAfter(openMs);
    slotMs !== undefined && slotMs <= dueMs;
    slotMs = schedule.nextAfter(slotMs)
  ) {
    lookedAt += 1;
    if (lookedAt % SLOTS_PER_TURN === 0) yield undefined;
    const outcome = decideOne(input, slotMs, dueMs, runsFromMs, hasRun);
    const [decision, reason] = outcome;
    if (decision === 'ran') hasRun = true;
    if (range !== undefined && isSameFate(range, outcome)) {
      range.slotMs = slotMs;
      range.slotCount = Math.min(range.slotCount + 1, COUNTED_SLOTS);
    } else {
      if (range !== undefined) yield range;
      range = { slotMs, firstSlotMs: slotMs, slotCount: 1, decision, reason };
    }
    if (range.slotCount === COUNTED_SLOTS) {
      const untilMs = Math.min(steadyUntil(input, slotMs, dueMs, runsFromMs), dueMs + 1);
      slotMs = lastSlotBefore(schedule, slotMs, untilMs);
      range.slotMs = slotMs;
    }
  }
  if (range !== undefined) yield range;
}

/** Consecutive slots with the same outcome are one decision; a run stands alone. */
function isSameFate(range: Range, [decision, reason]: Outcome): boolean {
  return decision !== 'ran' && range.decision === decision && range.reason === reason;
}

/** A slot among others; those from `runsFromMs` on may run, those before have newer ones to run for them. */
function decideOne(
  input: PlanInput,
  slotMs: number,
  dueMs: number,
  runsFromMs: number,
  hasRun: boolean,
): Outcome {
  const { schedule } = input;
  if (schedule.isBlackedOut(slotMs)) return SKIPPED_BLACKOUT;
  if (input.isPaused === true) return SKIPPED_PAUSED;
  if (slotMs >= runsFromMs) {
    if (hasRun && schedule.overlap === 'skip') return SKIPPED_OVERLAP;
    return decideNewest(input, slotMs, dueMs);
  }
  if (schedule.catchUp === 'all') return SKIPPED_MISSED;
  // What the newest slot does not run, it cannot run for its elders either.
  if (isOverlapping(input)) return SKIPPED_OVERLAP;
  if (schedule.catchUp === 'none' && isLate(schedule, slotMs, dueMs)) return absenceAt(input, slotMs);
  return COALESCED;
}

/** The first instant after `slotMs` at which {@link decideOne} may answer something else. */
function steadyUntil(
  { schedule, absences = [] }: PlanInput,
  slotMs: number,
  dueMs: number,
  runsFromMs: number,
): number {
  const { delayMs, graceMs } = schedule;
  let untilMs = schedule.blackoutChangeAfter(slotMs);
  const edge = (atMs: number): void => {
    if (atMs > slotMs) untilMs = Math.min(untilMs, atMs);
  };
  edge(runsFromMs);
  edge(dueMs - graceMs);
  for (const absence of absences) {
    edge(absence.fromMs - delayMs);
    edge(absence.untilMs - delayMs);
  }
  return untilMs;
}

/** The newest open slot, or any of them under `catchUp: 'all'`. */
function decideNewest(input: PlanInput, slotMs: number, dueMs: number): Outcome {
  const { schedule } = input;
  if (input.isPaused === true) return SKIPPED_PAUSED;
  const late = isLate(schedule, slotMs, dueMs);
  if (late && schedule.catchUp === 'none') return absenceAt(input, slotMs);
  if (isOverlapping(input)) return SKIPPED_OVERLAP;
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
    if (slotCount === COUNTED_STALE_SLOTS) {
      slotMs = lastSlotBefore(schedule, slotMs, windowStartMs);
      break;
    }
    slotMs = nextMs;
    slotCount += 1;
  }
  return { slotMs, firstSlotMs: firstMs, slotCount, decision: 'skipped', reason: 'outside-window' };
}

type Outcome = readonly [decision: SlotDecision, reason: SlotReason];

type PlanSteps = Generator<PlannedDecision | undefined, void, undefined>;

/** A decision that may still grow. */
interface Range extends PlannedDecision {
  slotMs: number;
  slotCount: number;
}

const SKIPPED_BLACKOUT: Outcome = ['skipped', 'blackout'];
const SKIPPED_PAUSED: Outcome = ['skipped', 'paused'];
const SKIPPED_OVERLAP: Outcome = ['skipped', 'overlap'];
const SKIPPED_MISSED: Outcome = ['skipped', 'missed'];
const COALESCED: Outcome = ['coalesced', 'newer-slot'];
/** More than a day of seconds, so that nothing by cron is miscounted within the default window. */
const COUNTED_SLOTS = 100_000;
const COUNTED_STALE_SLOTS = 1_000;
/** A few milliseconds. */
const SLOTS_PER_TURN = 10_000;
