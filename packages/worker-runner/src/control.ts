/**
 * Status, cancel and checkpoint-now from any process of the user: over the socket of the run's owner, or, for reading,
 * from the files alone.
 */
import { createRealClock } from '@conductor-run/clock';
import { openRun, type RunPaths, type RunState } from '@conductor-run/logging';

import { systemCodeOf, WorkerRunnerError } from './errors.ts';
import { createHost, type Host } from './host.ts';
import { isProcessAlive, type ProcessIdentity } from './process-table.ts';
import { readStepResult } from './result-schema.ts';
import type { StepResult } from './result.ts';
import { readOwner, type RunOwner } from './run-record.ts';
import { clearUnacknowledged, hasUnacknowledged } from './supervised-runs.ts';
import {
  callWhileAtWork,
  connectToSupervisor,
  type CallPatience,
  type CallWithoutId,
  type SupervisorConnection,
} from './supervisor-client.ts';

/** What is known of a run. */
export interface RunStatusReport {
  /** state.json: what the record says. */
  readonly state: RunState;
  /** Whether the process that owns the run is alive. A run without a result and without a live owner waits to be adopted. */
  readonly isOwned: boolean;
  /** That process. */
  readonly owner?: ProcessIdentity;
  /** The result, once there is one. */
  readonly result?: StepResult;
}

/** Where processes are looked up. */
export interface ControlOptions {
  /**
   * The machine.
   *
   * @defaultValue this one
   */
  readonly host?: Host;
}

/**
 * What is known of a run. Reads files only.
 *
 * @param paths - from `resolveRunPaths`
 * @param options - the machine
 * @throws LoggingError with code `run-not-found`; {@link WorkerRunnerError} with code `record-unreadable`
 */
export function runStatus(paths: RunPaths, options: ControlOptions = {}): RunStatusReport {
  const { host = createHost() } = options;
  const state = openRun(paths).state();
  const result = readStepResult(paths.runDir);
  const owner = readOwner(paths.runDir);
  return {
    state,
    isOwned: result === undefined && owner !== undefined && isProcessAlive(host.processes, owner),
    ...(owner === undefined ? {} : { owner }),
    ...(result === undefined ? {} : { result }),
  };
}

/**
 * Asks for the end of a supervised run; a second call ends the grace.
 *
 * @param paths - the run
 * @param reason - words for the record
 * @returns when the owner has heard it; the result follows when everything is gone
 * @throws {@link WorkerRunnerError} with code `run-not-live` for a run that has ended, waits to be adopted, or is attached
 * to a process, which alone can cancel it; `run-not-found`; `supervisor-unavailable` when its owner is stopped, or has not
 * answered for a minute
 */
export async function cancelRun(paths: RunPaths, reason?: string): Promise<void> {
  await callOwner(paths, {
    op: 'cancel',
    ...nameOf(paths),
    ...(reason === undefined ? {} : { text: reason }),
  });
}

/**
 * Takes a checkpoint of a supervised run now.
 *
 * @param paths - the run
 * @returns when it is written, or its failure is in worker.log
 * @throws {@link WorkerRunnerError} as `cancelRun`; an owner at work is waited for without limit
 */
export async function checkpointNow(paths: RunPaths): Promise<void> {
  // A large tree takes its time.
  await callOwner(paths, { op: 'checkpoint', ...nameOf(paths) }, Number.POSITIVE_INFINITY);
}

/**
 * Says that the result of a run has been taken note of: the supervisor lets go of its lease, and `adoptRuns` no longer
 * reports it. Call it after the job has been closed in its store.
 *
 * @param paths - the run
 * @throws {@link WorkerRunnerError} with code `run-not-found`; `supervisor-unavailable` when a supervisor that is stopped
 * does not answer: the run is no longer reported all the same, its lease is held until `holdAfterEndMs` is over
 */
export async function acknowledgeRun(paths: RunPaths): Promise<void> {
  clearUnacknowledged(paths.runDir);
  const connection = await connectToOwner(paths);
  if (connection === undefined) return;
  try {
    await callWhileAtWork(connection, { op: 'acknowledge', ...nameOf(paths) }, patienceWith(paths));
  } finally {
    connection.close();
  }
}

/**
 * Whether nobody waits for `acknowledgeRun` of a run: its result has been taken note of, or it had no lease to hold on to.
 * Until then the run must stay on disk. Looks at one file.
 *
 * @param paths - the run
 */
export function isAcknowledged(paths: RunPaths): boolean {
  return !hasUnacknowledged(paths.runDir);
}

async function callOwner(paths: RunPaths, call: CallWithoutId, patienceMs?: number): Promise<void> {
  const connection = await connectToOwner(paths);
  if (connection === undefined) {
    throw new WorkerRunnerError(
      'run-not-live',
      `Cannot reach run "${paths.runId}" of task "${paths.taskId}": no supervisor looks after it, expected a live one`,
    );
  }
  try {
    await callWhileAtWork(connection, call, patienceWith(paths, patienceMs));
  } finally {
    connection.close();
  }
}

async function connectToOwner(paths: RunPaths): Promise<SupervisorConnection | undefined> {
  const socketPath = ownerOf(paths)?.socketPath;
  return socketPath === undefined ? undefined : connectToSupervisor(socketPath);
}

function ownerOf({ runDir, runId, taskId }: RunPaths): RunOwner | undefined {
  try {
    return readOwner(runDir);
  } catch (error) {
    if (systemCodeOf(error) !== 'ENOENT') throw error;
    throw new WorkerRunnerError(
      'run-not-found',
      `Cannot find run "${runId}" of task "${taskId}": "${runDir}" is not there, expected a run directory`,
      { cause: error },
    );
  }
}

function patienceWith({ runDir }: RunPaths, patienceMs?: number): CallPatience {
  const patience = { clock: createRealClock(), host: createHost(), directory: runDir };
  return patienceMs === undefined ? patience : { ...patience, patienceMs };
}

function nameOf(paths: RunPaths): { taskId: string; runId: string } {
  return { taskId: paths.taskId, runId: paths.runId };
}
