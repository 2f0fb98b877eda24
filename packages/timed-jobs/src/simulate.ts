/**
 * Time lapse: the real scheduler on the manual clock and cursors in memory.
 * Invariant: nothing outside is read or written, so the same input gives the same decisions.
 */

import { createManualClock } from '@conductor-run/clock';
import type { Absence, SlotDecision, SlotReason } from './plan.ts';
import { createScheduler, type Scheduler } from './scheduler.ts';
import { parseSchedule, type ScheduleSpec } from './schedule.ts';
import type { DecideAnswer, DecideRequest, SlotStore } from './slot-store.ts';

/** A stretch of time in which nothing is decided. */
export interface Outage {
  /** First instant, UTC ms. */
  readonly fromMs: number;
  /** First instant after it, UTC ms. */
  readonly untilMs: number;
  /** What it looks like afterwards: `down` leaves no trace, so that slots count as missed. */
  readonly reason: Absence['reason'] | 'down';
}

/** What to play through. */
export interface SimulateOptions {
  /** The schedules, as configured. */
  readonly schedules: readonly ScheduleSpec[];
  /** Where to begin, UTC ms. Schedules count as first seen then. */
  readonly fromMs: number;
  /** Where to end, UTC ms, exclusive. */
  readonly toMs: number;
  /**
   * When nobody decides; in order, not overlapping.
   *
   * @defaultValue []
   */
  readonly outages?: readonly Outage[];
  /**
   * How long the work of a slot takes, in ms; matters to `overlap: 'skip'`.
   *
   * @defaultValue 0 for every schedule
   */
  readonly workMs?: (schedule: string) => number;
  /** Called for every decision, in the order they are made. */
  readonly onDecision?: (decision: SimulatedDecision) => void;
  /** Ends the simulation early: the promise rejects with its reason. */
  readonly signal?: AbortSignal;
}

/** A decision and the simulated instant it was made. */
export interface SimulatedDecision extends DecideRequest {
  /** UTC ms. */
  readonly decidedAtMs: number;
}

/** What became of the slots of one schedule. */
export interface SimulatedSchedule {
  /** Its name. */
  readonly schedule: string;
  /** Slots by what became of them. */
  readonly counts: Readonly<Record<Exclude<SlotDecision, 'anchored'>, number>>;
  /** Skipped slots by reason; only reasons that occurred. */
  readonly skipped: Readonly<Partial<Record<SlotReason, number>>>;
}

/** What became of everything. */
export interface SimulationResult {
  /** Slots decided, whatever the decision. */
  readonly slotCount: number;
  /** One entry per schedule, in the order given. */
  readonly schedules: readonly SimulatedSchedule[];
}

/**
 * Plays schedules through without waiting.
 *
 * @param options - schedules, span, and what goes wrong in it
 * @throws {@link TimedJobsError} with code `invalid-schedule` or `duplicate-schedule`, RangeError when the span is not one
 */
export async function simulate(options: SimulateOptions): Promise<SimulationResult> {
  const { fromMs, toMs, outages = [], workMs = () => 0, onDecision, signal } = options;
  if (!Number.isSafeInteger(fromMs) || !Number.isSafeInteger(toMs) || toMs < fromMs) {
    throw new RangeError(
      `Cannot simulate from "${fromMs}" to "${toMs}" ms: expected two instants in UTC milliseconds, in order`,
    );
  }
  const clock = createManualClock({ nowMs: fromMs });
  const tallies = new Map<string, Tally>();
  const busyUntilMs = new Map<string, number>();
  const cursors = new Map<string, number>();
  // One leader and no crash: nothing can be stale or decided already.
  const slots: SlotStore = {
    cursor: (schedule) => Promise.resolve(cursors.get(schedule)),
    decisions: () => Promise.resolve([]),
    decide(request) {
      const { schedule, slotMs, decision } = request;
      const nowMs = clock.nowMs();
      cursors.set(schedule, slotMs);
      tallyOf(tallies, schedule).add(request);
      if (decision === 'ran') {
        const beginMs = Math.max(nowMs, busyUntilMs.get(schedule) ?? nowMs);
        busyUntilMs.set(schedule, beginMs + workMs(schedule));
      }
      onDecision?.({ ...request, decidedAtMs: nowMs });
      return DECIDED;
    },
  };
  const scheduler = createScheduler({
    schedules: options.schedules.map(parseSchedule),
    slots,
    runningCount: async (name) => ((busyUntilMs.get(name) ?? -Infinity) > clock.nowMs() ? 1 : 0),
  });

  const absences = outages.flatMap(({ fromMs, untilMs, reason }) =>
    reason === 'down' ? [] : [{ fromMs, untilMs, reason }],
  );
  const context = {
    term: 1,
    signal: signal ?? new AbortController().signal,
    nowMs: () => clock.nowMs(),
    absences: () => absences,
  };
  let passCount = 0;
  for (let nextMs = firstOutside(outages, fromMs); nextMs < toMs; nextMs = nextPass(scheduler, outages)) {
    signal?.throwIfAborted();
    // There are no timers to run on the way, and `advance` costs a turn of the event loop; some suffice to stay abortable.
    clock.setWallTime(Math.max(nextMs, clock.nowMs()));
    if (passCount++ % PASSES_PER_TURN === 0) await clock.advance(0);
    const { failures } = await scheduler.decideDue(context);
    // Only a callback of the caller can have failed.
    if (failures[0] !== undefined) throw failures[0].error;
  }
  const schedules = scheduler.schedules().map(({ name }) => tallyOf(tallies, name).result(name));
  const slotCount = schedules.reduce(
    (sum, { counts }) => sum + counts.ran + counts.coalesced + counts.skipped,
    0,
  );
  return { slotCount, schedules };
}

function nextPass(scheduler: Scheduler, outages: readonly Outage[]): number {
  const dueAtMs = scheduler.nextDueAtMs();
  return dueAtMs === undefined ? Infinity : firstOutside(outages, dueAtMs);
}

/** The first instant at or after `atMs` without an outage. */
function firstOutside(outages: readonly Outage[], atMs: number): number {
  let instantMs = atMs;
  for (const { fromMs, untilMs } of outages) {
    if (instantMs >= fromMs && instantMs < untilMs) instantMs = untilMs;
  }
  return instantMs;
}

interface Tally {
  add(request: DecideRequest): void;
  result(schedule: string): SimulatedSchedule;
}

function tallyOf(tallies: Map<string, Tally>, schedule: string): Tally {
  const known = tallies.get(schedule);
  if (known !== undefined) return known;
  const counts = { ran: 0, coalesced: 0, skipped: 0 };
  const skipped: Partial<Record<SlotReason, number>> = {};
  const tally: Tally = {
    add({ decision, reason, slotCount }) {
      if (decision === 'anchored') return;
      counts[decision] += slotCount;
      if (decision === 'skipped') skipped[reason] = (skipped[reason] ?? 0) + slotCount;
    },
    result: (name) => ({ schedule: name, counts, skipped }),
  };
  tallies.set(schedule, tally);
  return tally;
}

const PASSES_PER_TURN = 256;
const DECIDED: Promise<DecideAnswer> = Promise.resolve({ outcome: 'decided' });
