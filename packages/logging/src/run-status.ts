/** The states of a run and the moves between them, as data. Invariant: a terminal status never changes again. */

/** Every status a run can have, in the order of its life. */
export const RUN_STATUSES = [
  'prepared',
  'running',
  'completed',
  'failed',
  'blocked',
  'cancelled',
  'timed_out',
  'lost',
] as const;

/** Where a run is in its life. */
export type RunStatus = (typeof RUN_STATUSES)[number];

/** Which status may follow which. A status that leads nowhere is terminal. */
export const RUN_TRANSITIONS: Readonly<Record<RunStatus, readonly RunStatus[]>> = {
  prepared: ['running', 'failed', 'blocked', 'cancelled', 'timed_out', 'lost'],
  running: ['completed', 'failed', 'blocked', 'cancelled', 'timed_out', 'lost'],
  completed: [],
  failed: [],
  blocked: [],
  cancelled: [],
  timed_out: [],
  lost: [],
};

/** Whether a run of this status has ended for good. */
export function isTerminalStatus(status: RunStatus): boolean {
  return RUN_TRANSITIONS[status].length === 0;
}

/** Whether a run may go from one status to another; staying where it is counts as no move and is allowed. */
export function isAllowedTransition(from: RunStatus, to: RunStatus): boolean {
  return from === to || RUN_TRANSITIONS[from].includes(to);
}
