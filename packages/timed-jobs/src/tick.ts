/**
 * One tick: gate, then runner after runner.
 * Invariant: at most one tick is in flight, whoever asks; a runner's failure stays its own.
 */

import { randomBytes } from 'node:crypto';
import type { Clock } from '@conductor-run/clock';
import { type AbsenceLog, createAbsenceLog } from './absence-log.ts';
import { TimedJobsError, toError } from './errors.ts';
import type { Gate, GateAnswer, Leadership } from './gate.ts';
import type { Logger } from './logger.ts';
import type { TickConfig } from './options.ts';
import { runRunner } from './run-runner.ts';
import type { RegisteredRunner, RunContext, TickTrigger } from './runner.ts';
import type { TickLog } from './tick-log.ts';
import { createTickRecord, requireOwnStage, type TickRecord } from './tick-record.ts';

/** What a tick came to. */
export type TickDecision =
  | 'scheduled'
  | 'skipped_busy'
  | 'skipped_no_runners'
  | 'skipped_not_leader'
  | 'skipped_system_paused'
  | 'failed';

/** The outcome of a tick. */
export interface TickResult {
  /** Names the tick in the log; unique across restarts. */
  readonly batchId: string;
  /** What it came to. */
  readonly decision: TickDecision;
  /** How many runners were run. */
  readonly runnerCount: number;
  /** How many of them threw, rejected, or were cut off. */
  readonly failedRunnerCount: number;
}

/** @internal What to run, and what to write down about it. */
export interface TickRequest<Services> {
  readonly trigger: TickTrigger;
  readonly selection: readonly RegisteredRunner<Services>[];
  readonly details?: Readonly<Record<string, unknown>>;
}

/** @internal */
export interface Ticker<Services> {
  run(request: TickRequest<Services>): Promise<TickResult>;
  /** The tick in flight. */
  current(): Promise<TickResult> | undefined;
  /** Resolves when no tick is in flight. */
  idle(): Promise<void>;
  /** Cuts the tick in flight off. */
  abort(reason: Error): void;
}

/** @internal */
export interface TickerOptions<Services> {
  readonly config: TickConfig;
  readonly gate: Gate;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly log: TickLog;
  readonly logDir: string | undefined;
  readonly services: Services;
}

/** @internal */
export function createTicker<Services>(options: TickerOptions<Services>): Ticker<Services> {
  const { clock, log } = options;
  const idPrefix = randomBytes(4).toString('hex');
  const absences = createAbsenceLog();
  let tickCount = 0;
  let current: Promise<TickResult> | undefined;
  let abortCurrent = new AbortController();

  const skip = (batchId: string, decision: 'skipped_busy' | 'skipped_no_runners'): TickResult => {
    const record = createTickRecord(log, clock, batchId);
    record.framework(`tick_${decision}`, { result: decision });
    record.speak();
    return { batchId, decision, runnerCount: 0, failedRunnerCount: 0 };
  };

  return {
    async run(request) {
      const batchId = `${idPrefix}-${(tickCount++).toString(36)}`;
      if (current !== undefined) return skip(batchId, 'skipped_busy');
      if (request.selection.length === 0) return skip(batchId, 'skipped_no_runners');
      // What is about to run has its wish fulfilled, even if the gate stays shut.
      for (const registered of request.selection) registered.wakeAtMs = undefined;
      abortCurrent = new AbortController();
      current = runTick(options, request, batchId, abortCurrent.signal, absences);
      try {
        return await current;
      } finally {
        current = undefined;
      }
    },
    current: () => current,
    async idle() {
      for (let tick = current; tick !== undefined; tick = current) await tick;
    },
    abort: (reason) => abortCurrent.abort(reason),
  };
}

async function runTick<Services>(
  options: TickerOptions<Services>,
  request: TickRequest<Services>,
  batchId: string,
  signal: AbortSignal,
  absences: AbsenceLog,
): Promise<TickResult> {
  const { clock, log, logger, gate } = options;
  const record = createTickRecord(log, clock, batchId);
  record.framework('tick_started', { details: { trigger: request.trigger, ...request.details } });
  if (request.details !== undefined) record.speak();
  // A tick that takes this long is worth knowing about, most of all if the process dies in it.
  const speakTimer = clock.setTimer(QUIET_FOR_MS, record.speak, { keepAlive: false });
  const counts = { runnerCount: 0, failedRunnerCount: 0 };
  let isCalled = false;
  let isOver = false;
  const work = async (leadership: Leadership): Promise<void> => {
    if (isCalled) throw gateBroken('its work was called twice');
    if (isOver) throw gateBroken('its work was called after the tick was over');
    isCalled = true;
    absences.end(clock.nowMs());
    const follower = followBoth(signal, leadership.signal);
    try {
      await runAll(options, request, record, leadership, follower.signal, absences, counts);
    } finally {
      follower.letGo();
    }
  };

  try {
    const { decision } = await unlessAborted(gate.schedule(work), signal);
    requireConsistent(decision, isCalled);
    if (decision === 'skipped_not_leader') absences.note('not-leader', clock.nowMs());
    if (decision === 'skipped_system_paused') absences.note('paused', clock.nowMs());
    record.end(decision, counts);
    return { batchId, decision, ...counts };
  } catch (error) {
    const err = toError(error);
    record.speak();
    record.framework('tick_failed', { result: 'failed', error: err, durationMs: record.elapsedMs() });
    logger.error({ err, batchId }, 'tick.failed');
    return { batchId, decision: 'failed', ...counts };
  } finally {
    isOver = true;
    speakTimer.cancel();
  }
}

async function runAll<Services>(
  options: TickerOptions<Services>,
  request: TickRequest<Services>,
  record: TickRecord,
  leadership: Leadership,
  tickSignal: AbortSignal,
  absences: AbsenceLog,
  counts: { runnerCount: number; failedRunnerCount: number },
): Promise<void> {
  for (const registered of request.selection) {
    const { name } = registered;
    if (tickSignal.aborted || registered.abandoned !== undefined) {
      const result = tickSignal.aborted ? 'tick_aborted' : 'still_running';
      record.speak();
      record.runner(name, 'runner_skipped', { result });
      continue;
    }
    counts.runnerCount += 1;
    record.runner(name, 'runner_started', {});
    const startedAtMs = options.clock.monotonicMs();
    const end = await runRunner(
      registered,
      (signal) => makeContext(options, request, record, leadership, registered, signal, absences),
      tickSignal,
      options.clock,
    );
    const durationMs = options.clock.monotonicMs() - startedAtMs;
    if (end.kind === 'completed') {
      if (end.result !== 'idle') record.speak();
      const { result, details } = end;
      record.runner(name, 'runner_completed', { result, durationMs, details });
      continue;
    }
    counts.failedRunnerCount += 1;
    record.speak();
    const stage = end.kind === 'failed' ? 'runner_failed' : 'runner_timed_out';
    record.runner(name, stage, { result: end.kind, error: end.error, durationMs });
    options.logger.error({ err: end.error, runner: name, batchId: record.batchId }, 'runner.failed');
  }
}

function makeContext<Services>(
  options: TickerOptions<Services>,
  request: TickRequest<Services>,
  record: TickRecord,
  { controllerId, host, term }: Leadership,
  registered: RegisteredRunner<Services>,
  signal: AbortSignal,
  absences: AbsenceLog,
): RunContext<Services> {
  const { config, clock, services, logDir } = options;
  return {
    batchId: record.batchId,
    trigger: request.trigger,
    config: { ...config },
    maxMessagesPerTick: config.maxMessagesPerTick,
    maxTasksPerTick: config.maxTasksPerTick,
    settleDelayMs: config.settleDelayMs,
    controllerId,
    host,
    term,
    signal,
    logDir,
    services,
    nowMs: () => clock.nowMs(),
    absences: () => absences.list(),
    log(stage, details) {
      requireOwnStage(registered.name, stage);
      record.speak();
      record.runner(registered.name, stage, { details });
    },
    wakeAt(atMs) {
      if (Number.isNaN(atMs)) {
        throw new RangeError(
          `Cannot wake runner "${registered.name}" at "NaN": expected an instant in UTC milliseconds`,
        );
      }
      // A run that was given up on has no say any more.
      if (!signal.aborted) registered.wakeAtMs = atMs;
    },
  };
}

function requireConsistent(decision: GateAnswer['decision'], isCalled: boolean): void {
  if (decision === 'scheduled' && !isCalled)
    throw gateBroken('it answered "scheduled" without calling its work');
  if (decision !== 'scheduled' && isCalled)
    throw gateBroken(`it answered "${decision}" after calling its work`);
}

function gateBroken(state: string): TimedJobsError {
  return new TimedJobsError('gate-contract', `Cannot pass gate: ${state}, expected one call per "scheduled"`);
}

/** The promise, or the signal's reason, whichever comes first; leaves no listener. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      // The gate gets a turn first: work that was cut off ends before the gate that waits for it.
      setImmediate(() => reject(toError(signal.reason)));
    };
    signal.addEventListener('abort', onAbort, { once: true });
    void promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** A signal that follows two others, and a way to let go of the long-lived one. */
function followBoth(
  first: AbortSignal,
  second: AbortSignal | undefined,
): { readonly signal: AbortSignal; readonly letGo: () => void } {
  const controller = new AbortController();
  const sources = second === undefined ? [first] : [first, second];
  const onAbort = (): void => controller.abort(sources.find((source) => source.aborted)?.reason);
  for (const source of sources) {
    if (source.aborted) onAbort();
    else source.addEventListener('abort', onAbort, { once: true });
  }
  const letGo = (): void => {
    for (const source of sources) source.removeEventListener('abort', onAbort);
  };
  return { signal: controller.signal, letGo };
}

const QUIET_FOR_MS = 1_000;
