/**
 * Keeps state.json: one snapshot, replaced atomically.
 * Invariant: what a promise of `write` said is on disk is in the file, or a newer state is.
 */
import type { Clock, Timer } from '@conductor-run/clock';

import type { RunState } from './run-records.ts';
import { replaceFile, type RunFiles } from './run-files.ts';

/** @internal */
export interface StateStore {
  /** The newest state, on disk or about to be. */
  current(): RunState;
  /** Takes a new state and writes it at once; throws what the system threw, and then keeps the old one. */
  writeNow(state: RunState, durable: boolean): void;
  /** Takes a new state and writes it within `PROGRESS_INTERVAL_MS`; resolves when it is on disk. */
  writeSoon(state: RunState): Promise<void>;
  /** Writes what is waiting; throws what the system threw. */
  flush(): void;
}

/** @internal */
export interface StateStoreOptions {
  readonly files: RunFiles;
  readonly path: string;
  readonly clock: Clock;
  readonly initial: RunState;
}

/** Progress reaches the disk at most four times a second. */
const PROGRESS_INTERVAL_MS = 250;

/** @internal */
export function createStateStore({ files, path, clock, initial }: StateStoreOptions): StateStore {
  let state = initial;
  let isOnDisk = true;
  // Whoever made or read the state a moment ago has it on the disk.
  let lastWriteMs = clock.monotonicMs();
  let timer: Timer | undefined;
  let waiting: Waiting | undefined;

  const write = (next: RunState, durable: boolean): void => {
    replaceFile(files, path, `${JSON.stringify(next, undefined, 2)}\n`, durable);
    state = next;
    isOnDisk = true;
    lastWriteMs = clock.monotonicMs();
  };
  /** Writes, and tells everybody who waits for the state to be on disk. */
  const settle = (next: RunState, durable: boolean): void => {
    timer?.cancel();
    timer = undefined;
    const waiters = waiting;
    waiting = undefined;
    try {
      write(next, durable);
      waiters?.resolve();
    } catch (error) {
      waiters?.reject(error);
      throw error;
    }
  };
  const onTimer = (): void => {
    try {
      settle(state, false);
    } catch {
      // The promise of `writeSoon` carries it to the caller.
      return;
    }
  };

  return {
    current: () => state,
    writeNow: (next, durable) => settle(next, durable),
    async writeSoon(next) {
      state = next;
      isOnDisk = false;
      const waitMs = lastWriteMs + PROGRESS_INTERVAL_MS - clock.monotonicMs();
      if (waitMs <= 0) {
        settle(state, false);
        return;
      }
      waiting ??= createWaiting();
      timer ??= clock.setTimer(waitMs, onTimer);
      await waiting.promise;
    },
    flush() {
      if (!isOnDisk) settle(state, false);
    },
  };
}

interface Waiting {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

function createWaiting(): Waiting {
  let settle: Omit<Waiting, 'promise'> = { resolve: () => {}, reject: () => {} };
  const promise = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject };
  });
  return { promise, ...settle };
}
