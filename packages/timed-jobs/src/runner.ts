/** Runners: named pieces of work done in a tick. Invariant: a runner never runs beside itself. */

import { TimedJobsError } from './errors.ts';
import type { Leadership } from './gate.ts';
import type { TickConfig } from './options.ts';
import type { Absence } from './plan.ts';

/** What set a tick off: the grid, a caller of `runTick`, or a wish for an early tick. */
export type TickTrigger = 'interval' | 'manual' | 'wake';

/** What a runner says about its run. `idle` means there was nothing to do; a tick of idle runners is one log line. */
export type RunnerResult = 'idle' | 'worked';

/** A runner's answer; nothing at all counts as `worked`. */
export type RunnerAnswer =
  | RunnerResult
  | undefined
  | void
  | {
      /** Whether there was anything to do. */
      readonly result: RunnerResult;
      /** Written into the tick log beside the fixed fields. */
      readonly details?: Readonly<Record<string, unknown>>;
    };

/** What a runner is given. */
export interface RunContext<Services> extends Leadership {
  /** Names this tick in the log; unique across restarts. */
  readonly batchId: string;
  /** What set the tick off. */
  readonly trigger: TickTrigger;
  /** The settings of the framework. */
  readonly config: TickConfig;
  /** See {@link TickConfig.maxMessagesPerTick}. */
  readonly maxMessagesPerTick: number;
  /** See {@link TickConfig.maxTasksPerTick}. */
  readonly maxTasksPerTick: number;
  /** See {@link TickConfig.settleDelayMs}. */
  readonly settleDelayMs: number;
  /** Aborts when the runner times out, when leadership ends, and when `stop` has waited long enough. */
  readonly signal: AbortSignal;
  /** The directory of the tick log; `undefined` when nothing is written. */
  readonly logDir: string | undefined;
  /** What the app passed to `createTimedJobs`. */
  readonly services: Services;
  /** Wall time, UTC ms, from the framework's clock. */
  nowMs(): number;
  /** When the gate kept this node from ticking, oldest first: the last 64 stretches since the framework was made. */
  absences(): readonly Absence[];
  /**
   * Writes a line to the tick log under the runner's name.
   *
   * @param stage - a noun of the runner's own; the framework's stages are refused with RangeError
   * @param details - written beside the fixed fields, which they cannot overwrite
   */
  log(stage: string, details?: Readonly<Record<string, unknown>>): void;
  /**
   * Asks for a tick at an instant before the next planned one, for this runner alone. The last wish of a run counts;
   * a run without a wish has none. Forgotten when the loop is not running.
   *
   * @param atMs - UTC ms; the past means as soon as this tick is over
   * @throws RangeError when `atMs` is NaN
   */
  wakeAt(atMs: number): void;
}

/** A named piece of work. */
export interface Runner<Services = unknown> {
  /** Trimmed, non-empty, unique. */
  readonly name: string;
  /** What it does, for people. */
  readonly description?: string;
  /**
   * How long one run may take, in ms of monotonic time; a positive integer or Infinity. A run that takes longer is
   * recorded and its signal aborts; until it settles the runner is left out of further ticks.
   *
   * @defaultValue 300_000
   */
  readonly timeoutMs?: number;
  /**
   * Runs in every nth planned tick only, in the next one when that was missed; a positive integer. Manual ticks run
   * it always, woken ones only if this is 1.
   *
   * @defaultValue 1
   */
  readonly everyTicks?: number;
  /**
   * Does the work. What it throws is recorded and does not disturb the others.
   *
   * @param context - what it may use
   */
  run(context: RunContext<Services>): Promise<RunnerAnswer> | RunnerAnswer;
}

/** @internal A runner with its defaults, and what the framework remembers about it. */
export interface RegisteredRunner<Services> {
  readonly name: string;
  readonly timeoutMs: number;
  readonly everyTicks: number;
  readonly runner: Runner<Services>;
  /** A run that was given up on and has not settled yet. */
  abandoned: Promise<void> | undefined;
  /** The early tick it asked for, UTC ms. */
  wakeAtMs: number | undefined;
  /** The first planned tick it takes part in again. */
  nextIndex: number;
}

/**
 * @internal Checks a runner.
 *
 * @throws TypeError or RangeError naming the setting, TimedJobsError with code `duplicate-runner`
 */
export function registerRunner<Services>(
  runner: Runner<Services>,
  others: readonly RegisteredRunner<Services>[],
): RegisteredRunner<Services> {
  const name = runner.name.trim();
  if (name === '') {
    throw new TypeError(`Cannot register runner "${runner.name}": its name is empty, expected a text`);
  }
  if (others.some((other) => other.name === name)) {
    throw new TimedJobsError(
      'duplicate-runner',
      `Cannot register runner "${name}": one of that name is registered, expected a unique name`,
    );
  }
  const { timeoutMs = 300_000, everyTicks = 1 } = runner;
  if (timeoutMs !== Infinity) requirePositive(name, 'timeoutMs', timeoutMs);
  requirePositive(name, 'everyTicks', everyTicks);
  return { name, timeoutMs, everyTicks, runner, abandoned: undefined, wakeAtMs: undefined, nextIndex: 0 };
}

function requirePositive(name: string, setting: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new RangeError(
      `Cannot register runner "${name}": ${setting} is "${value}", expected a positive integer`,
    );
  }
}
