/**
 * Tells who waits for a job of this process that something has happened to it. Only makes waiting shorter: what has
 * happened is in the store and the run directory. Invariant: a ring between two waits is not lost.
 */
import type { Clock, Timer } from '@conductor-run/clock';

/** Which job. */
export interface BellTarget {
  readonly kind: string;
  readonly key: string;
}

/** Rung by whoever runs tasks. */
export interface TaskBell {
  /** A step of the job was started, or its attempt was recorded. */
  ring(job: BellTarget): void;
  /** Listens to one job, until it is stopped. */
  listen(job: BellTarget): BellListener;
}

/** One who listens. */
export interface BellListener {
  /** Resolves at the next ring, at once for one since the last call, or after `maxWaitMs`. One call at a time. */
  next(maxWaitMs: number): Promise<void>;
  /** Ends the wait and hears nothing more. */
  stop(): void;
}

/** Makes a bell. */
export function createTaskBell(clock: Clock): TaskBell {
  const listenersByJob = new Map<string, Set<() => void>>();
  return {
    ring(job) {
      for (const hear of listenersByJob.get(nameOf(job)) ?? []) hear();
    },
    listen(job) {
      const name = nameOf(job);
      let hasRung = false;
      let wake: (() => void) | undefined;
      const hear = (): void => {
        hasRung = true;
        wake?.();
      };
      const listeners = listenersByJob.get(name) ?? new Set();
      listenersByJob.set(name, listeners.add(hear));
      return {
        async next(maxWaitMs) {
          let timer: Timer | undefined;
          if (!hasRung) {
            await new Promise<void>((resolve) => {
              wake = resolve;
              timer = clock.setTimer(maxWaitMs, resolve, { keepAlive: false });
            });
          }
          timer?.cancel();
          wake = undefined;
          hasRung = false;
        },
        stop() {
          listeners.delete(hear);
          if (listeners.size === 0 && listenersByJob.get(name) === listeners) listenersByJob.delete(name);
          wake?.();
        },
      };
    },
  };
}

/** Kinds are names of jobs, which hold no line break. */
function nameOf({ kind, key }: BellTarget): string {
  return `${kind}\n${key}`;
}
