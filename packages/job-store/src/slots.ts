/**
 * Deciding the slots of schedules: cursor, decision and watermarks move in one transaction of the main file.
 * Invariant: slots are decided in order, each once, and never under a term lower than one this file has seen.
 */
import { enqueueOne, prepareEnqueue, type EnqueueContext, type PreparedEnqueue } from './enqueue.ts';
import { requireMs, requireNumber, requireText } from './options.ts';
import type { SlotRequest } from './requests.ts';
import type { SlotResult } from './results.ts';
import { parseInteger, rowToSlot } from './rows.ts';
import type { SlotStatements } from './slot-statements.ts';

/** @internal What deciding needs of its connection. */
export interface SlotContext {
  readonly statements: SlotStatements;
  readonly enqueue: EnqueueContext;
}

/** @internal A checked decision. */
export interface PreparedSlot {
  readonly schedule: string;
  readonly slotMs: number;
  readonly leadership: string;
  readonly term: number;
  readonly decision: string;
  readonly reason: string | null;
  readonly effect: readonly PreparedEnqueue[];
}

/** @internal The leadership whose terms count when nobody says otherwise. */
const DEFAULT_LEADERSHIP = 'leader';

/** @internal Checks a decision; throws TypeError or RangeError. */
export function requireSlot(request: SlotRequest): PreparedSlot {
  return {
    schedule: requireText('schedule', request.schedule),
    slotMs: requireMs('slotMs', request.slotMs),
    leadership: requireText('leadership', request.leadership ?? DEFAULT_LEADERSHIP),
    term: requireNumber('term', request.term),
    decision: requireText('decision', request.decision),
    reason: request.reason ?? null,
    effect: (request.effect ?? []).map(prepareEnqueue),
  };
}

/** @internal Decides one slot inside the caller's transaction. */
export function decideSlot(context: SlotContext, slot: PreparedSlot, nowMs: number): SlotResult {
  const { statements } = context;
  const { schedule, slotMs, leadership, term } = slot;
  const currentTerm = raiseFence(statements, leadership, term);
  if (currentTerm > term) return { outcome: 'stale-term', currentTerm };
  const cursor = statements.cursor.get({ schedule });
  if (cursor !== undefined && slotMs <= parseInteger(cursor)) {
    const decided = statements.slot.get({ schedule, slotMs });
    return {
      outcome: 'already-decided',
      decision: decided === undefined ? undefined : rowToSlot(decided).decision,
    };
  }
  const { decision, reason } = slot;
  statements.insertSlot.run({ schedule, slotMs, leadership, term, decision, reason, nowMs });
  statements.moveCursor.run({ schedule, slotMs });
  for (const request of slot.effect) enqueueOne(context.enqueue, request, nowMs);
  return { outcome: 'decided' };
}

/** @internal Makes this file remember `term` as seen, and answers the highest one it has seen. */
export function raiseFence(statements: SlotStatements, leadership: string, term: number): number {
  statements.raiseFence.run({ leadership, term });
  return parseInteger(statements.fence.get({ leadership }));
}
