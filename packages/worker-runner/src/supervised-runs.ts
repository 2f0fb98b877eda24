/**
 * The runs one supervisor looks after: their sessions, their leases, and who decides for them.
 * Invariant: a run is in the table from before its first process until its result is on disk and its lease let go; one
 * that could not be taken over or closed is tried again.
 */
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { resolveRunPaths, type RunPaths } from '@conductor-run/logging';

import { adoptRun, isOwnRun, type AdoptionKind } from './adopt-run.ts';
import { createDeciders } from './deciders.ts';
import { WorkerRunnerError } from './errors.ts';
import type { Authorizer } from './answers.ts';
import type { ModuleSpec } from './lease.ts';
import { keptRunOf, type KeptLease, type LeaseWatch } from './lease-watch.ts';
import { openNewStep, type StepDeps } from './open-step.ts';
import { createProcessExecutor } from './process-executor.ts';
import type { StartCall, TravellingLease } from './protocol.ts';
import { checkRequest, type CheckedRequest } from './request-schema.ts';
import type { StepRequest } from './request.ts';
import type { StepResult } from './result.ts';
import type { PlannedLease, RunPlan } from './run-record.ts';
import { executeSafely } from './run-step.ts';
import { settleRun } from './settle.ts';
import type { StepSession } from './step-session.ts';
import { createStrandedRuns, type HeldLease, type LeaseCare } from './stranded-runs.ts';

/** Lies in the run directory until somebody has taken note of the result of a run that had a lease. */
const UNACKNOWLEDGED_FILE = 'unacknowledged';

/** A run that is looked after. */
export interface SupervisedRun {
  readonly session: StepSession;
  readonly result: Promise<StepResult>;
}

/** Which run. */
export interface RunName {
  readonly taskId: string;
  readonly runId: string;
}

/** The table. */
export interface SupervisedRuns {
  /** Starts a step; resolves when its record exists and it is about to be spawned. */
  start(call: StartCall, decide: Authorizer | undefined): Promise<SupervisedRun>;
  /** Looks at a run and takes it over if nobody alive has it. */
  adopt(name: RunName, keeper: ModuleSpec | undefined, decide: Authorizer | undefined): Promise<AdoptionKind>;
  /** Questions of a run go to this one from now on, also those that wait. */
  decide(name: RunName, decide: Authorizer): void;
  /** A run that is looked after here. */
  find(name: RunName): SupervisedRun | undefined;
  /** Somebody has taken note of the result: the lease is let go. */
  acknowledge(name: RunName): void;
  /** Runs at work, being started or adopted, waiting for another try, and runs whose lease is still held. */
  size(): number;
}

/** What the table needs. */
export interface SupervisedRunsOptions {
  readonly runsDir: string;
  readonly deps: StepDeps;
  /** The watch of a keeper; one per keeper. */
  readonly watchOf: (keeper: ModuleSpec) => Promise<LeaseWatch>;
  /** Called when a run has left the table, and when a start or an adoption is over. */
  readonly onChange: () => void;
}

/**
 * Makes an empty table.
 *
 * @param options - directory and ports
 */
export function createSupervisedRuns(options: SupervisedRunsOptions): SupervisedRuns {
  const { deps } = options;
  const runsByKey = new Map<string, SupervisedRun>();
  const heldByKey = new Map<string, { release(): void }>();
  const stranded = createStrandedRuns(deps.clock);
  const openingByKey = new Map<string, Promise<unknown>>();
  const deciders = createDeciders();

  /** Starts and adoptions of one run come after each other; none of them is overlooked while it is under way. */
  const inTurn = async <T>(name: RunName, open: () => Promise<T>): Promise<T> => {
    const key = keyOf(name);
    while (openingByKey.has(key)) await openingByKey.get(key)?.catch(() => undefined);
    const opening = open();
    openingByKey.set(key, opening);
    try {
      return await opening;
    } finally {
      openingByKey.delete(key);
      options.onChange();
    }
  };
  const remove = (key: string): void => {
    runsByKey.delete(key);
    deciders.forget(key);
    options.onChange();
  };
  const releaseHeld = (key: string): void => {
    heldByKey.get(key)?.release();
    heldByKey.delete(key);
    options.onChange();
  };
  const holdAfterEnd = (key: string, lease: HeldLease): void => {
    heldByKey.set(
      key,
      holdOn(deps, lease, () => releaseHeld(key)),
    );
  };
  const strand = (name: RunName, care: LeaseCare): void => {
    stranded.add(keyOf(name), care, () => {
      inTurn(name, () => adoptInTurn(name, undefined)).catch((error: unknown) =>
        deps.logger.error({ err: error, ...name }, 'run.not-adopted'),
      );
    });
  };
  const track = (name: RunName, run: SupervisedRun, care: LeaseCare): SupervisedRun => {
    const key = keyOf(name);
    runsByKey.set(key, run);
    run.result.then(
      () => {
        stranded.delete(key);
        if (care.held !== undefined) holdAfterEnd(key, care.held);
        remove(key);
      },
      (error: unknown) => {
        deps.logger.error({ err: error, ...name }, 'run.not-settled');
        strand(name, care);
        remove(key);
      },
    );
    return run;
  };

  const depsOf = (
    name: RunName,
    isDecidedByClient: boolean,
    env?: Readonly<Record<string, string>>,
  ): StepDeps => ({
    ...deps,
    host: env === undefined ? deps.host : { ...deps.host, env },
    authorize: isDecidedByClient ? (question) => deciders.ask(keyOf(name), question) : deps.authorize,
  });

  const startInTurn = async (
    request: CheckedRequest,
    call: StartCall,
    decide: Authorizer | undefined,
  ): Promise<SupervisedRun> => {
    const lease = call.lease === undefined ? undefined : plannedOf(call.lease);
    // A keeper that cannot be made must be known before there is a record.
    const keeper = call.lease === undefined ? undefined : toSpec(call.lease.keeper);
    const watch = keeper === undefined ? undefined : await options.watchOf(keeper);
    const isDecidedByClient = call.decides !== false;
    const session = await openNewStep(request, depsOf(request, isDecidedByClient, call.hostEnv), {
      lease,
      isDecidedByClient,
    });
    if (decide !== undefined) deciders.connect(keyOf(request), decide);
    const kept =
      call.lease === undefined || watch === undefined ? undefined : await keepNew(watch, session, call.lease);
    const held = kept === undefined || lease === undefined ? undefined : { kept, lease };
    return track(request, { session, result: execute(session) }, { keeper, held });
  };
  const adoptInTurn = async (name: RunName, newKeeper: ModuleSpec | undefined): Promise<AdoptionKind> => {
    const key = keyOf(name);
    if (runsByKey.has(key)) return 'owned';
    const former = stranded.find(key);
    const keeper = newKeeper ?? former?.keeper;
    let held = former?.held;
    let planned: RunPlan | undefined;
    const connection: { session?: StepSession } = {};
    const location = { runsDir: options.runsDir, ...name };
    const authorize: Authorizer = (question) =>
      planned?.isDecidedByClient === true ? deciders.ask(key, question) : deps.authorize(question);
    try {
      const adopted = await adoptRun(
        location,
        { ...depsOf(name, false), authorize },
        async (plan, epoch, endLater) => {
          planned = plan;
          const renewed = await keepAdopted({ ...options, name, keeper, plan, epoch, connection, endLater });
          if (renewed === undefined) return;
          held?.kept.release();
          held = renewed;
        },
      );
      const { kind, session, result } = adopted;
      if (session !== undefined && result !== undefined) {
        connection.session = session;
        track(name, { session, result }, { keeper, held });
        return kind;
      }
      stranded.delete(key);
      if (kind === 'finished' && former !== undefined && held !== undefined) holdAfterEnd(key, held);
      else held?.kept.release();
      return kind;
    } catch (error) {
      // It may be ours by now, with its step alive: its lease is not let go.
      if (held !== undefined || isOwnRun(resolveRunPaths(location).runDir, deps.host))
        strand(name, { keeper, held });
      else stranded.delete(key);
      throw error;
    }
  };

  return {
    async start(call, decide) {
      const request = checkRequest(call.request as StepRequest);
      if (request.runtime.runsRootDir !== options.runsDir)
        throw foreignDirectory(request.runtime.runsRootDir, options);
      return inTurn(request, () => startInTurn(request, call, decide));
    },
    async adopt(name, keeper, decide) {
      if (decide !== undefined) deciders.connect(keyOf(name), decide);
      return inTurn(name, () => adoptInTurn(name, keeper));
    },
    decide: (name, decide) => deciders.connect(keyOf(name), decide),
    find: (name) => runsByKey.get(keyOf(name)),
    acknowledge: (name) => releaseHeld(keyOf(name)),
    size: () =>
      new Set([runsByKey, heldByKey, openingByKey, stranded].flatMap((some) => [...some.keys()])).size,
  };
}

async function execute(session: StepSession): Promise<StepResult> {
  return settleRun(session, await executeSafely(createProcessExecutor(), session));
}

async function keepNew(watch: LeaseWatch, session: StepSession, lease: TravellingLease): Promise<KeptLease> {
  try {
    return await markAndKeep(watch, session, lease);
  } catch (error) {
    // Nothing of it was started: its record is closed by the next adoption.
    await session.stopWatching();
    await session.options.writer.close();
    throw error;
  }
}

async function markAndKeep(
  watch: LeaseWatch,
  session: StepSession,
  lease: TravellingLease,
): Promise<KeptLease> {
  if (lease.holdAfterEndMs > 0) markUnacknowledged(session.options.writer.paths);
  const { leaseMs, expiresAtMonotonicMs } = lease;
  const stepLease = {
    lease: lease.lease,
    leaseMs,
    ...(expiresAtMonotonicMs === undefined ? {} : { expiresAtMonotonicMs }),
  };
  return watch.keep(keptRunOf(session, stepLease, 1, session.options.request.limits.killGraceSec * 1000));
}

interface KeepAdoptedOptions extends SupervisedRunsOptions {
  readonly name: RunName;
  readonly keeper: ModuleSpec | undefined;
  readonly plan: RunPlan | undefined;
  readonly epoch: number;
  readonly connection: { readonly session?: StepSession };
  readonly endLater: (end: {
    readonly reason: 'lease_lost' | 'lease_cancelled';
    readonly text: string;
  }) => void;
}

/** Renewed before the takeover, so that there is no moment in which nobody guards the run. */
async function keepAdopted(options: KeepAdoptedOptions): Promise<HeldLease | undefined> {
  const { plan, keeper, name, epoch, connection, endLater } = options;
  if (plan?.lease === undefined) return undefined;
  if (keeper === undefined) {
    endLater({ reason: 'lease_lost', text: 'Adopted without anybody to renew its lease' });
    return undefined;
  }
  const watch = await options.watchOf(keeper);
  const end = (reason: 'lease_lost' | 'lease_cancelled', text: string, isUrgent: boolean): void => {
    const { session } = connection;
    if (session === undefined) endLater({ reason, text });
    else {
      if (session.endRequest() === undefined) session.requestEnd({ reason, text });
      if (isUrgent) session.requestEnd({ reason, text });
    }
  };
  const kept = await watch.keep({
    runDir: join(options.runsDir, name.taskId, name.runId),
    markedDir: join(plan.request.runtime.runsRootDir, name.taskId, name.runId),
    epoch,
    lease: { lease: plan.lease.lease, leaseMs: plan.lease.leaseMs },
    killGraceMs: plan.request.limits.killGraceSec * 1000,
    isAtWork: true,
    onLost: (text, isUrgent) => end('lease_lost', text, isUrgent),
    onCancel: () => end('lease_cancelled', '', false),
  });
  return { kept, lease: plan.lease };
}

/** Keeps the lease of a finished run until somebody has taken note of the result, so that no other node runs it again. */
function holdOn(deps: StepDeps, held: HeldLease, release: () => void): { release(): void } {
  const timer = deps.clock.setTimer(held.lease.holdAfterEndMs, release);
  return {
    release() {
      timer.cancel();
      held.kept.release();
    },
  };
}

function plannedOf(lease: TravellingLease): PlannedLease {
  return { lease: lease.lease, leaseMs: lease.leaseMs, holdAfterEndMs: lease.holdAfterEndMs };
}

/** JSON leaves out what is undefined. */
export function toSpec(module: { module: string; export: string; options?: unknown }): ModuleSpec {
  return { module: module.module, export: module.export, options: module.options };
}

/** Removes the note that nobody has seen the result yet. */
export function clearUnacknowledged(runDir: string): void {
  rmSync(join(runDir, UNACKNOWLEDGED_FILE), { force: true });
}

/** @internal Whether that note lies there. */
export function hasUnacknowledged(runDir: string): boolean {
  return existsSync(join(runDir, UNACKNOWLEDGED_FILE));
}

function markUnacknowledged(paths: RunPaths): void {
  writeFileSync(join(paths.runDir, UNACKNOWLEDGED_FILE), '', { mode: 0o600 });
}

function keyOf(name: RunName): string {
  return `${name.taskId}/${name.runId}`;
}

function foreignDirectory(runsRootDir: string, options: SupervisedRunsOptions): WorkerRunnerError {
  return new WorkerRunnerError(
    'invalid-request',
    `Cannot run step, field "runtime.runsRootDir": is "${runsRootDir}", expected "${options.runsDir}", the directory of this supervisor`,
  );
}
