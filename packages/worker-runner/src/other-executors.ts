/** The two executors that start no process: one that only records, and one that calls a function. */
import { messageOf } from './errors.ts';
import type { StepContext, StepExit, WorkerExecutor } from './executor.ts';
import { whyNotToStart } from './process-executor.ts';
import { isExitCode } from './exit-schema.ts';

/** Records the run and stops: the outcome is `prepared`. Whoever executes it later does so under another run id. */
export function createPrepareOnlyExecutor(): WorkerExecutor {
  return { name: 'prepare-only', execute: () => Promise.resolve({ how: 'deferred' }) };
}

/** A step in this process. Returns an exit code from 0 to 255 (nothing means 0), or throws; both may make the step fail. */
export type StepFunction = (context: StepContext) => Promise<number | void>;

/**
 * Runs an async function as a step.
 *
 * @param run - the function. It must heed `context.signal`: JavaScript cannot be stopped from outside, so a function
 * that does not return within the kill grace makes the run end as `failed` with the reason `runner_failed`.
 */
export function createFunctionExecutor(run: StepFunction): WorkerExecutor {
  return { name: 'function', execute: (context) => executeFunction(run, context) };
}

async function executeFunction(run: StepFunction, context: StepContext): Promise<StepExit> {
  await context.checkpointAtStart();
  const refusal = whyNotToStart(context);
  if (refusal !== undefined) return refusal;
  context.started();
  const done = callFunction(run, context);
  const abandoned = new AbortController();
  const giveUp = async (): Promise<StepExit> => {
    await whenAborted(context.signal);
    await context.checkpointBeforeKill();
    await context.clock.sleep(context.request.limits.killGraceSec * 1000, { signal: abandoned.signal });
    context.warn('function_abandoned', 'The function did not return after it was told to end');
    return {
      how: 'exited',
      reason: 'runner_failed',
      text: 'The function ignored its end and may still be running',
    };
  };
  const waiting = giveUp();
  const exit = await Promise.race([done, waiting]);
  abandoned.abort();
  // The loser of the race has nobody waiting for it; its rejection is the abort above.
  waiting.catch(() => undefined);
  return exit;
}

async function callFunction(run: StepFunction, context: StepContext): Promise<StepExit> {
  try {
    const exitCode: unknown = await run(context);
    if (typeof exitCode !== 'number') return { how: 'exited', exitCode: 0 };
    if (isExitCode(exitCode)) return { how: 'exited', exitCode };
    const text = `The function returned ${exitCode}, expected an exit code from 0 to 255`;
    return { how: 'exited', reason: 'function_failed', text };
  } catch (error) {
    return { how: 'exited', reason: 'function_failed', text: messageOf(error) };
  }
}

function whenAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
