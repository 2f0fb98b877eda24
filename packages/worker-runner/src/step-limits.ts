/**
 * The clocks of a step: wall time, first sign of life, idleness, and time after its result. Also samples memory.
 * Invariant: every limit counts monotonic time from the step's start, so that an adopted step keeps its deadline.
 */
import { statSync } from 'node:fs';

import { createDeadline, type Clock, type Timer } from '@conductor-run/clock';

import type { EndRequest, ResourceSample } from './executor.ts';
import type { CheckedRequest } from './request-schema.ts';
import { findChangeSince } from './worktree-activity.ts';

/** What the limits watch and whom they tell. */
export interface StepLimitsOptions {
  readonly request: CheckedRequest;
  readonly clock: Clock;
  /** When the step started, on the clock's monotonic time, in ms. */
  readonly startedMonotonicMs: number;
  /** Whether its process runs already, as that of an adopted step. */
  readonly isStarted: boolean;
  /** stdout.log and stderr.log. */
  readonly outputPaths: readonly string[];
  /** Called when a limit is reached; may be called for more than one. */
  readonly onExceeded: (end: EndRequest) => void;
  /** Called each second with whether anything happened since the last call. */
  readonly onTick: (hasChanged: boolean) => void;
  /** Called when watching itself fails; the step goes on. */
  readonly onProblem: (error: unknown) => void;
}

/** Limits at work. */
export interface StepLimitsWatch {
  /** The step's process begins now: from now on it has to give a sign of life. */
  noteStarted(): void;
  /** The step reported something. */
  noteEvent(): void;
  /** The step reported its result: from now on only the drain time is left. */
  noteResult(): void;
  /** Gives the watch a way to see CPU and memory. */
  sampleWith(sample: () => ResourceSample): void;
  /** The largest memory seen, in bytes. */
  maxRssBytes(): number | undefined;
  /** Cancels every timer. */
  stop(): void;
}

/**
 * Starts the clocks.
 *
 * @param options - what to watch
 */
export function watchLimits(options: StepLimitsOptions): StepLimitsWatch {
  const { clock, request, startedMonotonicMs } = options;
  const { idleTimeoutSec, startTimeoutSec, resultDrainSec } = request.limits;
  const timers: Timer[] = [];
  const activity = createActivity(options);
  let eventCount = 0;
  let sample: (() => ResourceSample) | undefined;
  let maxRss: number | undefined;
  let isStopped = false;
  let isDraining = false;

  const after = (seconds: number, fromMs: number, callback: () => void): void => {
    // A start in another boot has no place on this one's clock; nothing of such a step can be running.
    const knownFromMs = Number.isFinite(fromMs) ? fromMs : clock.monotonicMs();
    const deadline = createDeadline(clock, Math.max(0, knownFromMs + seconds * 1000 - clock.monotonicMs()));
    timers.push(deadline.onExpired(callback));
  };
  const observe = (): boolean => {
    const seen = sample?.();
    if (seen !== undefined && seen.rssBytes > 0) maxRss = Math.max(maxRss ?? 0, seen.rssBytes);
    return activity.observe(eventCount, seen?.cpuMs);
  };
  const checkStart = (): void => {
    if (eventCount === 0 && activity.outputBytes() === 0) {
      options.onExceeded({ reason: 'start_timeout', text: `${startTimeoutSec} s` });
    }
  };
  const checkIdle = async (seconds: number): Promise<void> => {
    if (clock.monotonicMs() - activity.lastActiveMonotonicMs() < seconds * 1000) return;
    const idleSinceMs = clock.nowMs() - (clock.monotonicMs() - activity.lastActiveMonotonicMs());
    const changedAtMs = await findChangeSince(request.runtime.worktreePath, idleSinceMs);
    if (changedAtMs !== undefined)
      activity.noteAt(clock.monotonicMs() - Math.max(0, clock.nowMs() - changedAtMs));
    else if (!isStopped) options.onExceeded({ reason: 'idle_timeout', text: `${seconds} s` });
  };
  const tickMs = Math.min(TICK_MS, ((idleTimeoutSec ?? TICK_MS) * 1000) / 4);
  const tick = async (): Promise<void> => {
    try {
      options.onTick(observe());
      if (idleTimeoutSec !== undefined) await checkIdle(idleTimeoutSec);
    } catch (error) {
      options.onProblem(error);
    }
    if (!isStopped) timers[0] = clock.setTimer(tickMs, () => void tick());
  };

  timers.push(clock.setTimer(tickMs, () => void tick()));
  if (request.timeoutSec !== undefined) {
    const { timeoutSec } = request;
    after(timeoutSec, startedMonotonicMs, () =>
      options.onExceeded({ reason: 'timeout', text: `${timeoutSec} s` }),
    );
  }
  const awaitSign = (fromMs: number): void => {
    if (startTimeoutSec !== undefined && !isStopped) after(startTimeoutSec, fromMs, checkStart);
  };
  if (options.isStarted) awaitSign(startedMonotonicMs);
  return {
    noteStarted: () => awaitSign(clock.monotonicMs()),
    noteEvent() {
      eventCount += 1;
    },
    noteResult() {
      if (resultDrainSec === undefined || isStopped || isDraining) return;
      isDraining = true;
      after(resultDrainSec, clock.monotonicMs(), () => options.onExceeded({ reason: 'result_drain' }));
    },
    sampleWith(newSample) {
      sample = newSample;
    },
    maxRssBytes: () => maxRss,
    stop() {
      isStopped = true;
      for (const timer of timers) timer.cancel();
    },
  };
}

interface Activity {
  /** Compares with the last call; true when something happened in between. */
  observe(eventCount: number, cpuMs: number | undefined): boolean;
  noteAt(monotonicMs: number): void;
  lastActiveMonotonicMs(): number;
  outputBytes(): number;
}

function createActivity(options: StepLimitsOptions): Activity {
  const { clock } = options;
  let last = { bytes: 0, events: 0, cpuMs: 0, atMs: clock.monotonicMs() };
  let lastActiveMs = clock.monotonicMs();
  const outputBytes = (): number => options.outputPaths.reduce((sum, path) => sum + sizeOf(path), 0);
  return {
    observe(eventCount, cpuMs = last.cpuMs) {
      const now = { bytes: outputBytes(), events: eventCount, cpuMs, atMs: clock.monotonicMs() };
      // A daemon that only waits wakes up now and then; 1 % of a core is work. Children that ended take their time with them.
      const usedCpu = Math.abs(now.cpuMs - last.cpuMs) > Math.max(0, (now.atMs - last.atMs) / 100);
      const isActive = now.bytes !== last.bytes || now.events !== last.events || usedCpu;
      last = now;
      if (isActive) lastActiveMs = now.atMs;
      return isActive;
    },
    noteAt(monotonicMs) {
      lastActiveMs = Math.max(lastActiveMs, monotonicMs);
    },
    lastActiveMonotonicMs: () => lastActiveMs,
    outputBytes,
  };
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

const TICK_MS = 1000;
