/**
 * The verdict of a former owner that was killed between closing the record and writing the envelope.
 * Invariant: a run is judged once; whoever writes its envelope says what state.json and worker.log say.
 */
import {
  isTerminalStatus,
  type LifecycleEvent,
  type LifecycleEventType,
  type RunState,
} from '@conductor-run/logging';

import type { Verdict } from './outcome.ts';
import { END_REASONS } from './result-schema.ts';
import type { StepOutcome } from './result.ts';

/** The lifecycle event that says a verdict. */
export const EVENT_OF_OUTCOME: Readonly<Record<StepOutcome, LifecycleEventType>> = {
  prepared: 'step_prepared',
  completed: 'step_completed',
  failed: 'step_failed',
  blocked: 'step_blocked',
  cancelled: 'step_cancelled',
  timed_out: 'step_timed_out',
  lost: 'run_lost',
};

/**
 * What the record says of how the run ended.
 *
 * @param state - what state.json says
 * @param events - what worker.log says; a power cut may have taken its end, and the words for the ending with it
 * @param judged - what we would say
 * @returns `undefined` for a run nobody has judged
 */
export function findFormerVerdict(
  state: RunState,
  events: readonly LifecycleEvent[],
  judged: Verdict,
): Verdict | undefined {
  const outcome = outcomeOf(state, events);
  if (outcome === undefined) return undefined;
  const said = events.findLast((event) => event.type === EVENT_OF_OUTCOME[outcome]);
  const { reason, text } = said === undefined && outcome === judged.outcome ? judged : (said?.data ?? {});
  return {
    outcome,
    ok: outcome === 'completed' || outcome === 'prepared',
    blocked: outcome === 'blocked',
    needsHuman: judged.needsHuman,
    exitCode: state.exitCode,
    signal: state.signal,
    reason: END_REASONS.find((known) => known === reason),
    text: typeof text === 'string' ? text : undefined,
    summary: state.summary ?? said?.message ?? judged.summary,
  };
}

function outcomeOf(state: RunState, events: readonly LifecycleEvent[]): StepOutcome | undefined {
  const { status } = state;
  if (isTerminalStatus(status)) return status as StepOutcome;
  // Recorded only, which leaves its state as it was.
  const isRecorded =
    status === 'prepared' && events.some((event) => event.type === EVENT_OF_OUTCOME.prepared);
  return isRecorded ? 'prepared' : undefined;
}
