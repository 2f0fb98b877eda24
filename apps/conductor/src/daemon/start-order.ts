/**
 * Starting things in order and stopping them in reverse.
 * Invariant: when a start fails, everything started before it is stopped again, and the error says which step it was.
 */

import { ConductorError } from '../errors.ts';

/** One thing a daemon is made of. */
export interface StartStep {
  /** For the check-list, such as `job store`. */
  readonly name: string;
  /** Starts it; resolves with what stops it again, which must be safe to call once. */
  start(): Promise<{ readonly detail?: string; stop(): Promise<void> }>;
}

/** What `startInOrder` gives. */
export interface StartedSteps {
  /** Stops everything, last first. An error does not keep the rest from being stopped; the first one is thrown. */
  stop(): Promise<void>;
}

/**
 * Starts the steps one after another.
 *
 * @param steps - in order
 * @param onStep - told after each start
 * @throws ConductorError with code `start-failed`, naming the step; the steps before it have been stopped
 */
export async function startInOrder(
  steps: readonly StartStep[],
  onStep: (name: string, detail: string | undefined) => void,
): Promise<StartedSteps> {
  const stops: (() => Promise<void>)[] = [];
  const stopAll = async (): Promise<void> => {
    const errors: unknown[] = [];
    for (const stop of stops.splice(0).toReversed()) {
      try {
        await stop();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  };
  for (const step of steps) {
    try {
      const started = await step.start();
      stops.push(() => started.stop());
      onStep(step.name, started.detail);
    } catch (error) {
      await stopAll();
      // It says itself what could not be started.
      if (error instanceof ConductorError && error.code === 'daemon-running') throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw new ConductorError('start-failed', `Cannot start ${step.name}: ${reason}`, {
        cause: error,
        ...(error instanceof ConductorError && error.hint !== undefined && { hint: error.hint }),
      });
    }
  }
  return { stop: stopAll };
}
