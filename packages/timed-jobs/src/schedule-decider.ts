/**
 * Decides one schedule: cursor, plan, then decision after decision into the store.
 * Invariant: an entry's cursor is what the store said last; after a failure it is unknown, and the store is asked again.
 */

import type { DueEntry } from './due-queue.ts';
import { toError } from './errors.ts';
import { planSteps, type PlannedDecision, type SlotDecision, type SlotState } from './plan.ts';
import type { RunContext } from './runner.ts';
import type { Schedule } from './schedule.ts';
import type { DecideAnswer, DecideRequest, SlotStore } from './slot-store.ts';

/** What deciding slots takes of a runner's context. */
export type DecideContext = Pick<RunContext<unknown>, 'term' | 'signal' | 'nowMs' | 'absences'>;

/** @internal A schedule as the scheduler remembers it under one term. */
export interface ScheduleEntry extends DueEntry {
  readonly schedule: Schedule;
  /** UTC ms; `undefined` until the store was asked. */
  cursorMs: number | undefined;
  failureCount: number;
}

/** @internal Filled while a pass goes on. */
export interface PassTally {
  readonly counts: Record<SlotDecision, number>;
  readonly failures: { schedule: string; error: Error }[];
  isStale: boolean;
}

/** @internal */
export interface ScheduleDecider {
  entryOf(schedule: Schedule): ScheduleEntry;
  /** Decides what is due and sets when the entry is due again. Never rejects. */
  decide(entry: ScheduleEntry, context: DecideContext, tally: PassTally): Promise<void>;
}

/** @internal */
export interface DeciderOptions {
  readonly slots: SlotStore;
  readonly runningCount?: (schedule: string) => Promise<number>;
  readonly isPaused?: (schedule: string) => Promise<boolean>;
}

/** @internal */
export function createScheduleDecider({ slots, runningCount, isPaused }: DeciderOptions): ScheduleDecider {
  const requestOf = (
    { name, overlap }: Schedule,
    { slotMs, firstSlotMs, slotCount, decision, reason }: PlannedDecision,
    { term }: DecideContext,
  ): DecideRequest => ({
    schedule: name,
    slotMs,
    firstSlotMs,
    slotCount,
    decision,
    reason,
    term,
    overlap,
  });

  /** Counts what came of a decision; true when it was written. */
  const note = ({ outcome }: DecideAnswer, decision: SlotDecision, tally: PassTally): boolean => {
    if (outcome === 'stale_term') tally.isStale = true;
    if (outcome === 'decided') tally.counts[decision] += 1;
    return outcome === 'decided';
  };

  /** Where to go on from. A schedule never seen before begins now, and the store is told, so that no restart moves it. */
  const openCursor = async (
    schedule: Schedule,
    context: DecideContext,
    tally: PassTally,
  ): Promise<number | undefined> => {
    const cursorMs = await slots.cursor(schedule.name);
    if (cursorMs !== undefined) return cursorMs;
    // A single instant means itself, also when it passed before anybody looked.
    if (schedule.kind === 'at') return -Infinity;
    const nowMs = context.nowMs();
    const anchor = {
      slotMs: nowMs,
      firstSlotMs: nowMs,
      slotCount: 1,
      decision: 'anchored',
      reason: 'first-seen',
    } as const;
    const answer = await slots.decide(requestOf(schedule, anchor, context));
    return note(answer, anchor.decision, tally) ? nowMs : slots.cursor(schedule.name);
  };

  const needsState = ({ overlap }: Schedule): boolean => isPaused !== undefined || overlap === 'skip';

  const stateOf = async ({ name, overlap }: Schedule): Promise<Required<Omit<SlotState, 'absences'>>> => ({
    isPaused: (await isPaused?.(name)) ?? false,
    runningCount: overlap === 'skip' ? ((await runningCount?.(name)) ?? 0) : 0,
  });

  const decideOpen = async (
    entry: ScheduleEntry,
    context: DecideContext,
    tally: PassTally,
  ): Promise<void> => {
    const { schedule } = entry;
    entry.cursorMs ??= await openCursor(schedule, context, tally);
    const { cursorMs } = entry;
    if (cursorMs === undefined || tally.isStale) return;
    // Most schedules need nothing asked, and a microtask per slot is what a simulated year is made of.
    const state = needsState(schedule) ? await stateOf(schedule) : NOTHING_SPECIAL;
    const { isPaused, runningCount } = state;
    const [nowMs, absences] = [context.nowMs(), context.absences()];
    for (const planned of planSteps({ schedule, cursorMs, nowMs, absences, isPaused, runningCount })) {
      if (planned === undefined) await nextTurn();
      if (tally.isStale || context.signal.aborted) return;
      if (planned === undefined) continue;
      const answer = await slots.decide(requestOf(schedule, planned, context));
      if (!note(answer, planned.decision, tally)) {
        // Somebody was here: what we believed of this schedule is not so.
        entry.cursorMs = undefined;
        return;
      }
      entry.cursorMs = planned.slotMs;
    }
  };

  return {
    entryOf: (schedule) => ({
      schedule,
      cursorMs: undefined,
      dueAtMs: -Infinity,
      index: -1,
      failureCount: 0,
    }),
    async decide(entry, context, tally) {
      try {
        await decideOpen(entry, context, tally);
        entry.failureCount = 0;
        entry.dueAtMs = nextDueAtMs(entry);
      } catch (error) {
        // The decision may have been committed before its answer was lost: only the store knows where we are.
        entry.cursorMs = undefined;
        tally.failures.push({ schedule: entry.schedule.name, error: toError(error) });
        const backoffMs = Math.min(FIRST_BACKOFF_MS * 2 ** entry.failureCount, LONGEST_BACKOFF_MS);
        entry.failureCount += 1;
        entry.dueAtMs = context.nowMs() + backoffMs;
      }
    },
  };
}

function nextDueAtMs({ schedule, cursorMs }: ScheduleEntry): number {
  if (cursorMs === undefined) return -Infinity;
  const slotMs = schedule.nextAfter(cursorMs);
  return slotMs === undefined ? Infinity : slotMs + schedule.delayMs;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

const FIRST_BACKOFF_MS = 1_000;
const LONGEST_BACKOFF_MS = 60_000;
const NOTHING_SPECIAL = { isPaused: false, runningCount: 0 };
