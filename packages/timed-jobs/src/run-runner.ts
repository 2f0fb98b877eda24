/** One run of one runner, cut off in time. Invariant: the promise returned never rejects and never outlives the cut. */

import type { Clock } from '@conductor-run/clock';
import { toError, TimedJobsError } from './errors.ts';
import type { RegisteredRunner, RunContext, RunnerAnswer } from './runner.ts';

/** @internal How a run ended. */
export type RunEnd =
  | { readonly kind: 'completed'; readonly answer: RunnerAnswer }
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
    const settled = (async () => runner.run(makeContext(controller.signal)))().then(
      (answer) => finish({ kind: 'completed', answer }),
      (error: unknown) => finish({ kind: 'failed', error: toError(error) }),
    );
  });
}
