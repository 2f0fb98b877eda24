/**
 * Who may still come into a store, and who is inside. Invariant: a connection is closed only once nobody uses it, and
 * what SQLite throws leaves as this package's error.
 */
import { JobStoreError } from './errors.ts';
import { toJobStoreError } from './sqlite-errors.ts';

/** @internal The gate of one open store. */
export interface Gate {
  /** Throws with code `closed` once the store is being closed. */
  requireOpen(): void;
  /** Runs `work` inside: closing waits for it. */
  run<Result>(verb: string, work: () => Promise<Result>): Promise<Result>;
  /** Lets nobody in any more. */
  shut(): void;
  /** Resolves when nobody is inside. */
  whenEmpty(): Promise<void>;
}

/** @internal */
export function createGate(path: string): Gate {
  const inside = new Set<Promise<unknown>>();
  let isShut = false;
  const requireOpen = (): void => {
    if (!isShut) return;
    throw new JobStoreError('closed', `Cannot use job store "${path}": closed, expected an open one`);
  };
  return {
    requireOpen,
    async run(verb, work) {
      requireOpen();
      const working = work();
      inside.add(working);
      try {
        return await working;
      } catch (error) {
        throw toJobStoreError(verb, path, error);
      } finally {
        inside.delete(working);
      }
    },
    shut() {
      isShut = true;
    },
    async whenEmpty() {
      await Promise.allSettled(inside);
    },
  };
}
