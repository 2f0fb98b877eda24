/**
 * Looks after the output of a run while it flows: samples, redacts, keeps limits.
 * Invariant: nothing here throws into a timer; what fails is reported and tried again on the next round.
 */
import type { Clock, Timer } from '@conductor-run/clock';

import type { ChannelFile } from './channel-file.ts';

/** @internal */
export interface OutputFollower {
  /** Follows a channel's child from now on. Idempotent. */
  follow(channel: ChannelFile): void;
  /** Runs the rounds without following a child: for limits and progress of in-process output. Idempotent. */
  start(): void;
  /** No round runs after this returns. Idempotent, legal before `start`. */
  stop(): void;
}

/** @internal */
export interface OutputFollowerOptions {
  readonly clock: Clock;
  /** Told what a step threw. */
  readonly onFailure: (error: unknown) => void;
  /** Told that a step wrote something. */
  readonly onSuccess: () => void;
  /** Called after each round. */
  readonly onRound: (followed: ReadonlySet<ChannelFile>) => void;
}

/** How long after the bytes the timeline says so, at most. */
const SAMPLE_INTERVAL_MS = 50;

/** @internal */
export function createOutputFollower({
  clock,
  onFailure,
  onSuccess,
  onRound,
}: OutputFollowerOptions): OutputFollower {
  const followed = new Set<ChannelFile>();
  let isRunning = false;
  let timer: Timer | undefined;

  const round = (): void => {
    timer = undefined;
    if (!isRunning) return;
    let hasMore = false;
    for (const channel of followed) {
      const bytesBefore = channel.indexedBytes();
      try {
        hasMore = channel.step() || hasMore;
        if (channel.indexedBytes() > bytesBefore) onSuccess();
      } catch (error) {
        onFailure(error);
      }
    }
    onRound(followed);
    // A turn of the event loop between steps, so that everything else in this process keeps running.
    if (hasMore) setImmediate(round);
    else timer = clock.setTimer(SAMPLE_INTERVAL_MS, round, { keepAlive: false });
  };
  const start = (): void => {
    if (isRunning) return;
    isRunning = true;
    timer = clock.setTimer(SAMPLE_INTERVAL_MS, round, { keepAlive: false });
  };
  return {
    follow(channel) {
      followed.add(channel);
      start();
    },
    start,
    stop() {
      isRunning = false;
      timer?.cancel();
      timer = undefined;
    },
  };
}
