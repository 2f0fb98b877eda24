/**
 * Hearing about work: an event inside the process, the bell between processes, a timer for what falls due later, and a
 * slow look as the net under all three.
 * Invariant: after a `claimNext` that found nothing, any later commit that makes work due ends the next wait.
 */
import type { Clock, Timer } from '@conductor-run/clock';
import type { Bell } from './bell.ts';
import type { DueSignals, WaitForDueOptions } from './job-store.ts';
import { requireInteger } from './options.ts';

/** @internal What the signals need of their store. */
export interface DueSignalsOptions {
  readonly clock: Clock;
  readonly bell: Bell;
  /** How often to look without any signal, in ms. */
  readonly pollMs: number;
  /** The next instant at which a job falls due or a lease expires, UTC ms. */
  readonly nextInstantMs: () => number | undefined;
  /** Whether a job is ready for a worker. */
  readonly hasReady: () => boolean;
}

/** @internal The signals, and what the store tells them. */
export interface DueSignalSource extends DueSignals {
  /** A claim of these kinds begins: what was signalled before is about to be seen. */
  noteClaim(kinds: readonly string[] | undefined): void;
  /** Work of these kinds may be left that this process has heard of. */
  noteMore(kinds: readonly string[] | undefined): void;
  /** Jobs became due: tell everybody. */
  wake(): void;
  /** Room became free under a limit: tell everybody soon, many at once, if there is a job to take it. */
  wakeSoon(): void;
  /** Ends every wait with false and lets go of everything. */
  close(): void;
}

/** @internal */
export function createDueSignals(options: DueSignalsOptions): DueSignalSource {
  const { clock, bell, pollMs, nextInstantMs, hasReady } = options;
  const listeners = new Set<() => void>();
  const waiters = new Set<(isDue: boolean) => void>();
  let rings = 1;
  /** Up to which ring each loop has looked, by the kinds it claims. */
  const seenRings = new Map<string, number>();
  /** The next instant that other processes have been told of and set their timers by; Infinity when it is not known. */
  let toldMs = Infinity;
  let lookTimer: Timer | undefined;
  let soonTimer: Timer | undefined;
  let isClosed = false;

  const emit = (): void => {
    rings += 1;
    for (const settle of waiters) settle(true);
    for (const listener of listeners) queueMicrotask(listener);
    arm();
  };
  /** Sets the timer for the next look; none when nobody listens. */
  const arm = (): void => {
    lookTimer?.cancel();
    lookTimer = undefined;
    if (isClosed || (listeners.size === 0 && waiters.size === 0)) return;
    bell.listen(emit);
    const untilNextMs = (nextInstantMs() ?? Infinity) - clock.nowMs();
    // What is overdue and still there is held back by a limit or a pause; only the slow look goes on for it.
    const delayMs = untilNextMs > 0 ? Math.min(untilNextMs, pollMs) : pollMs;
    lookTimer = clock.setTimer(delayMs, emit, { keepAlive: waiters.size > 0 });
  };
  const wake = (): void => {
    if (isClosed) return;
    toldMs = Infinity;
    bell.ring();
    emit();
  };

  /** A success may leave newer input that is due later: nobody has set a timer for it yet. */
  const tellNext = (): void => {
    const nextMs = nextInstantMs();
    if (nextMs === undefined || nextMs === toldMs) return;
    // An instant that has passed is nobody's timer any more.
    if (nextMs < toldMs || toldMs <= clock.nowMs()) wake();
    toldMs = nextMs;
  };

  return {
    onDue(listener) {
      // A function of its own, so that the same listener may be added twice and removed once.
      const added = (): void => {
        if (listeners.has(added)) listener();
      };
      listeners.add(added);
      arm();
      return () => {
        listeners.delete(added);
        arm();
      };
    },
    async waitForDue({ signal, maxWaitMs = Infinity, kinds }: WaitForDueOptions = {}) {
      if (maxWaitMs !== Infinity) requireInteger('maxWaitMs', maxWaitMs, 0);
      signal?.throwIfAborted();
      const loop = loopOf(kinds);
      if (rings > (seenRings.get(loop) ?? 0)) {
        seenRings.set(loop, rings);
        return true;
      }
      if (isClosed) return false;
      return new Promise<boolean>((resolve, reject) => {
        const end = (): void => {
          waiters.delete(settle);
          limit?.cancel();
          signal?.removeEventListener('abort', onAbort);
          arm();
        };
        const settle = (isDue: boolean): void => {
          seenRings.set(loop, rings);
          end();
          resolve(isDue);
        };
        const onAbort = (): void => {
          end();
          reject(signal?.reason as Error);
        };
        const limit = maxWaitMs === Infinity ? undefined : clock.setTimer(maxWaitMs, () => settle(false));
        signal?.addEventListener('abort', onAbort, { once: true });
        waiters.add(settle);
        arm();
      });
    },
    noteClaim(kinds) {
      seenRings.set(loopOf(kinds), rings);
    },
    noteMore(kinds) {
      seenRings.delete(loopOf(kinds));
      // A loop that does not say what it waits for.
      seenRings.delete(ALL);
    },
    wake,
    wakeSoon() {
      if (soonTimer !== undefined || isClosed) return;
      soonTimer = clock.setTimer(
        SOON_MS,
        () => {
          soonTimer = undefined;
          if (hasReady()) wake();
          else tellNext();
        },
        { keepAlive: false },
      );
    },
    close() {
      isClosed = true;
      soonTimer?.cancel();
      for (const settle of waiters) settle(false);
      listeners.clear();
      arm();
      bell.close();
    },
  };
}

/** Loops are told apart by what they claim. */
function loopOf(kinds: readonly string[] | undefined): string {
  return kinds === undefined ? ALL : JSON.stringify([...kinds].sort());
}

const ALL = '';
const SOON_MS = 2;
