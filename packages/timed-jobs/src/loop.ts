/**
 * When to tick: a grid of planned instants on the monotonic clock, early ticks on request.
 * Invariant: one timer at most, and none while a tick of this loop is in flight or after `stop`.
 */

import type { Clock, Timer } from '@conductor-run/clock';
import type { Logger } from './logger.ts';

/** @internal Why the loop ticks now. */
export interface LoopTick {
  /** The planned tick this is, from 0; `undefined` for an early one. */
  readonly index: number | undefined;
  /** Milliseconds since the oldest planned tick this one stands for, 0 or more; `undefined` for an early one. */
  readonly lateMs: number | undefined;
  /** Planned ticks that passed without one since the last. */
  readonly missedCount: number;
  /** What callers of `wake` said. */
  readonly reasons: readonly string[];
}

/** @internal */
export interface LoopOptions {
  readonly intervalMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The earliest wish for an early tick, UTC ms; looked at whenever the loop plans. */
  readonly earlyAtMs: () => number | undefined;
  /** Must not reject. */
  readonly tick: (tick: LoopTick) => Promise<unknown>;
}

/** @internal */
export interface Loop {
  start(): void;
  wake(reason: string): void;
  /** Looks again at what is due; called after `earlyAtMs` may have changed. */
  replan(): void;
  stop(): void;
}

/** @internal */
export function createLoop({ intervalMs, clock, logger, earlyAtMs, tick }: LoopOptions): Loop {
  let isRunning = false;
  let isTicking = false;
  let timer: Timer | undefined;
  let anchorMs = 0;
  let lastIndex = -1;
  let wallOffsetMs = 0;
  let wakeDueMs = Infinity;
  let reasons: string[] = [];
  let earliestEarlyMs = 0;

  const plan = (): void => {
    timer?.cancel();
    timer = undefined;
    if (!isRunning || isTicking) return;
    const nowMs = clock.monotonicMs();
    const nextMs = Math.min(anchorMs + (lastIndex + 1) * intervalMs, wakeDueMs, earlyDueMs(nowMs));
    // Looking now and then notices a machine that was suspended and a wall clock that was set.
    timer = clock.setTimer(Math.max(0, Math.min(nextMs - nowMs, LOOK_AGAIN_MS)), onTimer);
  };

  /** The early wish on the monotonic clock: never so soon after a tick that a runner could spin. */
  const earlyDueMs = (nowMs: number): number => {
    const atMs = earlyAtMs();
    return atMs === undefined ? Infinity : Math.max(nowMs + atMs - clock.nowMs(), earliestEarlyMs);
  };

  const onTimer = (): void => {
    timer = undefined;
    noticeJump();
    const nowMs = clock.monotonicMs();
    // The small constant undoes the rounding of a timer that fired exactly on the grid.
    const index = Math.floor((nowMs - anchorMs) / intervalMs + 1e-9);
    if (index > lastIndex) {
      const missedCount = index - lastIndex - 1;
      const lateMs = Math.max(0, nowMs - anchorMs - (lastIndex + 1) * intervalMs);
      lastIndex = index;
      runTick({ index, lateMs, missedCount, reasons: takeReasons() });
    } else if (nowMs >= wakeDueMs || nowMs >= earlyDueMs(nowMs)) {
      const isWoken = nowMs >= wakeDueMs;
      runTick({ index: undefined, lateMs: undefined, missedCount: 0, reasons: isWoken ? takeReasons() : [] });
    } else {
      plan();
    }
  };

  const runTick = (loopTick: LoopTick): void => {
    isTicking = true;
    void tick(loopTick).then(() => {
      isTicking = false;
      earliestEarlyMs = clock.monotonicMs() + EARLY_SPACING_MS;
      plan();
    });
  };

  const takeReasons = (): readonly string[] => {
    const taken = reasons;
    reasons = [];
    wakeDueMs = Infinity;
    return taken;
  };

  const noticeJump = (): void => {
    const offsetMs = clock.nowMs() - clock.monotonicMs();
    const jumpMs = offsetMs - wallOffsetMs;
    wallOffsetMs = offsetMs;
    if (Math.abs(jumpMs) <= JUMP_MS) return;
    logger.warn({ jumpMs: Math.round(jumpMs) }, 'clock.jumped');
    reasons.push('clock jumped');
    wakeDueMs = clock.monotonicMs();
  };

  return {
    start() {
      isRunning = true;
      anchorMs = clock.monotonicMs();
      lastIndex = -1;
      wallOffsetMs = clock.nowMs() - anchorMs;
      plan();
    },
    wake(reason) {
      if (!isRunning) return;
      if (reasons.length < KEPT_REASONS && !reasons.includes(reason)) reasons.push(reason);
      if (wakeDueMs !== Infinity) return;
      wakeDueMs = clock.monotonicMs() + DEBOUNCE_MS;
      plan();
    },
    replan: plan,
    stop() {
      isRunning = false;
      takeReasons();
      plan();
    },
  };
}

const LOOK_AGAIN_MS = 30_000;
/** A wall clock that moves this much against the monotonic one was set, or the machine slept. */
const JUMP_MS = 2_000;
/** Wakes this close together become one tick. */
const DEBOUNCE_MS = 20;
const EARLY_SPACING_MS = 5;
const KEPT_REASONS = 8;
