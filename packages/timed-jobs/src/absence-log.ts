/** When the gate kept this node from ticking. Invariant: stretches are in order, and the open one ends when work begins. */

import type { Absence } from './plan.ts';

/** @internal */
export interface AbsenceLog {
  /** The gate refused at `nowMs`. */
  note(reason: Absence['reason'], nowMs: number): void;
  /** The gate let a tick through at `nowMs`. */
  end(nowMs: number): void;
  list(): readonly Absence[];
}

/** @internal */
export function createAbsenceLog(): AbsenceLog {
  const closed: Absence[] = [];
  let open: { readonly fromMs: number; readonly reason: Absence['reason'] } | undefined;
  let presentAtMs: number | undefined;
  const close = (untilMs: number): void => {
    if (open === undefined) return;
    closed.push({ fromMs: open.fromMs, untilMs, reason: open.reason });
    if (closed.length > KEPT_ABSENCES) closed.shift();
    open = undefined;
  };
  return {
    note(reason, nowMs) {
      if (open?.reason === reason) return;
      // What fell due since the last tick was missed for this reason too.
      const fromMs = open === undefined ? (presentAtMs ?? nowMs) : nowMs;
      close(nowMs);
      open = { fromMs, reason };
    },
    end(nowMs) {
      close(nowMs);
      presentAtMs = nowMs;
    },
    list: () => closed.slice(),
  };
}

const KEPT_ABSENCES = 64;
