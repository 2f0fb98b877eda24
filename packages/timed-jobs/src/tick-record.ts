/**
 * What one tick writes into the log.
 * Invariant: a tick in which nothing happens writes one line; once something happens, no line is missing.
 */

import type { Clock } from '@conductor-run/clock';
import type { TickLog, TickLogEntry } from './tick-log.ts';

/** @internal What a line may carry. */
export interface RecordFields {
  readonly result?: string | undefined;
  readonly error?: Error | undefined;
  readonly durationMs?: number | undefined;
  readonly details?: Readonly<Record<string, unknown>> | undefined;
}

/** @internal */
export interface TickRecord {
  readonly batchId: string;
  elapsedMs(): number;
  framework(stage: string, fields: RecordFields): void;
  runner(name: string, stage: string, fields: RecordFields): void;
  /** Writes what was held back and holds nothing back from now on. */
  readonly speak: () => void;
  /** Writes the last line: alone when nothing happened. */
  end(decision: string, counts: { readonly runnerCount: number; readonly failedRunnerCount: number }): void;
}

/** @internal */
export function createTickRecord(log: TickLog, clock: Clock, batchId: string): TickRecord {
  const startedAtMs = clock.monotonicMs();
  let held: TickLogEntry[] | undefined = [];
  const write = (runner: string, stage: string, { error, ...fields }: RecordFields): void => {
    const message = error === undefined ? undefined : `${error.name}: ${error.message}`;
    const entry = { atMs: clock.nowMs(), runner, stage, batchId, error: message, ...fields };
    if (held === undefined) log.write(entry);
    else held.push(entry);
  };
  const speak = (): void => {
    for (const entry of held ?? []) log.write(entry);
    held = undefined;
  };
  const elapsedMs = (): number => clock.monotonicMs() - startedAtMs;
  return {
    batchId,
    elapsedMs,
    framework: (stage, fields) => write(FRAMEWORK, stage, fields),
    runner: write,
    speak,
    end(decision, { runnerCount, failedRunnerCount }) {
      const durationMs = elapsedMs();
      if (held !== undefined) {
        held = undefined;
        const result = decision === 'scheduled' ? 'idle' : decision;
        write(FRAMEWORK, 'tick_completed', { result, durationMs });
        return;
      }
      const details = { runner_count: runnerCount, failed_runner_count: failedRunnerCount };
      write(FRAMEWORK, 'tick_completed', { result: decision, durationMs, details });
    },
  };
}

/**
 * @internal Keeps a runner from writing lines that read as the framework's.
 *
 * @throws RangeError when the stage is one of the framework's
 */
export function requireOwnStage(runner: string, stage: string): void {
  if (FRAMEWORK_STAGES.has(stage)) {
    throw new RangeError(
      `Cannot log stage "${stage}" of runner "${runner}": it is the framework's, expected one of the runner's own`,
    );
  }
}

/** @internal The name the framework logs under. */
export const FRAMEWORK = 'timed-jobs.framework';

const FRAMEWORK_STAGES = new Set([
  'started',
  'stopped',
  'tick_started',
  'tick_completed',
  'tick_failed',
  'tick_skipped_busy',
  'tick_skipped_no_runners',
  'runner_started',
  'runner_completed',
  'runner_failed',
  'runner_skipped',
  'runner_timed_out',
]);
