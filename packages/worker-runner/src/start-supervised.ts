/**
 * Starts a step that outlives its caller.
 * Invariant: once the call has returned, the step runs to its end and its result is kept, whoever is killed.
 */
import { createRealClock } from '@conductor-run/clock';
import { resolveRunPaths, type RunPaths } from '@conductor-run/logging';

import { WorkerRunnerError } from './errors.ts';
import type { Authorizer } from './answers.ts';
import { createHost } from './host.ts';
import { requireLeaseMs } from './lease-watch.ts';
import type { ModuleSpec, StepLease } from './lease.ts';
import { checkRequest } from './request-schema.ts';
import type { StepRequest } from './request.ts';
import { readStepResult } from './result-schema.ts';
import type { StepResult } from './result.ts';
import {
  BASE_VARIABLES,
  pickEnv,
  reachSupervisor,
  type SupervisorAccess,
  type SupervisorConnection,
} from './supervisor-client.ts';

/** The lease of a supervised step: renewed by the supervisor, which makes the keeper itself. */
export interface SupervisedLease extends StepLease {
  /** Who renews it. Its options must hold all it needs: the supervisor has none of the caller's environment. */
  readonly keeper: ModuleSpec;
  /**
   * How long the lease is renewed after the step has ended, until `acknowledgeRun`: so that a result nobody has seen yet
   * is not worked for again elsewhere. In ms.
   *
   * @defaultValue 0
   */
  readonly holdAfterEndMs?: number;
}

/** How a supervised step is started. */
export interface StartSupervisedOptions extends Partial<Omit<SupervisorAccess, 'authorize'>> {
  /** The right to run it. */
  readonly lease?: SupervisedLease;
  /**
   * Who answers the step's `authorize` events, in this process; `later` for whoever calls `startDeciding`, in any
   * process. While nobody is there who decides, they wait.
   *
   * @defaultValue everything is allowed
   */
  readonly authorize?: Authorizer | 'later';
  /**
   * How long a supervisor that has to be started waits for work before it ends, in ms.
   *
   * @defaultValue 60000
   */
  readonly idleExitMs?: number;
}

/** A step that is looked after by a supervisor. */
export interface SupervisedStep {
  /** The run. */
  readonly runId: string;
  /** Its directory. */
  readonly runDir: string;
  /**
   * Its result. If the supervisor dies, a new one is started and adopts the run. Rejects with `supervisor-unavailable`
   * when that is not possible, and with `record-unwritable` when the record could not be closed.
   */
  readonly result: Promise<StepResult>;
  /** Asks for its end; a second call ends the grace. Resolves when the supervisor has heard it; for an ended run at once. */
  cancel(reason?: string): Promise<void>;
  /** Lets go of the connection: `result` then never settles, the step goes on. */
  detach(): void;
}

/**
 * Starts a step under the supervisor of its runs directory.
 *
 * @param request - what to run
 * @param options - lease and ports
 * @returns when the run's record exists and its process is being started
 * @throws {@link WorkerRunnerError} with code `invalid-request`, `supervisor-unavailable`, `lease-keeper-unusable`, or
 * `supervisor-refused` when the run exists
 */
export async function startSupervised(
  request: StepRequest,
  options: StartSupervisedOptions = {},
): Promise<SupervisedStep> {
  const checked = checkRequest(request);
  const { runsRootDir, passEnv } = checked.runtime;
  const paths = resolveRunPaths({ runsDir: runsRootDir, taskId: checked.taskId, runId: checked.runId });
  const { lease, authorize, ...rest } = options;
  const access = accessOf(authorize === 'later' ? rest : { ...rest, authorize });
  if (lease !== undefined) requireLeaseMs(lease.leaseMs);
  const connection = await reachSupervisor(runsRootDir, access);
  try {
    await connection.call({
      op: 'start',
      request: checked,
      hostEnv: pickEnv(access.host.env, [...BASE_VARIABLES, ...passEnv]),
      decides: authorize === 'later' ? authorize : authorize !== undefined,
      ...(lease === undefined ? {} : { lease: { ...lease, holdAfterEndMs: lease.holdAfterEndMs ?? 0 } }),
    });
  } catch (error) {
    connection.close();
    throw error;
  }
  return followRun(paths, connection, { ...access, keeper: lease?.keeper });
}

/** What following a run needs: the way to a supervisor, and who renews its lease should it have to be adopted. */
export interface FollowAccess extends SupervisorAccess {
  readonly keeper?: ModuleSpec | undefined;
}

/**
 * Waits for a run over a connection, and over the next one when the supervisor dies.
 *
 * @param paths - the run
 * @param first - a connection to the supervisor that has it
 * @param access - the way to the next
 */
export function followRun(
  paths: RunPaths,
  first: SupervisorConnection,
  access: FollowAccess,
): SupervisedStep {
  const { taskId, runId, runDir } = paths;
  let connection = first;
  let isDetached = false;

  const waitForResult = async (): Promise<StepResult> => {
    let isWrittenAnew = false;
    for (;;) {
      try {
        await connection.call({ op: 'wait', taskId, runId });
      } catch (error) {
        if (isDetached || !isRecoverable(error)) throw error;
      }
      try {
        const result = readStepResult(runDir);
        if (result !== undefined) return result;
      } catch (error) {
        // A torn one is written anew by whoever adopts the run; one that stays unreadable is not.
        if (isWrittenAnew) throw error;
        isWrittenAnew = true;
      }
      connection.close();
      connection = await reachSupervisor(paths.runsDir, access);
      // What is asked over a closed connection fails: see below.
      if (isDetached) connection.close();
      await adoptOver(connection, paths, access);
    }
  };
  const waitUnlessDetached = async (): Promise<StepResult> => {
    try {
      const found = await waitForResult();
      if (!isDetached) return found;
    } catch (error) {
      if (!isDetached) throw error;
    } finally {
      // A connection that is left open keeps the supervisor from ending.
      connection.close();
    }
    return new Promise<never>(() => undefined);
  };
  const result = waitUnlessDetached();
  // Whoever never asks for the result must not be ended by its failure.
  result.catch(() => undefined);
  return {
    runId,
    runDir,
    result,
    async cancel(reason) {
      try {
        await connection.call({
          op: 'cancel',
          taskId,
          runId,
          ...(reason === undefined ? {} : { text: reason }),
        });
      } catch (error) {
        if (readStepResult(runDir) === undefined) throw error;
      }
    },
    detach() {
      isDetached = true;
      connection.close();
    },
  };
}

/** The next supervisor adopts the run before it is asked to wait for it. */
async function adoptOver(
  connection: SupervisorConnection,
  { taskId, runId }: RunPaths,
  { keeper, authorize, clock }: FollowAccess,
): Promise<void> {
  await connection.call({
    op: 'adopt',
    taskId,
    runId,
    decides: authorize !== undefined,
    ...(keeper === undefined ? {} : { keeper }),
  });
  // Owned by a process that is just dying, or closing the run: asked again in a moment.
  await clock.sleep(RETRY_MS);
}

function isRecoverable(error: unknown): boolean {
  return (
    error instanceof WorkerRunnerError &&
    (error.code === 'supervisor-unavailable' || error.code === 'run-not-live')
  );
}

/** Fills in what the caller left out. */
export function accessOf(options: Partial<SupervisorAccess>): SupervisorAccess {
  return {
    clock: options.clock ?? createRealClock(),
    host: options.host ?? createHost(),
    authorize: options.authorize,
    idleExitMs: options.idleExitMs ?? DEFAULT_IDLE_EXIT_MS,
  };
}

const RETRY_MS = 20;
const DEFAULT_IDLE_EXIT_MS = 60_000;
