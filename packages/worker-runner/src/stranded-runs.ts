/**
 * Runs that are ours and not looked after: their takeover or their settlement failed, as it does on a full disk.
 * Invariant: a stranded run keeps its lease, since its step may be alive or may have ended well.
 */
import type { Clock, Timer } from '@conductor-run/clock';

import type { KeptLease } from './lease-watch.ts';
import type { ModuleSpec } from './lease.ts';
import type { PlannedLease } from './run-record.ts';

/** A lease that is kept for a run. */
export interface HeldLease {
  readonly kept: KeptLease;
  readonly lease: PlannedLease;
}

/** How a run's lease is kept. */
export interface LeaseCare {
  /** Who renews it, should it have to be taken on anew. */
  readonly keeper: ModuleSpec | undefined;
  readonly held: HeldLease | undefined;
}

/** The runs that wait for another try. */
export interface StrandedRuns {
  /**
   * Keeps the run and calls `retry` after a pause, which grows with each time until `delete`. Without a lease the run is
   * given up after some tries.
   */
  add(key: string, care: LeaseCare, retry: () => void): void;
  /** How the run's lease is kept. */
  find(key: string): LeaseCare | undefined;
  /** The run is over. */
  delete(key: string): void;
  /** Which there are. */
  keys(): Iterable<string>;
}

/**
 * Makes an empty list.
 *
 * @param clock - measures the pauses
 */
export function createStrandedRuns(clock: Clock): StrandedRuns {
  const runsByKey = new Map<string, { care: LeaseCare; tries: number; retry: Timer }>();
  const remove = (key: string): void => {
    runsByKey.get(key)?.retry.cancel();
    runsByKey.delete(key);
  };
  return {
    add(key, care, retry) {
      const tries = (runsByKey.get(key)?.tries ?? 0) + 1;
      remove(key);
      // Nothing is lost by leaving it to the next adoption: nobody else may run it meanwhile.
      if (care.held === undefined && tries > MAX_TRIES) return;
      const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** (tries - 1), MAX_PAUSE_MS);
      runsByKey.set(key, { care, tries, retry: clock.setTimer(pauseMs, retry) });
    },
    find: (key) => runsByKey.get(key)?.care,
    delete: remove,
    keys: () => runsByKey.keys(),
  };
}

const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 30_000;
const MAX_TRIES = 10;
