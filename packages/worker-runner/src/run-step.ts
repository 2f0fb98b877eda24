/**
 * Runs a step attached: in this process, which waits for it.
 * Invariant: whatever ends this call, nothing of the step is left running; if this process is killed, the step goes on
 * and its record is closed by `adoptRuns`.
 */
import { openRun, type OutputChannelName } from '@conductor-run/logging';

import { messageOf } from './errors.ts';
import type { StepExit, WorkerExecutor } from './executor.ts';
import type { AttachedLease } from './lease.ts';
import { keepLease, requireLeaseMs } from './lease-watch.ts';
import { openNewStep, withDefaults, type StepDeps } from './open-step.ts';
import { createProcessExecutor } from './process-executor.ts';
import { checkRequest } from './request-schema.ts';
import type { StepRequest } from './request.ts';
import type { StepResult } from './result.ts';
import { settleRun } from './settle.ts';
import type { StepSession } from './step-session.ts';

/** How a step is run. */
export interface RunStepOptions extends Partial<Omit<StepDeps, 'socketPath'>> {
  /**
   * Who executes it.
   *
   * @defaultValue `createProcessExecutor()`
   */
  readonly executor?: WorkerExecutor;
  /** Cancels the step: SIGTERM, the grace, SIGKILL. Its reason becomes the result's `reasonText`. */
  readonly signal?: AbortSignal;
  /** The right to run it: renewed while it runs, and a lease that cannot be renewed ends the step before it runs out. */
  readonly lease?: AttachedLease;
  /** Receives output as it comes, at most 100 ms late. Bytes are redacted if the request names secrets. Must not throw. */
  readonly onOutput?: (channel: OutputChannelName, bytes: Uint8Array) => void;
}

/**
 * Runs one step and waits for its end.
 *
 * @param request - what to run
 * @param options - how; every port has a default
 * @returns how it ended; a step that fails, is cancelled or cannot be started is a result, not an error
 * @throws {@link WorkerRunnerError} with code `invalid-request` before anything is touched, `record-unwritable` when the
 * record could not be closed (a full disk); LoggingError with code `run-exists` when the run id is taken
 */
export async function runStep(request: StepRequest, options: RunStepOptions = {}): Promise<StepResult> {
  const checked = checkRequest(request);
  const deps = withDefaults(options);
  if (options.lease !== undefined) requireLeaseMs(options.lease.leaseMs);
  const session = await openNewStep(checked, deps);
  const cancel = (): void => {
    session.requestEnd({ reason: 'cancelled', text: wordsOf(options.signal?.reason) });
  };
  if (options.signal?.aborted === true) cancel();
  options.signal?.addEventListener('abort', cancel, { once: true });
  let lease: { stop(): void } | undefined;
  const output = options.onOutput === undefined ? undefined : forwardOutput(session, options.onOutput);
  try {
    const exit = await executeUnderLease(options, session, (kept) => {
      lease = kept;
    });
    return await settleRun(session, exit);
  } finally {
    options.signal?.removeEventListener('abort', cancel);
    lease?.stop();
    await output?.done();
  }
}

/** Without its lease the step is not started: somebody else may run it. */
async function executeUnderLease(
  { lease, executor = createProcessExecutor() }: RunStepOptions,
  session: StepSession,
  onKept: (kept: { stop(): void }) => void,
): Promise<StepExit> {
  if (lease !== undefined) {
    try {
      onKept(await keepLease(lease, session));
    } catch (error) {
      const text = `Its lease cannot be kept: ${messageOf(error)}`;
      return { how: 'not-started', reason: 'runner_failed', text };
    }
  }
  return executeSafely(executor, session);
}

/**
 * Executes, and turns a failing executor into an ending: the record is closed either way.
 *
 * @param executor - who executes
 * @param session - the run
 */
export async function executeSafely(executor: WorkerExecutor, session: StepSession): Promise<StepExit> {
  if (session.endRequest() !== undefined && !session.options.isAdopted) return { how: 'not-started' };
  try {
    return await executor.execute(session.context);
  } catch (error) {
    session.options.logger.error(
      { err: error, runId: session.options.request.runId },
      'step.executor-failed',
    );
    return {
      how: 'exited',
      reason: 'runner_failed',
      text: `Executor "${executor.name}" failed: ${messageOf(error)}`,
    };
  }
}

/** The output ends with the run; a run whose record could not be closed must not keep its caller waiting. */
function forwardOutput(
  session: StepSession,
  onOutput: (channel: OutputChannelName, bytes: Uint8Array) => void,
): { done(): Promise<void> } {
  const { writer, clock, logger } = session.options;
  const following = new AbortController();
  const follow = async (): Promise<void> => {
    for await (const item of openRun(writer.paths, { clock }).follow({ signal: following.signal })) {
      if (item.kind === 'chunk') onOutput(item.channel, item.bytes);
    }
  };
  const ended = follow().catch((error: unknown) => logger.warn({ err: error }, 'output.follow-failed'));
  return {
    async done() {
      using _limit = clock.setTimer(OUTPUT_PATIENCE_MS, () => following.abort());
      await ended;
    },
  };
}

function wordsOf(reason: unknown): string | undefined {
  if (typeof reason === 'string') return reason;
  // What AbortController puts there by itself says nothing.
  if (reason instanceof Error) return reason.name === 'AbortError' ? undefined : reason.message;
  return undefined;
}

const OUTPUT_PATIENCE_MS = 2000;
