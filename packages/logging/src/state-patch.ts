/** Changes of a run's state, as pure functions. */
import { LoggingError } from './errors.ts';
import type { RunPaths } from './run-paths.ts';
import type { RunState } from './run-records.ts';
import { isAllowedTransition, isTerminalStatus, RUN_TRANSITIONS } from './run-status.ts';
import type { RunStatePatch } from './run-writer.ts';

/** @internal Whether the patch moves the status; throws LoggingError `illegal-transition` when it may not. */
export function isMove(paths: RunPaths, from: RunState, patch: RunStatePatch): boolean {
  const to = patch.status ?? from.status;
  if (!isAllowedTransition(from.status, to)) {
    throw new LoggingError(
      'illegal-transition',
      `Cannot move run "${paths.runId}" to "${to}": it is "${from.status}", expected ${RUN_TRANSITIONS[from.status].join(', ') || 'no further move'}`,
    );
  }
  return to !== from.status;
}

/** @internal The state after the patch, with the instants that go with its status. */
export function applyPatch(from: RunState, patch: RunStatePatch, nowMs: number): RunState {
  const next = { ...from, ...patch };
  if (next.status === from.status) return next;
  if (next.status === 'running') return { ...next, startedAt: nowMs };
  return isTerminalStatus(next.status) ? { ...next, finishedAt: nowMs } : next;
}

/** @internal Whether the patch may wait for the next progress write. */
export function isProgressOnly(patch: RunStatePatch): boolean {
  return Object.keys(patch).every((key) => key === 'summary' || key === 'checkpointSeq');
}
