/**
 * Opens runs: a new one from a request, or one that a dead process left.
 * Invariant: the plan and the owner are on disk before the step's first process exists.
 */
import { createRealClock, type Clock } from '@conductor-run/clock';
import {
  createRedactor,
  createRun,
  resolveRunPaths,
  type NewRunMeta,
  type Redactor,
  type RunPaths,
  type RunWriterOptions,
} from '@conductor-run/logging';

import { WorkerRunnerError } from './errors.ts';
import type { Authorizer } from './answers.ts';
import { createHost, type Host } from './host.ts';
import { identifyProcess, type ProcessIdentity } from './process-table.ts';
import type { CheckedRequest } from './request-schema.ts';
import { claimRun, writePlan, type RunPlan } from './run-record.ts';
import { createPauseSwitch, type PauseSwitch } from './pause-switch.ts';
import { openSession, type StepSession } from './step-session.ts';
import { silentLogger, type Logger, type StepSink } from './step-sink.ts';

/** What every way of running a step shares. */
export interface StepDeps {
  /**
   * Where time comes from.
   *
   * @defaultValue the real clock
   */
  readonly clock: Clock;
  /**
   * The machine.
   *
   * @defaultValue this one
   */
  readonly host: Host;
  /**
   * Who answers the step's `authorize` events.
   *
   * @defaultValue everything is allowed
   */
  readonly authorize: Authorizer;
  /**
   * Who is told while the step runs.
   *
   * @defaultValue nobody
   */
  readonly sink: StepSink;
  /**
   * Where trouble goes that stops nothing.
   *
   * @defaultValue silence
   */
  readonly logger: Logger;
  /** The socket of the process that owns the run, if it has one. */
  readonly socketPath?: string | undefined;
}

/**
 * Fills in what the caller left out.
 *
 * @param deps - what the caller gave
 */
export function withDefaults(deps: Partial<StepDeps>): StepDeps {
  return {
    clock: deps.clock ?? createRealClock(),
    host: deps.host ?? createHost(),
    authorize: deps.authorize ?? (() => ({ ok: true })),
    sink: deps.sink ?? {},
    logger: deps.logger ?? silentLogger,
    socketPath: deps.socketPath,
  };
}

/**
 * Makes the run's directory, becomes its owner, and opens its session.
 *
 * @param request - checked
 * @param deps - clock, host and ports
 * @param planned - kept in the plan for whoever adopts the run
 * @throws LoggingError with code `run-exists`, `write-failed`, `unsafe-path`; {@link WorkerRunnerError} with code `run-owned`
 */
export async function openNewStep(
  request: CheckedRequest,
  deps: StepDeps,
  planned: Pick<RunPlan, 'lease' | 'isDecidedByClient'> = {},
): Promise<StepSession> {
  const { clock, host } = deps;
  const { runsRootDir } = request.runtime;
  const paths = resolveRunPaths({ runsDir: runsRootDir, taskId: request.taskId, runId: request.runId });
  const self = identifySelf(host);
  const startedMonotonicMs = clock.monotonicMs();
  const startedAtMs = clock.nowMs();
  const shared = prepareWriting(request, deps, true);
  const writer = await createRun(paths, metaOf(request, self), shared.writerOptions);
  try {
    takeOwnership(paths, self, deps.socketPath);
    writePlan(paths.runDir, { request, startedMonotonicMs, bootId: self.bootId, ...planned });
    const session = openSession({
      ...deps,
      ...shared,
      request,
      writer,
      startedMonotonicMs,
      startedAtMs,
      isAdopted: false,
    });
    shared.connect(session);
    session.note('run_prepared', `Prepared ${request.stepName}, attempt ${request.attempt}`);
    if (request.checkpoint.mode === 'capture') {
      session.note('checkpoint_slot_reserved', 'Checkpoints will be taken');
      void session.checkpoints.reserve();
    }
    return session;
  } catch (error) {
    await writer.close();
    throw error;
  }
}

/** What a writer and a session of the same run share. */
export interface WritingParts {
  readonly redactor: Redactor;
  readonly pauseSwitch: PauseSwitch;
  readonly writerOptions: RunWriterOptions;
  /** Lets the writer ask the session, which comes later, to end the step. */
  connect(session: StepSession): void;
}

/**
 * Prepares the writer's options of a run.
 *
 * @param request - checked
 * @param deps - clock and logger
 * @param isNew - false when a former owner may have left the step paused
 */
export function prepareWriting(request: CheckedRequest, deps: StepDeps, isNew: boolean): WritingParts {
  const redactor = redactorFor(request);
  const pauseSwitch = createPauseSwitch(isNew ? false : undefined);
  let session: StepSession | undefined;
  const { maxBytesPerStream, onLimit } = request.limits;
  const writerOptions: RunWriterOptions = {
    clock: deps.clock,
    // Without secrets the step writes straight into its log, which survives everybody and costs nothing.
    ...(request.secrets.length === 0 ? {} : { redactor }),
    ...(maxBytesPerStream === undefined ? {} : { maxBytesPerStream }),
    ...(onLimit === undefined ? {} : { onLimit }),
    onOutputLimit: (hit) => {
      // A limit is a first reason, never a second cancel.
      if (session?.endRequest() !== undefined) return;
      const text = `${hit.channel} has more than ${hit.limitBytes} bytes`;
      session?.requestEnd({ reason: 'output_limit', text });
    },
    onSpoolPressure: (pressure) => pauseSwitch.ask(pressure === 'pause'),
    onError: (error) => deps.logger.error({ err: error, runId: request.runId }, 'run.record-unwritable'),
  };
  return {
    redactor,
    pauseSwitch,
    writerOptions,
    connect(opened) {
      session = opened;
    },
  };
}

/** Steps without secrets share one, which knows the shapes of tokens only: its tables take 128 KiB. */
function redactorFor(request: CheckedRequest): Redactor {
  if (request.secrets.length === 0) return (shapesOnly ??= createRedactor());
  const secrets = Object.fromEntries(request.secrets.map((secret) => [secret.name, secret.value]));
  return createRedactor({ secrets });
}

let shapesOnly: Redactor | undefined;

/** Who we are, in words that outlive us. */
export function identifySelf(host: Host): ProcessIdentity {
  const self = identifyProcess(host.processes, host.pid);
  if (self !== undefined) return self;
  throw new WorkerRunnerError(
    'record-unreadable',
    `Cannot identify own process "${host.pid}": not in the process table, expected a readable one`,
  );
}

/** The name under which meta.json keeps who prepared the run, for the moment before it has an owner. */
export const PREPARED_BY = 'prepared-by';

/** `pid:startTime:bootId`. */
function formatIdentity(identity: ProcessIdentity): string {
  return `${identity.pid}:${identity.startTime}:${identity.bootId ?? ''}`;
}

/** The reverse of `formatIdentity`; `undefined` for anything else. */
export function parseIdentity(text: string | undefined): ProcessIdentity | undefined {
  const match = /^(\d+):(\d+):(.*)$/u.exec(text ?? '');
  if (match === null) return undefined;
  const bootId = match[3] ?? '';
  return { pid: Number(match[1]), startTime: Number(match[2]), ...(bootId === '' ? {} : { bootId }) };
}

function takeOwnership(paths: RunPaths, self: ProcessIdentity, socketPath: string | undefined): void {
  if (claimRun(paths.runDir, self, undefined, socketPath)) return;
  throw new WorkerRunnerError(
    'run-owned',
    `Cannot start run "${paths.runId}": another process took it over, expected to be its first owner`,
  );
}

function metaOf(request: CheckedRequest, self: ProcessIdentity): NewRunMeta {
  const { repoRoot, worktreePath } = request.runtime;
  return {
    stepId: request.stepId,
    stepName: request.stepName,
    stepKind: request.stepKind,
    workerKind: request.workerKind,
    attempt: request.attempt,
    worktreePath,
    command: typeof request.command === 'string' ? [request.command] : request.command,
    checkpointMode: request.checkpoint.mode,
    versions: { [PREPARED_BY]: formatIdentity(self) },
    ...(repoRoot === undefined ? {} : { repoRoot }),
    ...(request.promptSummary === undefined ? {} : { promptSummary: request.promptSummary }),
  };
}
