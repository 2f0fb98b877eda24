/**
 * Where cursors and decisions are kept: a port for the app to fill, and an in-memory store.
 * Invariant: a slot is decided once, in the same transaction as its effect, under a term that is still current.
 */

import type { PlannedDecision, SlotDecision, SlotReason } from './plan.ts';
import type { Overlap } from './schedule.ts';

/** A decision on its way into the store. */
export interface DecideRequest extends PlannedDecision {
  /** Name of the schedule. */
  readonly schedule: string;
  /** The leader's fencing number. */
  readonly term: number;
  /** What the effect of a `ran` slot is to do with earlier work: see {@link Overlap}. */
  readonly overlap: Overlap;
}

/** What came of it. Losing a race is an outcome, not an error. */
export interface DecideAnswer {
  /**
   * `decided`: written, with its effect. `already_decided`: the cursor was at this slot or past it; nothing changed.
   * `stale_term`: another term leads; nothing changed.
   */
  readonly outcome: 'decided' | 'already_decided' | 'stale_term';
}

/** A decision as the store kept it. */
export interface DecisionRecord {
  /** The slot, or the last of the slots decided together, UTC ms. */
  readonly slotMs: number;
  /** What became of it. */
  readonly decision: SlotDecision;
  /** Why. */
  readonly reason: SlotReason;
  /** Under which leadership. */
  readonly term: number;
}

/** The store of the app, seen through the four questions a scheduler asks. */
export interface SlotStore {
  /**
   * The last decided slot.
   *
   * @param schedule - its name
   * @returns UTC ms, or `undefined` when none was decided yet
   */
  cursor(schedule: string): Promise<number | undefined>;
  /**
   * In one transaction: checks the term, checks that `slotMs` is after the cursor, records the decision, moves the
   * cursor to `slotMs`, and, for `ran`, has the effect, such as raising a watermark to `slotMs`.
   *
   * @param request - what was decided
   */
  decide(request: DecideRequest): Promise<DecideAnswer>;
  /**
   * The newest decisions of a schedule, newest first.
   *
   * @param schedule - its name
   * @param page - only slots before `before` (UTC ms, default all), at most `limit` of them
   */
  decisions(
    schedule: string,
    page: { readonly before?: number; readonly limit: number },
  ): Promise<readonly DecisionRecord[]>;
}

/** What a store in memory does besides remembering. */
export interface MemorySlotStoreOptions {
  /**
   * The effect of a `ran` slot. When it throws, nothing is decided and `decide` rejects.
   *
   * @param request - the decision
   */
  readonly effect?: (request: DecideRequest) => void;
  /**
   * Decisions kept per schedule, the newest; at least 1.
   *
   * @defaultValue 1_000
   */
  readonly keptDecisions?: number;
}

/** A store in memory; gone with the process. */
export interface MemorySlotStore extends SlotStore {
  /**
   * Makes a term the current one; decisions under a lower one are stale from now on. Deciding under a higher one does
   * the same.
   *
   * @param term - the fencing number
   */
  raiseTerm(term: number): void;
}

/**
 * Makes an empty store in memory, for simulations, tests, and work that need not survive the process.
 *
 * @param options - the effect, and how much to remember
 * @throws RangeError when `keptDecisions` is not a positive integer
 */
export function createMemorySlotStore(options: MemorySlotStoreOptions = {}): MemorySlotStore {
  const { effect, keptDecisions = 1_000 } = options;
  if (!Number.isSafeInteger(keptDecisions) || keptDecisions < 1) {
    throw new RangeError(
      `Cannot create slot store: keptDecisions is "${keptDecisions}", expected a positive integer`,
    );
  }
  const cursors = new Map<string, number>();
  const recordsBySchedule = new Map<string, DecisionRecord[]>();
  let currentTerm = -Infinity;

  const keep = ({ schedule, slotMs, decision, reason, term }: DecideRequest): void => {
    const records = recordsBySchedule.get(schedule) ?? [];
    recordsBySchedule.set(schedule, records);
    records.push({ slotMs, decision, reason, term });
    // Trimmed in strides: shifting one by one would move the whole array each time.
    if (records.length >= 2 * keptDecisions) records.splice(0, records.length - keptDecisions);
  };

  return {
    async cursor(schedule) {
      return cursors.get(schedule);
    },
    async decide(request) {
      if (request.term < currentTerm) return STALE_TERM;
      const cursorMs = cursors.get(request.schedule);
      if (cursorMs !== undefined && cursorMs >= request.slotMs) return ALREADY_DECIDED;
      if (request.decision === 'ran') effect?.(request);
      currentTerm = request.term;
      cursors.set(request.schedule, request.slotMs);
      keep(request);
      return DECIDED;
    },
    async decisions(schedule, { before = Infinity, limit }) {
      const records = recordsBySchedule.get(schedule)?.slice(-keptDecisions) ?? [];
      return records
        .filter(({ slotMs }) => slotMs < before)
        .slice(-limit)
        .toReversed();
    },
    raiseTerm(term) {
      currentTerm = Math.max(currentTerm, term);
    },
  };
}

const DECIDED: DecideAnswer = { outcome: 'decided' };
const ALREADY_DECIDED: DecideAnswer = { outcome: 'already_decided' };
const STALE_TERM: DecideAnswer = { outcome: 'stale_term' };
