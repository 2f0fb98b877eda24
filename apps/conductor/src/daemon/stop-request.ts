/**
 * What a daemon hears of the outside. A first signal drains, a second one or the end of the grace hurries; SIGHUP means to
 * read the config again, unless it says that the terminal was closed.
 * Invariant: the first reason to hurry is kept, so that the exit code can say which way it ended.
 */
import type { Timer } from '@conductor-run/clock';

import type { CliIo } from '../io.ts';

/** Why running steps are ended. */
export type HurryReason = 'second-signal' | 'grace-over';

/** What a daemon hears of the outside; whoever listens releases it. */
export interface StopRequest {
  /** Resolves with the first signal. */
  readonly asked: Promise<void>;
  /** Aborted when the daemon begins to stop. */
  readonly stopping: AbortSignal;
  /** Aborted when running steps are to be ended. */
  readonly hurry: AbortSignal;
  /** Why they are; `undefined` while they may go on. */
  hurryReason(): HurryReason | undefined;
  /** Begins to stop: the grace counts from here. Idempotent. */
  begin(): void;
  /**
   * Names who reads the config again. Asked before anybody was named, it is done then; without anybody SIGHUP has no effect.
   */
  onReload(listener: () => void): void;
  /** Listens to signals no more. */
  release(): void;
}

/**
 * Starts to listen to signals.
 *
 * @param io - signals and time
 * @param graceMs - how long steps may go on once it stops; `Infinity` without limit
 */
export function listenForStop(
  io: Pick<CliIo, 'onSignal' | 'isTerminalClosed' | 'clock'>,
  graceMs: number,
): StopRequest {
  const stopping = new AbortController();
  const hurry = new AbortController();
  let timer: Timer | undefined;
  let reason: HurryReason | undefined;
  let count = 0;
  const hurryFor = (why: HurryReason): void => {
    reason ??= why;
    hurry.abort(new Error(`${why}: ending running steps`));
  };
  let reload: (() => void) | undefined;
  let isReloadAsked = false;
  let unlisten = (): void => undefined;
  const asked = new Promise<void>((resolve) => {
    unlisten = io.onSignal((signal) => {
      if (signal === 'SIGHUP' && !io.isTerminalClosed()) {
        isReloadAsked = true;
        if (count === 0) reload?.();
        return;
      }
      // A terminal that is closed hangs up more than once: its shell does, and the system does. That is one wish.
      if (signal === 'SIGHUP' && count > 0) return;
      count += 1;
      resolve();
      if (count === 2) hurryFor('second-signal');
    });
  });
  return {
    asked,
    stopping: stopping.signal,
    hurry: hurry.signal,
    hurryReason: () => reason,
    begin() {
      if (stopping.signal.aborted) return;
      stopping.abort();
      if (graceMs === Infinity) return;
      timer = io.clock.setTimer(graceMs, () => hurryFor('grace-over'), { keepAlive: false });
    },
    onReload(listener) {
      reload = listener;
      if (isReloadAsked && count === 0) listener();
    },
    release() {
      timer?.cancel();
      unlisten();
    },
  };
}
