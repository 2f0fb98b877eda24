/**
 * Asks again what could not be answered: with no descriptor free, or a disk that does not answer, neither "gone" nor
 * "still there" is known, and an ending without its proof would let a job run twice.
 */
import type { Clock } from '@conductor-run/clock';

import { messageOf } from './errors.ts';
import type { StepContext } from './executor.ts';

/** What asking again needs. */
export type PersistContext = Pick<StepContext, 'warn'> & { readonly clock: Clock };

/**
 * Tries until it succeeds: at once, then after pauses that grow to 30 s. Each failure is a warning in worker.log.
 *
 * @param context - clock and record
 * @param what - for the warning, such as "reading the process table"
 * @param attempt - may be called any number of times
 * @returns what the first successful attempt returned; never rejects
 */
export async function persist<T>(
  context: PersistContext,
  what: string,
  attempt: () => T | Promise<T>,
): Promise<T> {
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
    try {
      return await attempt();
    } catch (error) {
      context.warn('runner_warning', `Failed, to be tried again: ${what}: ${messageOf(error)}`);
      await context.clock.sleep(pauseMs);
    }
  }
}

const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 30_000;
