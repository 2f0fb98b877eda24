/** One run of one runner, cut off in time. Invariant: the promise returned never rejects and never outlives the cut. */

import { inspect } from 'node:util';
import type { Clock } from '@conductor-run/clock';
import { toError, TimedJobsError } from './errors.ts';
import type { RegisteredRunner, RunContext, RunnerResult } from './runner.ts';

/** @internal How a run ended. */
export type RunEnd =
  | {
      readonly kind: 'completed';
      readonly result: RunnerResult;
      readonly details: Readonly<Record<string, unknown>> | undefined;
    }
  | { readonly kind: 'failed'; readonly error: Error }
  | { readonly kind: 'timed-out'; readonly error: Error };

/**
 * @internal Runs until the runner settles, its time is up, or `tickSignal` aborts. In the last two cases the runner's own
 * signal is aborted and the runner counts as abandoned until it settles.
 */
export function runRunner<Services>(
  registered: RegisteredRunner<Services>,
  makeContext: (signal: AbortSignal) => RunContext<Services>,
  tickSignal: AbortSignal,
  clock: Clock,
): Promise<RunEnd> {
  const { name, timeoutMs, runner } = registered;
  const controller = new AbortController();
  return new Promise((resolve) => {
    const finish = (end: RunEnd): void => {
      timer?.cancel();
      tickSignal.removeEventListener('abort', onTickAborted);
      resolve(end);
    };
    const cutOff = (kind: 'failed' | 'timed-out', error: Error): void => {
      registered.abandoned = settled.then(() => {
        registered.abandoned = undefined;
      });
      controller.abort(error);
      finish({ kind, error });
    };
    const onTickAborted = (): void => {
      const message = `Cannot finish runner "${name}": its tick was aborted, expected it to go on`;
      const error = new TimedJobsError('runner-aborted', message, { cause: tickSignal.reason });
      cutOff('failed', error);
    };

    const timer =
      timeoutMs === Infinity
        ? undefined
        : clock.setTimer(timeoutMs, () => {
            const message = `Cannot finish runner "${name}": still running after ${timeoutMs} ms, expected it to settle`;
            cutOff('timed-out', new TimedJobsError('runner-timeout', message));
          });
    tickSignal.addEventListener('abort', onTickAborted, { once: true });
    // An async function, so that a synchronous throw arrives the same way.
    const settled = (async () => readAnswer(name, await runner.run(makeContext(controller.signal))))().then(
      (end) => finish(end),
      (error: unknown) => finish({ kind: 'failed', error: toError(error) }),
    );
  });
}

/**
 * A runner may answer anything, whatever its type says.
 *
 * @throws TypeError when it is no answer
 */
function readAnswer(name: string, answer: unknown): RunEnd {
  if (answer === undefined) return { kind: 'completed', result: 'worked', details: undefined };
  const { result, details } = isRecord(answer) ? answer : { result: answer, details: undefined };
  if ((result === 'idle' || result === 'worked') && (details === undefined || isRecord(details))) {
    return { kind: 'completed', result, details };
  }
  const shown = inspect(answer, { depth: 1, customInspect: false, maxStringLength: 100 });
  throw new TypeError(
    `Cannot use the answer of runner "${name}": it is "${shown}", expected "idle", "worked", nothing, or an object with one of the two as result and an object, or nothing, as details`,
  );
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
