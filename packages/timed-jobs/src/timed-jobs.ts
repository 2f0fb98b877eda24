/**
 * The noun: registered runners, one gate, one loop.
 * Invariant: ticks never overlap, and after `stop()` there is no timer and no write left.
 */

import { type Clock, createDeadline, createRealClock } from '@conductor-run/clock';
import { TimedJobsError } from './errors.ts';
import type { Gate } from './gate.ts';
import { type Logger, silentLogger } from './logger.ts';
import { createLoop, type LoopTick } from './loop.ts';
import { requireInteger, resolveTickConfig, type TickConfig } from './options.ts';
import { type RegisteredRunner, registerRunner, type Runner, type TickTrigger } from './runner.ts';
import { createTickLog } from './tick-log.ts';
import { FRAMEWORK } from './tick-record.ts';
import { createTicker, type TickRequest, type TickResult } from './tick.ts';

/** What timed jobs are made of. */
export interface TimedJobsOptions<Services> {
  /** How often to tick and how much a tick may do; missing settings take their defaults. */
  readonly config?: Partial<TickConfig>;
  /** Decides whether this node may tick. */
  readonly gate: Gate;
  /**
   * Where time comes from.
   *
   * @defaultValue the real clock
   */
  readonly clock?: Clock;
  /**
   * Where trouble is told.
   *
   * @defaultValue silence
   */
  readonly logger?: Logger;
  /** Directory of the tick log, made when needed. Without it nothing is written. */
  readonly logDir?: string;
  /**
   * How many days of the tick log are kept, the newest; a positive integer. Days on which nothing was logged do not count,
   * so a wall clock that jumps ahead and back takes no more than the oldest day with it.
   *
   * @defaultValue 30
   */
  readonly logRetentionDays?: number;
  /** Told after each tick, whatever it came to. Must not throw. */
  readonly onTick?: (report: TickReport) => void;
  /** Handed to every runner as it is. */
  readonly services?: Services;
}

/** A tick that is over, for metrics and traces. */
export interface TickReport extends TickResult {
  /** Who asked for it. */
  readonly trigger: TickTrigger;
  /** When it began, UTC ms. */
  readonly startedAtMs: number;
  /** How long it took, in ms of monotonic time. */
  readonly durationMs: number;
  /** How long after its planned instant it began, in ms; unset for a tick that nobody planned. */
  readonly lateMs: number | undefined;
}

/** How to stop. */
export interface StopOptions {
  /**
   * How long the tick in flight may take to end by itself, in ms of monotonic time, at least 0. Then its signal aborts.
   *
   * @defaultValue 30_000
   */
  readonly graceMs?: number;
}

/** How stopping went. */
export interface StopResult {
  /** Runners that had been cut off and have not settled: they ignore their signal. Empty when all is quiet. */
  readonly abandonedRunners: readonly string[];
}

/** A tick framework. Make one with {@link createTimedJobs}; whoever starts it stops it. */
export interface TimedJobs<Services = undefined> {
  /**
   * Adds a runner; it takes part from the next tick on, after those registered before it.
   *
   * @param runner - what to run
   * @throws TypeError or RangeError naming the setting that is wrong
   * @throws {@link TimedJobsError} with code `duplicate-runner`
   */
  registerRunner(runner: Runner<Services>): void;
  /** The names of the registered runners, in order of registration. */
  runnerNames(): readonly string[];
  /** A copy of the settings in force. */
  config(): TickConfig;
  /** True from `start()` until `stop()`. */
  isStarted(): boolean;
  /** Begins the loop: the first tick is due at once. Does nothing when started; legal again after `stop`. */
  start(): void;
  /**
   * Ends the loop: plans nothing more, waits for the tick in flight, then writes out the log. Idempotent, legal
   * before `start`. A process killed instead leaves nothing to repair: at most a torn last line in the log.
   *
   * @param options - how long to wait
   * @throws RangeError when `graceMs` is negative or NaN
   */
  stop(options?: StopOptions): Promise<StopResult>;
  /**
   * Ticks now, with every runner. Needs no `start()`. Never rejects for what a gate or runner does.
   *
   * @param trigger - what to call it; `interval` is for loops of one's own
   */
  runTick(trigger: 'interval' | 'manual'): Promise<TickResult>;
  /**
   * Asks for a tick soon, such as when something was enqueued. Calls within 20 ms become one tick. Does nothing when
   * the loop is not running.
   *
   * @param reason - written into the tick log
   */
  wake(reason: string): void;
}

/**
 * Makes a tick framework; nothing runs before `start()` or `runTick()`.
 *
 * @param options - settings, gate, and what runners need
 * @throws RangeError or TypeError naming the setting that is wrong
 */
export function createTimedJobs<Services = undefined>(
  options: TimedJobsOptions<Services> &
    (undefined extends Services ? unknown : { readonly services: Services }),
): TimedJobs<Services> {
  const { gate, clock = createRealClock(), logger = silentLogger, logDir } = options;
  const config = resolveTickConfig(options.config);
  const retentionDays = requireInteger('logRetentionDays', options.logRetentionDays ?? 30, 1);
  const log = createTickLog(logDir, retentionDays, clock, logger);
  // The option is required whenever `undefined` is not a `Services`; see the signature.
  const services = options.services as Services;
  const ticker = createTicker({ config, gate, clock, logger, log, logDir, services });
  const runners: RegisteredRunner<Services>[] = [];
  let isStarted = false;

  const runTick = async (request: TickRequest<Services>, lateMs: number | undefined): Promise<TickResult> => {
    const [startedAtMs, begunMs] = [clock.nowMs(), clock.monotonicMs()];
    const result = await ticker.run(request);
    const durationMs = clock.monotonicMs() - begunMs;
    options.onTick?.({ ...result, trigger: request.trigger, startedAtMs, durationMs, lateMs });
    return result;
  };

  const tickOfLoop = async ({ index, lateMs, missedCount, reasons }: LoopTick): Promise<void> => {
    // A planned tick that meets a manual one is skipped and said to be; an early one waits for its end.
    if (index === undefined) await ticker.idle();
    if (!isStarted) return;
    const nowMs = clock.nowMs();
    const isDue = ({ everyTicks, nextIndex, wakeAtMs }: RegisteredRunner<Services>): boolean =>
      (wakeAtMs !== undefined && wakeAtMs <= nowMs) ||
      (index === undefined ? reasons.length > 0 && everyTicks === 1 : index >= nextIndex);
    const selection = runners.filter(isDue);
    // The early tick this one was for may have been overtaken by the manual tick it waited for.
    if (index === undefined && selection.length === 0) return;
    const details = {
      ...(missedCount > 0 && { missed_ticks: missedCount }),
      ...(reasons.length > 0 && { wake_reasons: reasons }),
    };
    const trigger = index === undefined ? 'wake' : 'interval';
    const request = { trigger, selection, ...(Object.keys(details).length > 0 && { details }) } as const;
    const { decision } = await runTick(request, lateMs);
    if (index !== undefined && decision !== 'skipped_busy') noteRun(selection, index);
  };

  const loop = createLoop({
    intervalMs: config.intervalMs,
    clock,
    logger,
    earlyAtMs: () => earliest(runners),
    tick: tickOfLoop,
  });

  const logLifecycle = (stage: 'started' | 'stopped'): void => {
    log.write({ atMs: clock.nowMs(), runner: FRAMEWORK, stage, batchId: undefined });
  };

  const abandonedRunners = (): RegisteredRunner<Services>[] =>
    runners.filter(({ abandoned }) => abandoned !== undefined);

  return {
    registerRunner(runner) {
      runners.push(registerRunner(runner, runners));
    },
    runnerNames: () => runners.map(({ name }) => name),
    config: () => ({ ...config }),
    isStarted: () => isStarted,
    start() {
      if (isStarted) return;
      isStarted = true;
      for (const registered of runners) registered.nextIndex = 0;
      logLifecycle('started');
      if (config.autoStart) loop.start();
    },
    async stop({ graceMs = 30_000 } = {}) {
      const deadline = createDeadline(clock, graceMs);
      loop.stop();
      if (isStarted) logLifecycle('stopped');
      isStarted = false;
      const message = `Cannot go on: stopped, and ${graceMs} ms of grace are over`;
      const abort = (): void => ticker.abort(new TimedJobsError('runner-aborted', message));
      const timer = ticker.current() === undefined ? undefined : deadline.onExpired(abort);
      await ticker.current();
      timer?.cancel();
      // Those that heed their signal need a moment to unwind; those that do not are named.
      const unwinding = Promise.all(abandonedRunners().map(async ({ abandoned }) => abandoned));
      await settleWithin(clock, unwinding, UNWIND_MS);
      await log.flush();
      return { abandonedRunners: abandonedRunners().map(({ name }) => name) };
    },
    async runTick(trigger) {
      const result = await runTick({ trigger, selection: runners.slice() }, undefined);
      loop.replan();
      return result;
    },
    wake: (reason) => loop.wake(reason),
  };
}

function noteRun<Services>(selection: readonly RegisteredRunner<Services>[], index: number): void {
  for (const registered of selection) {
    registered.nextIndex = (Math.floor(index / registered.everyTicks) + 1) * registered.everyTicks;
  }
}

function earliest<Services>(runners: readonly RegisteredRunner<Services>[]): number | undefined {
  let earliestMs: number | undefined;
  for (const { wakeAtMs } of runners) {
    if (wakeAtMs !== undefined && (earliestMs === undefined || wakeAtMs < earliestMs)) earliestMs = wakeAtMs;
  }
  return earliestMs;
}

/** Waits for `promise`, which never rejects, but no longer than `timeoutMs`. */
async function settleWithin(clock: Clock, promise: Promise<unknown>, timeoutMs: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = clock.setTimer(timeoutMs, resolve);
    void promise.then(() => {
      timer.cancel();
      resolve();
    });
  });
}

const UNWIND_MS = 1_000;
