/**
 * Finds what a former process left, and sees to it that every run has somebody to look after it.
 * Invariant: safe at any time and from several processes at once: who owns a run is decided by the run directory alone.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { LoggingError, openRun, resolveRunPaths, type RunPaths } from '@conductor-run/logging';

import { isForeign, keeperOf, readFinished, type AdoptionKind } from './adopt-run.ts';
import type { Authorizer } from './answers.ts';
import { messageOf, systemCodeOf, WorkerRunnerError } from './errors.ts';
import { canonicalDirectory, endsWith } from './files.ts';
import type { Host } from './host.ts';
import { isProcessAlive } from './process-table.ts';
import type { ModuleSpec } from './lease.ts';
import { RESULT_FILE, readStepResult } from './result-schema.ts';
import type { StepResult } from './result.ts';
import { readOwner, readPlan } from './run-record.ts';
import { accessOf, followRun, type SupervisedStep } from './start-supervised.ts';
import { hasUnacknowledged } from './supervised-runs.ts';
import {
  connectToSupervisor,
  reachSupervisor,
  type SupervisorAccess,
  type SupervisorConnection,
} from './supervisor-client.ts';

/** How runs are adopted. */
export interface AdoptRunsOptions extends Partial<SupervisorAccess> {
  /** Who renews leases. Runs that have one are ended when there is nobody. */
  readonly keeper?: ModuleSpec;
  /** Who answers `authorize` events of runs that were started with somebody who decides. */
  readonly authorize?: Authorizer;
  /**
   * Asked once for each task of this host that has open runs, before any of them is touched: whether its runs are to be
   * adopted. They are listed again after a yes, so whoever takes a lock here sees what its former holder left last.
   * Synchronous.
   *
   * @defaultValue every task is
   */
  readonly isWanted?: (taskId: string) => boolean;
}

/** A run that was found without a result, or with one nobody has acknowledged. */
export interface AdoptedRun {
  /** Its files. */
  readonly paths: RunPaths;
  /**
   * What was found: `finished` has a result, `owned` is looked after by a live process, `foreign` belongs to another
   * host, `unreadable` has a damaged record and was left alone; the others were taken over: `never-started`, `exited`,
   * `running`, `nobody-alive`, `rebooted`.
   */
  readonly kind: AdoptionKind;
  /** Why the run could not be adopted, for `unreadable`. */
  readonly error?: WorkerRunnerError;
  /** The lease it was started under, while the run has not ended. */
  readonly lease?: unknown;
  /** Its result, when it has one; pending for a run that is still at work. Absent for `foreign` and `unreadable`. */
  readonly result?: Promise<StepResult>;
  /** Asks for its end, for a run at work. */
  readonly cancel?: SupervisedStep['cancel'];
  /** Lets go of a run at work: it goes on, `result` never settles. */
  readonly detach?: SupervisedStep['detach'];
}

/**
 * Adopts every unfinished run of this host below a runs directory. Starts a supervisor if one is needed.
 *
 * @param runsDir - the directory, absolute
 * @param options - who renews leases, and ports
 * @returns one entry per run that is not over and done with, in no particular order
 * @throws {@link WorkerRunnerError} with code `supervisor-unavailable`
 */
export async function adoptRuns(
  runsDir: string,
  options: AdoptRunsOptions = {},
): Promise<readonly AdoptedRun[]> {
  const access = accessOf(options);
  const directory = canonicalDirectory(runsDir);
  return adoptAll(findOpenRuns(directory, options, access), directory, options, access);
}

/** Adopts all of them or, when no supervisor can be reached, follows none. */
async function adoptAll(
  found: readonly RunPaths[],
  runsDir: string,
  options: AdoptRunsOptions,
  access: SupervisorAccess,
): Promise<readonly AdoptedRun[]> {
  let supervisor: Promise<SupervisorConnection> | undefined;
  const reach = (): Promise<SupervisorConnection> => (supervisor ??= reachOrRefuse(runsDir, access));
  const outcomes = await Promise.allSettled(
    found.map((paths) => adoptIfReadable(paths, options, access, reach)),
  );
  const adopted = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  await supervisor?.then(
    (connection) => connection.close(),
    () => undefined,
  );
  const refused = outcomes.find((outcome) => outcome.status === 'rejected');
  if (refused === undefined) return adopted;
  for (const run of adopted) run.detach?.();
  throw refused.reason;
}

/** That no supervisor can be started is not the fault of a run. */
async function reachOrRefuse(runsDir: string, access: SupervisorAccess): Promise<SupervisorConnection> {
  try {
    return await reachSupervisor(runsDir, access);
  } catch (error) {
    if (error instanceof WorkerRunnerError) throw error;
    throw new WorkerRunnerError(
      'supervisor-unavailable',
      `Cannot reach supervisor of "${runsDir}": ${messageOf(error)}`,
      { cause: error },
    );
  }
}

/** A run whose record is damaged must not keep the others from being adopted. */
async function adoptIfReadable(...run: Parameters<typeof adoptOne>): Promise<AdoptedRun> {
  try {
    return await adoptOne(...run);
  } catch (error) {
    if (error instanceof WorkerRunnerError && error.code === 'supervisor-unavailable') throw error;
    return { paths: run[0], kind: 'unreadable', error: unreadable(run[0], error) };
  }
}

function unreadable({ taskId, runId }: RunPaths, error: unknown): WorkerRunnerError {
  if (error instanceof WorkerRunnerError) return error;
  return new WorkerRunnerError(
    'record-unreadable',
    `Cannot adopt run "${runId}" of task "${taskId}": ${messageOf(error)}, expected a readable record`,
    { cause: error },
  );
}

async function adoptOne(
  paths: RunPaths,
  options: AdoptRunsOptions,
  access: SupervisorAccess,
  reach: () => Promise<SupervisorConnection>,
): Promise<AdoptedRun> {
  const { keeper, authorize } = options;
  const finished = readFinished(paths);
  if (finished !== undefined) return { paths, kind: 'finished', result: Promise.resolve(finished) };
  const lease = readPlan(paths.runDir)?.lease?.lease;
  const known = lease === undefined ? { paths } : { paths, lease };
  const socketPath = liveOwnerSocket(paths, access);
  if (socketPath === undefined || authorize !== undefined) {
    const supervisor = await reach();
    const { taskId, runId } = paths;
    const kind = (await supervisor.call({
      op: 'adopt',
      taskId,
      runId,
      decides: false,
      ...(keeper === undefined ? {} : { keeper }),
    })) as AdoptionKind;
    if (kind === 'foreign') return { ...known, kind };
    return { ...known, kind, ...(await follow(paths, options, access)) };
  }
  return { ...known, kind: 'owned', ...(await follow(paths, options, access)) };
}

/** A connection of its own, so that a run can be let go of alone, and its questions reach us. */
async function follow(
  paths: RunPaths,
  options: AdoptRunsOptions,
  access: SupervisorAccess,
): Promise<Pick<AdoptedRun, 'result' | 'cancel' | 'detach'>> {
  const { keeper, authorize } = options;
  const socketPath = readOwner(paths.runDir)?.socketPath;
  const connection = socketPath === undefined ? undefined : await connectToSupervisor(socketPath, authorize);
  if (connection === undefined) return pollRun(paths, options, access);
  if (authorize !== undefined) {
    await connection.call({ op: 'adopt', taskId: paths.taskId, runId: paths.runId, decides: true });
  }
  const step = followRun(paths, connection, { ...access, keeper });
  return { result: step.result, cancel: (reason) => step.cancel(reason), detach: () => step.detach() };
}

/** A run attached to another process has no socket: its result is awaited on disk, and the run adopted if that process dies. */
function pollRun(
  paths: RunPaths,
  options: AdoptRunsOptions,
  access: SupervisorAccess,
): Pick<AdoptedRun, 'result' | 'detach'> {
  const letGo = new AbortController();
  const result = pollResult(paths, options, access, letGo.signal).catch(async (error: unknown) => {
    if (letGo.signal.aborted) return await new Promise<never>(() => undefined);
    throw error;
  });
  // Whoever never asks for the result must not be ended by its failure.
  result.catch(() => undefined);
  return { result, detach: () => letGo.abort() };
}

async function pollResult(
  paths: RunPaths,
  options: AdoptRunsOptions,
  access: SupervisorAccess,
  letGo: AbortSignal,
): Promise<StepResult> {
  const meta = openRun(paths).meta();
  for (;;) {
    const result = readStepResult(paths.runDir);
    if (result !== undefined) return result;
    const keeper = keeperOf(readOwner(paths.runDir), meta);
    if (keeper === undefined || !isProcessAlive(access.host.processes, keeper)) {
      const [adopted] = await adoptAll([paths], paths.runsDir, options, access);
      if (letGo.aborted) adopted?.detach?.();
      else letGo.addEventListener('abort', () => adopted?.detach?.(), { once: true });
      if (adopted?.error !== undefined) throw adopted.error;
      if (adopted?.result !== undefined) return adopted.result;
    }
    await access.clock.sleep(POLL_MS, { keepAlive: false, signal: letGo });
  }
}

function liveOwnerSocket(paths: RunPaths, access: SupervisorAccess): string | undefined {
  const owner = readOwner(paths.runDir);
  if (owner === undefined || !isProcessAlive(access.host.processes, owner)) return undefined;
  return owner.socketPath;
}

/** Runs without a readable result, and runs whose result nobody has acknowledged. A few small questions a run. */
function findOpenRuns(
  runsDir: string,
  { isWanted }: AdoptRunsOptions,
  { host }: SupervisorAccess,
): readonly RunPaths[] {
  return namesIn(runsDir).flatMap((taskId) => {
    const open = openRunsOf(runsDir, taskId);
    if (isWanted === undefined || !open.some((paths) => isOfHost(paths, host))) return open;
    return isWanted(taskId) ? openRunsOf(runsDir, taskId) : [];
  });
}

function openRunsOf(runsDir: string, taskId: string): readonly RunPaths[] {
  // Nor is a directory such as `lost+found` a task; it may not even be entered.
  if (pathsIfNamed({ runsDir, taskId, runId: 'any' }).length === 0) return [];
  return namesIn(join(runsDir, taskId)).flatMap((runId) => {
    const runDir = join(runsDir, taskId, runId);
    const isOpen = existsSync(join(runDir, RESULT_FILE))
      ? hasUnacknowledged(runDir) || !isReadable(runDir)
      : existsSync(join(runDir, 'meta.json'));
    return isOpen ? pathsIfNamed({ runsDir, taskId, runId }) : [];
  });
}

/** A directory whose name is no id, such as the copy of a run, is nobody's run. */
function pathsIfNamed(location: Parameters<typeof resolveRunPaths>[0]): readonly RunPaths[] {
  try {
    return [resolveRunPaths(location)];
  } catch (error) {
    if (error instanceof LoggingError && error.code === 'invalid-id') return [];
    throw error;
  }
}

/** An envelope that a power cut or a full disk tore is written anew. As ours ends no torn one does, so few are parsed. */
function isReadable(runDir: string): boolean {
  try {
    return endsWith(join(runDir, RESULT_FILE), '\n}\n') || readStepResult(runDir) !== undefined;
  } catch {
    return false;
  }
}

/** What cannot be read may be ours. */
function isOfHost(paths: RunPaths, host: Host): boolean {
  try {
    return !isForeign(openRun(paths).meta(), host);
  } catch {
    return true;
  }
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && /^[A-Za-z0-9]/u.test(entry.name))
      .map((entry) => entry.name);
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

const POLL_MS = 100;
