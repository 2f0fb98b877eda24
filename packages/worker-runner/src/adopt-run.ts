/**
 * Takes over one run that a dead process left, and settles it by what is on disk and in the process table.
 * Invariant: a run has one owner; it is taken over only from an identity (pid, start time, boot) that is proved dead.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import {
  LoggingError,
  openRun,
  reopenRun,
  resolveRunPaths,
  type Redactor,
  type RunMeta,
  type RunPaths,
  type RunState,
  type RunWriter,
  type RunWriterOptions,
} from '@conductor-run/logging';

import type { EndRequest, StepExit, WorkerExecutor } from './executor.ts';
import { wasEndedByGuard } from './guard.ts';
import type { Host } from './host.ts';
import { identifySelf, parseIdentity, PREPARED_BY, prepareWriting, type StepDeps } from './open-step.ts';
import { createAttachedExecutor, createSweepingExecutor } from './process-executor.ts';
import { isProcessAlive, type ProcessIdentity } from './process-table.ts';
import { checkRequest, type CheckedRequest } from './request-schema.ts';
import { readStepResult } from './result-schema.ts';
import type { EndReason, StepResult } from './result.ts';
import { claimRun, readOwner, readPlan, type RunOwner, type RunPlan } from './run-record.ts';
import { executeSafely } from './run-step.ts';
import { removePrivateFiles, settleRun } from './settle.ts';
import { openSession, type StepSession } from './step-session.ts';
import { findLiveWrapper, readExitFile, readPidFile } from './worker-process.ts';
import { WRAPPER_FILES } from './wrapper.ts';

/** What was found. */
export type AdoptionKind =
  | 'finished'
  | 'owned'
  | 'foreign'
  | 'unreadable'
  | 'never-started'
  | 'exited'
  | 'running'
  | 'wrapper-lost'
  | 'nobody-alive'
  | 'rebooted';

/** One run, looked at. */
export interface Adoption {
  /** What was found. */
  readonly kind: AdoptionKind;
  /** The run's session when we own it now; it is already at work. */
  readonly session?: StepSession;
  /** Settles when the run has its result: at once for a finished one. Absent for a run somebody else looks after. */
  readonly result?: Promise<StepResult>;
}

/** What the adopter does before it takes the run over, such as renewing its lease. Returns why not to go on. */
export type BeforeTakeover = (
  plan: RunPlan | undefined,
  epoch: number,
  endLater: (end: EndRequest) => void,
) => Promise<void>;

/**
 * Looks at a run, and takes it over when it has no living owner, or is ours already: the caller knows that it does not
 * look after the run.
 *
 * @param location - which run
 * @param deps - clock, host and ports
 * @param beforeTakeover - called with the plan when there is nobody alive to look after the run
 */
export async function adoptRun(
  location: { readonly runsDir: string; readonly taskId: string; readonly runId: string },
  deps: StepDeps,
  beforeTakeover: BeforeTakeover = async () => undefined,
): Promise<Adoption> {
  const paths = resolveRunPaths(location);
  const finished = readFinished(paths);
  if (finished !== undefined) return { kind: 'finished', result: Promise.resolve(finished) };
  const meta = openRun(paths, { clock: deps.clock }).meta();
  if (isForeign(meta, deps.host)) return { kind: 'foreign' };
  const owner = readOwner(paths.runDir);
  const keeper = keeperOf(owner, meta);
  const isLookedAfter =
    keeper !== undefined && !isSelf(keeper, deps.host) && isProcessAlive(deps.host.processes, keeper);
  if (isLookedAfter) return { kind: 'owned' };

  const plan = readPlan(paths.runDir);
  const ends: EndRequest[] = [];
  const isOurs = owner !== undefined && isSelf(owner, deps.host);
  await beforeTakeover(plan, isOurs ? owner.epoch : (owner?.epoch ?? 0) + 1, (end) => ends.push(end));
  if (!isOurs && !claimRun(paths.runDir, identifySelf(deps.host), owner, deps.socketPath))
    return { kind: 'owned' };
  // The former owner may have finished between our first look and its death.
  const finishedSince = readFinished(paths);
  if (finishedSince !== undefined) return { kind: 'finished', result: Promise.resolve(finishedSince) };
  return takeOver(paths, meta, plan, deps, ends[0]);
}

/**
 * Whether the processes of a run cannot be looked for here. In the boot it was prepared in they can, whatever the machine
 * is called by now (decision 056).
 */
export function isForeign(meta: RunMeta, host: Host): boolean {
  const bootId = parseIdentity(meta.versions?.[PREPARED_BY])?.bootId;
  const ours = host.processes.bootId();
  // Of this boot's first pid namespace, seen from a later one: its processes may live, and we cannot see them.
  if (bootId !== undefined && ours?.startsWith(`${bootId} `) === true) return true;
  if (meta.host === host.name || meta.host === '') return false;
  return bootId === undefined || bootId !== ours;
}

/** Whether this process is the run's owner; false when the run cannot be read, or is not there. */
export function isOwnRun(runDir: string, host: Host): boolean {
  try {
    const owner = readOwner(runDir);
    return owner !== undefined && isSelf(owner, host);
  } catch {
    return false;
  }
}

function isSelf(identity: ProcessIdentity, host: Host): boolean {
  const self = identifySelf(host);
  return (
    identity.pid === self.pid &&
    identity.startTime === self.startTime &&
    (identity.bootId ?? '') === (self.bootId ?? '')
  );
}

/** The run's owner, or whoever prepared it and is about to become one. */
export function keeperOf(owner: RunOwner | undefined, meta: RunMeta): ProcessIdentity | undefined {
  return owner ?? parseIdentity(meta.versions?.[PREPARED_BY]);
}

/** The result, if it is whole; a damaged one is written anew, from the state that was durable. */
export function readFinished(paths: RunPaths): StepResult | undefined {
  try {
    const result = readStepResult(paths.runDir);
    if (result !== undefined) removePrivateFiles(paths.runDir);
    return result;
  } catch {
    return undefined;
  }
}

async function takeOver(
  paths: RunPaths,
  meta: RunMeta,
  plan: RunPlan | undefined,
  deps: StepDeps,
  end: EndRequest | undefined,
): Promise<Adoption> {
  const known = plan === undefined ? requestFromMeta(paths, meta) : restoreRequest(plan.request);
  const shared = prepareWriting(known, deps, false);
  const { writer, isCut } = await reopenSafely(paths, shared.writerOptions, shared.redactor);
  const request: CheckedRequest = isCut
    ? { ...known, checkpoint: { ...known.checkpoint, mode: 'disabled' } }
    : known;
  try {
    const formerEnd = await findFormerEnd(paths);
    const isSameBoot = isOfThisBoot(plan, meta, deps.host);
    const found = examine(paths, isSameBoot, deps, writer.state());
    const session = openSession({
      ...deps,
      ...shared,
      request,
      writer,
      startedMonotonicMs: plan !== undefined && isSameBoot ? plan.startedMonotonicMs : Number.NaN,
      startedAtMs: writer.state().startedAt ?? meta.createdAt,
      isAdopted: true,
      formerEnd: formerEnd ?? (wasEndedByGuard(paths.runDir) ? ENDED_BY_GUARD : undefined),
    });
    shared.connect(session);
    session.note('run_adopted', `Adopted: ${found.kind}`, { kind: found.kind });
    if (isCut) session.note('runner_warning', CUT_WORDS, {}, 'warn');
    if (end !== undefined) session.requestEnd(end);
    if (plan === undefined && found.kind === 'running') {
      // Its lease may have run out: there is no time for grace.
      session.requestEnd(PLAN_LOST);
      session.requestEnd(PLAN_LOST);
    }
    return { kind: found.kind, session, result: finish(found.executor, session) };
  } catch (error) {
    await writer.close();
    throw error;
  }
}

async function finish(executor: WorkerExecutor, session: StepSession): Promise<StepResult> {
  return settleRun(session, await executeSafely(executor, session));
}

/** The table of the specification, from the surest sign to the weakest. */
function examine(
  paths: RunPaths,
  isSameBoot: boolean,
  deps: StepDeps,
  state: RunState,
): { readonly kind: AdoptionKind; readonly executor: WorkerExecutor } {
  const { runDir } = paths;
  const exitCode = readExitFile(runDir);
  if (exitCode !== undefined) {
    const exit: StepExit = { how: 'exited', exitCode };
    // After a reboot the wrapper's numbers may be a stranger's.
    const executor = isSameBoot ? sweeping(runDir, deps, state, exit) : createSweepingExecutor(NOBODY, exit);
    return { kind: 'exited', executor };
  }
  if (!isSameBoot) {
    return { kind: 'rebooted', executor: { name: 'none', execute: () => Promise.resolve(lost('reboot')) } };
  }
  const wrapper = findLiveWrapper(runDir, deps.host, state.process);
  if (wrapper !== undefined) return { kind: 'running', executor: createAttachedExecutor(wrapper) };
  // A function step has no wrapper: it died with its process.
  if (readPidFile(runDir, undefined) !== undefined || state.status === 'running')
    return examineLost(runDir, deps, state);
  // From here on a wrapper that was forked but has not begun will find this file and end by itself.
  writeFileSync(join(runDir, WRAPPER_FILES.closed), '', { mode: 0o600 });
  const late = findLiveWrapper(runDir, deps.host, state.process);
  if (late !== undefined) return { kind: 'running', executor: createAttachedExecutor(late) };
  return { kind: 'never-started', executor: sweeping(runDir, deps, state, lost('never_started')) };
}

function examineLost(
  runDir: string,
  deps: StepDeps,
  state: RunState,
): { kind: AdoptionKind; executor: WorkerExecutor } {
  // The wrapper may have written its status and ended between our two looks.
  const exitCode = readExitFile(runDir);
  if (exitCode !== undefined)
    return { kind: 'exited', executor: sweeping(runDir, deps, state, { how: 'exited', exitCode }) };
  return { kind: 'nobody-alive', executor: sweeping(runDir, deps, state, lost('killed_from_outside')) };
}

function sweeping(runDir: string, deps: StepDeps, state: RunState, exit: StepExit): WorkerExecutor {
  const bootId = deps.host.processes.bootId();
  const root = readPidFile(runDir, bootId, state.process) ?? NOBODY;
  return createSweepingExecutor(root, exit);
}

function lost(reason: EndReason): StepExit {
  return { how: 'lost', reason };
}

/** The plan may be lost in the very power cut that ended the run: then meta.json says which boot it was. */
function isOfThisBoot(plan: RunPlan | undefined, meta: RunMeta, host: Host): boolean {
  const bootId = plan?.bootId ?? parseIdentity(meta.versions?.[PREPARED_BY])?.bootId;
  return bootId === undefined || bootId === host.processes.bootId();
}

/** Why the former owner was ending the step when it died, as it had journaled. */
async function findFormerEnd(paths: RunPaths): Promise<EndRequest | undefined> {
  const events = await openRun(paths).events();
  const data = events.findLast((event) => isEndRequest(event.type))?.data;
  if (data === undefined) return undefined;
  const { reason, text } = data;
  if (typeof reason !== 'string') return undefined;
  return { reason: reason as EndReason, ...(typeof text === 'string' ? { text } : {}) };
}

/** A word of this package's own, which logging's list of types does not hold. */
function isEndRequest(type: string): boolean {
  return type === 'end_requested';
}

/** Without a plan the secrets are not known: what is not in the record yet and may hold one is left out of it. */
async function reopenSafely(
  paths: RunPaths,
  options: RunWriterOptions,
  redactor: Redactor,
): Promise<{ readonly writer: RunWriter; readonly isCut: boolean }> {
  try {
    return { writer: await reopenRun(paths, options), isCut: false };
  } catch (error) {
    if (!(error instanceof LoggingError) || error.code !== 'redactor-required') throw error;
    rmSync(join(paths.runDir, WRAPPER_FILES.events), { force: true });
    const discarding: Redactor = {
      ...redactor,
      step: (bytes) => ({ output: new Uint8Array(), consumed: bytes.byteLength }),
    };
    return { writer: await reopenRun(paths, { ...options, redactor: discarding }), isCut: true };
  }
}

/** The environment was not kept: it is not needed to go on. */
function restoreRequest(request: CheckedRequest): CheckedRequest {
  return { ...request, stdin: undefined };
}

/** For a run whose plan was lost in a power cut, or that never got one. */
function requestFromMeta(paths: RunPaths, meta: RunMeta): CheckedRequest {
  const checked = checkRequest({
    taskId: meta.taskId,
    stepId: meta.stepId,
    runId: meta.runId,
    attempt: meta.attempt,
    stepName: meta.stepName,
    stepKind: meta.stepKind,
    workerKind: 'function',
    command: meta.command ?? [],
    checkpoint: { mode: meta.checkpointMode === 'disabled' ? 'disabled' : 'capture' },
    runtime: {
      worktreePath: meta.worktreePath ?? paths.runDir,
      runsRootDir: paths.runsDir,
      ...(meta.repoRoot === undefined ? {} : { repoRoot: meta.repoRoot }),
    },
  });
  return { ...checked, workerKind: WORKER_KINDS.find((kind) => kind === meta.workerKind) ?? 'shell' };
}

/** A root that matches no process. */
const NOBODY: ProcessIdentity = { pid: 0, startTime: 0 };
const WORKER_KINDS = ['shell', 'agent', 'git', 'function'] as const;

const CUT_WORDS =
  'The plan of the run is lost: output and events that could not be cleared of its secrets were discarded';
const PLAN_LOST: EndRequest = {
  reason: 'runner_failed',
  text: 'Its plan is lost: its limits and its lease are not known',
};
const ENDED_BY_GUARD: EndRequest = { reason: 'lease_lost', text: 'Ended by the guard' };
