/**
 * Answers the questions of a run that was started with `authorize: 'later'`, from any process of the user.
 * Invariant: as long as it has not been stopped, whichever supervisor looks after the run has somebody to ask.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { createRealClock, type Clock } from '@conductor-run/clock';
import type { RunPaths } from '@conductor-run/logging';

import { WorkerRunnerError } from './errors.ts';
import type { Authorizer } from './answers.ts';
import { RESULT_FILE } from './result-schema.ts';
import { readOwner } from './run-record.ts';
import { connectToSupervisor } from './supervisor-client.ts';

/** What deciding needs. */
export interface StartDecidingOptions {
  /**
   * Where time comes from.
   *
   * @defaultValue the real clock
   */
  readonly clock?: Clock;
}

/** Somebody who decides. */
export interface Deciding {
  /** Lets go: questions wait for the next one who decides. Idempotent. */
  stop(): void;
  /** Resolves when the run has ended or `stop` was called; rejects when the run's directory cannot be read. */
  readonly ended: Promise<void>;
}

/**
 * Becomes the one who decides for a run, also under the supervisors that come after this one. The latest one to start
 * is asked. Ends by itself with the run.
 *
 * @param paths - the run
 * @param authorize - answers; may take its time
 * @param options - where time comes from
 */
export function startDeciding(
  paths: RunPaths,
  authorize: Authorizer,
  options: StartDecidingOptions = {},
): Deciding {
  const { clock = createRealClock() } = options;
  const stopping = new AbortController();
  const ended = decideUntilEnd(paths, authorize, clock, stopping.signal);
  // Whoever does not ask how it ended must not be ended by its failure.
  ended.catch(() => undefined);
  return { stop: () => stopping.abort(), ended };
}

async function decideUntilEnd(
  paths: RunPaths,
  authorize: Authorizer,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted && !existsSync(join(paths.runDir, RESULT_FILE))) {
    const hasDecided = await decideOnce(paths, authorize, signal);
    if (!hasDecided) await clock.sleep(RETRY_MS, { keepAlive: false });
  }
}

/** Until the run has ended or its supervisor is gone; false while nobody looks after it, as the next one is about to adopt it. */
async function decideOnce(paths: RunPaths, authorize: Authorizer, signal: AbortSignal): Promise<boolean> {
  const { taskId, runId } = paths;
  const socketPath = readOwner(paths.runDir)?.socketPath;
  const connection = socketPath === undefined ? undefined : await connectToSupervisor(socketPath, authorize);
  if (connection === undefined) return false;
  const close = (): void => connection.close();
  signal.addEventListener('abort', close);
  try {
    if (signal.aborted) return true;
    await connection.call({ op: 'decide', taskId, runId });
    await connection.call({ op: 'wait', taskId, runId });
    return true;
  } catch (error) {
    if (error instanceof WorkerRunnerError) return false;
    throw error;
  } finally {
    signal.removeEventListener('abort', close);
    connection.close();
  }
}

const RETRY_MS = 50;
