/**
 * A claimed job on its way through this node. Its steps run under a supervisor of their own, so that they outlive us.
 * Invariant: a run is acknowledged only when the next step has its lease or the job is recorded; until then whoever
 * comes after us finds it.
 */

import path from 'node:path';

import type { Job, Lease } from '@conductor-run/job-store';
import { resolveRunPaths, type RunPaths } from '@conductor-run/logging';
import {
  acknowledgeRun,
  type AdoptedRun,
  adoptRuns,
  startSupervised,
  type StepRequest,
  type StepResult,
  WorkerRunnerError,
} from '@conductor-run/worker-runner';

import type { JobDefinition } from '../job-config.ts';
import { type JobInput, parseJobInput } from '../job-input.ts';
import { keeperModule } from '../lease.ts';
import { lockTask, isTaskOrphaned, type OwnerLock } from '../owner-lock.ts';
import {
  attemptLeft,
  resumeTask,
  runTask,
  type TaskDeps,
  taskDirOf,
  type TaskOutcome,
  toRetryPolicy,
} from '../task.ts';
import type { DaemonOptions } from './daemon.ts';
import { placeOf, toLease } from './left-task.ts';

/**
 * Runs the task of a lease the dispatcher got.
 *
 * @param lease - the claim
 * @param options - the daemon's
 */
export async function runLeasedTask(lease: Lease, options: DaemonOptions): Promise<TaskOutcome> {
  const job = requireJob(lease, options);
  const { kind, key, token, attempt, watermark } = lease;
  options.logger.info({ job: kind, key, leaseToken: token, attempt, watermark }, 'job.claimed');
  const given = parseJobInput(kind, lease.payload);
  if (given.arcp !== undefined && given.arcp.version !== job.version) {
    return refuseVersion(lease, given.arcp.version, job.version, options);
  }
  return follow(lease, given, options, (deps) => runTask(job, lease, deps));
}

/** An agent's version was promised to a client: its job never runs as another one. */
async function refuseVersion(
  lease: Lease,
  wanted: string,
  found: string,
  { store, taskBell }: DaemonOptions,
): Promise<never> {
  const error = `Cannot run job "${lease.kind}": version "${wanted}" was asked for, the config has "${found}"`;
  await store.fail(lease, { error, retry: false });
  taskBell.ring(lease);
  throw new Error(error);
}

/** A task that a dead process of this host left unfinished; its lock is held until it is resumed to its end. */
export interface LeftTask {
  readonly lease: Lease;
  /** Goes on with it to its end. */
  readonly resume: () => Promise<TaskOutcome>;
}

/**
 * Finds what a dead process of this host left: steps at work go on, results nobody saw are recorded, everything else is closed.
 *
 * @param options - the daemon's
 * @returns the tasks to go on with; runs that belong to no current attempt have been acknowledged
 */
export async function adoptTasks(options: DaemonOptions): Promise<readonly LeftTask[]> {
  const { store, config } = options;
  const { runsDir } = config.settings;
  const locksByTask = new Map<string, OwnerLock>();
  // Locked before its runs are listed: what a process did until the moment of its death is seen, and nothing comes after it.
  const isWanted = (taskId: string): boolean => {
    // A live process, this one or another daemon or a `conductor run`, goes on with its task by itself.
    const lock = lockTask(taskDirOf(config.settings, taskId));
    if (lock !== undefined) locksByTask.set(taskId, lock);
    return lock !== undefined;
  };
  let runs: readonly AdoptedRun[] = [];
  try {
    const keeper = keeperModule(config.settings);
    runs = await adoptRuns(runsDir, { keeper, clock: options.io.clock, isWanted });
    for (const run of runs) if (!locksByTask.has(run.paths.taskId)) run.detach?.();
    const running = await store.list({ status: 'running', limit: 1_000 });
    // By the task's id: the runs directory may have been spelled otherwise when the job was claimed.
    const jobsByTask = new Map(
      running.jobs.flatMap((job) =>
        job.runDir === undefined ? [] : [[path.basename(job.runDir), job] as const],
      ),
    );
    return [...locksByTask].flatMap(([taskId, lock]) => {
      const ofTask = runs.filter(({ paths }) => paths.taskId === taskId);
      const task = takeTask(lock, ofTask, jobsByTask.get(taskId), options);
      return task === undefined ? [] : [task];
    });
  } catch (error) {
    for (const run of runs) run.detach?.();
    for (const lock of locksByTask.values()) lock.release();
    throw error;
  }
}

/** One task whose lock is ours: to go on with, or `undefined` when its runs only have to be closed. */
function takeTask(
  lock: OwnerLock,
  runs: readonly AdoptedRun[],
  job: Job | undefined,
  options: DaemonOptions,
): LeftTask | undefined {
  const { config, logger } = options;
  for (const { error, paths } of runs) {
    if (error !== undefined)
      logger.warn({ err: error, taskId: paths.taskId, runId: paths.runId }, 'run.unreadable');
  }
  // Run ids are ULIDs: the later step of a task has the larger one.
  const [run, ...earlier] = runs.toSorted((one, other) => (one.paths.runId < other.paths.runId ? 1 : -1));
  if (run?.result === undefined) {
    for (const each of earlier) each.detach?.();
    lock.release();
    return undefined;
  }
  const { result, paths } = run;
  const lease = job === undefined ? undefined : toLease(job);
  logger.info({ taskId: paths.taskId, runId: paths.runId, kind: run.kind, job: job?.kind }, 'run.adopted');
  for (const each of earlier) void acknowledgeWhenDone(each, options);
  if (lease === undefined || !config.jobs.has(lease.kind)) {
    void acknowledgeWhenDone(run, options).finally(() => lock.remove());
    return undefined;
  }
  // A step that was attached to its process has nobody who renews its lease from here on: it may not go on.
  const isUnkept = run.kind !== 'finished' && run.lease === undefined;
  const found = { run, result, lock };
  return {
    lease,
    resume: () => (isUnkept ? endLeftTask(lease, found, options) : resumeLeftTask(lease, found, options)),
  };
}

/**
 * Whether a process of this host has died in the middle of a task. Reads the store and a few small files.
 *
 * @param options - the daemon's
 */
export async function hasOrphanedTasks({ store, config }: DaemonOptions): Promise<boolean> {
  const running = await store.list({ status: 'running', limit: 1_000 });
  return running.jobs.some(
    ({ kind, runDir }) => runDir !== undefined && config.jobs.has(kind) && isTaskOrphaned(runDir),
  );
}

/** The newest run of a task that was left, with the task's lock. */
interface LeftRun {
  readonly run: AdoptedRun;
  readonly result: Promise<StepResult>;
  readonly lock: OwnerLock;
}

/** Ends the step of a killed `conductor run`, and only then gives its job to whoever comes next. */
async function endLeftTask(
  lease: Lease,
  { run, result, lock }: LeftRun,
  options: DaemonOptions,
): Promise<TaskOutcome> {
  const { store, config } = options;
  const { taskId } = run.paths;
  const summary = 'Lost: the process that ran it was killed';
  try {
    // Whatever is left of the lease has to last until nothing of the step is alive.
    await store.heartbeat(lease, config.settings.jobLeaseMs);
    await run.cancel?.(summary);
    const ended = await result;
    options.observer.stepEnded(lease, ended);
    const retry = toRetryPolicy(requireJob(lease, options));
    const { outcome } = await store.fail(lease, { error: summary, retry });
    await acknowledgeRun(run.paths);
    lock.remove();
    return { taskId, results: [ended], recorded: outcome, summary, isLost: true };
  } catch (error) {
    throw attemptLeft(`Cannot end task "${taskId}"`, error);
  } finally {
    lock.release();
  }
}

async function resumeLeftTask(lease: Lease, left: LeftRun, options: DaemonOptions): Promise<TaskOutcome> {
  const { run, lock } = left;
  try {
    const result = left.result.then((ended) => {
      options.observer.stepEnded(lease, ended);
      return ended;
    });
    // Awaited only once the place is known; until then its failure is nobody's.
    result.catch(() => undefined);
    const job = requireJob(lease, options);
    const { place, stepName } = await placeOf(run.paths, lease, options);
    using _cancelling = cancelOn(options, run);
    return await follow(
      lease,
      parseJobInput(lease.kind, lease.payload),
      options,
      (deps) => resumeTask(job, lease, { place, stepName, result, lock }, deps),
      run.paths,
    );
  } finally {
    run.detach?.();
    lock.release();
  }
}

/** Runs `work` with supervised steps and acknowledges each run when it is safe to forget. */
async function follow(
  lease: Lease,
  given: JobInput,
  options: DaemonOptions,
  work: (deps: TaskDeps) => Promise<TaskOutcome>,
  adopted?: RunPaths,
): Promise<TaskOutcome> {
  const { config, io, store, logger, hurry, taskBell } = options;
  const { settings } = config;
  let pending = adopted;
  const acknowledge = async (): Promise<void> => {
    if (pending === undefined) return;
    try {
      await acknowledgeRun(pending);
    } catch (error) {
      // Its lease is let go a little later, and whoever adopts it finds that its job went on.
      logger.warn({ err: error, runId: pending.runId }, 'run.not-acknowledged');
    }
    pending = undefined;
  };
  const execute = async (request: StepRequest, current: Lease): Promise<StepResult> => {
    const { taskId, runId, stepName } = request;
    // Renewing a lease does not take its payload, which may be large.
    const { payload: _, ...bare } = current;
    const step = await startSupervised(request, {
      clock: io.clock,
      // The session of an ARCP job decides, wherever its node is.
      ...(given.arcp !== undefined && { authorize: 'later' }),
      lease: {
        lease: bare,
        leaseMs: settings.jobLeaseMs,
        keeper: keeperModule(settings),
        holdAfterEndMs: HOLD_AFTER_END_MS,
      },
    }).catch((error: unknown) => {
      throw isRefusedUnstarted(error)
        ? error
        : attemptLeft(`Cannot start step "${stepName}" of task "${taskId}"`, error);
    });
    try {
      // The new step keeps the lease from here on.
      await acknowledge();
      pending = resolveRunPaths({ runsDir: settings.runsDir, taskId, runId });
      logger.info({ job: current.kind, taskId, runId, step: stepName }, 'step.started');
      taskBell.ring(lease);
      using _cancelling = cancelOn(options, step);
      const result = await step.result;
      options.observer.stepEnded(current, result);
      const { outcome, exitCode, durationMs } = result;
      logger.info(
        { job: current.kind, taskId, runId, step: stepName, outcome, exitCode, durationMs },
        'step.ended',
      );
      return result;
    } catch (error) {
      step.detach();
      throw attemptLeft(`Cannot follow step "${stepName}" of task "${taskId}"`, error);
    }
  };
  const outcome = await work({
    store,
    settings,
    rootDir: config.rootDir,
    env: io.env,
    clock: io.clock,
    execute,
    isShuttingDown: () => hurry.aborted,
    note: (message) => logger.info({ job: lease.kind, note: message }, 'task.noted'),
  });
  await acknowledge();
  const { taskId, recorded, summary } = outcome;
  logger.info(
    { job: lease.kind, key: lease.key, leaseToken: lease.token, taskId, recorded, summary },
    'job.recorded',
  );
  taskBell.ring(lease);
  return outcome;
}

/** Whether a step was refused before there was a record of it; any other answer, or none, may come from one that runs. */
function isRefusedUnstarted(error: unknown): boolean {
  return (
    error instanceof WorkerRunnerError &&
    (error.code === 'invalid-request' || error.code === 'lease-keeper-unusable')
  );
}

/** Ends a step when this node may no longer wait for it; until disposed. */
function cancelOn(
  { hurry, logger }: DaemonOptions,
  step: { readonly cancel?: ((reason?: string) => Promise<void>) | undefined },
): Disposable {
  const cancel = (): void => {
    const asked = step.cancel?.('conductor is stopping');
    asked?.catch((error: unknown) => logger.warn({ err: error }, 'step.not-cancelled'));
  };
  hurry.addEventListener('abort', cancel, { once: true });
  if (hurry.aborted) cancel();
  return { [Symbol.dispose]: () => hurry.removeEventListener('abort', cancel) };
}

/** A run of no current attempt: its job went on without it. It only has to end. */
async function acknowledgeWhenDone(run: AdoptedRun, { logger, stopping }: DaemonOptions): Promise<void> {
  // Nobody waits for it: a daemon that stops lets go of it, and the next one finds it again.
  const letGo = (): void => run.detach?.();
  stopping.addEventListener('abort', letGo, { once: true });
  if (stopping.aborted) letGo();
  try {
    await run.result;
    await acknowledgeRun(run.paths);
  } catch (error) {
    logger.warn({ err: error, runId: run.paths.runId }, 'run.not-closed');
  } finally {
    stopping.removeEventListener('abort', letGo);
  }
}

function requireJob(lease: Lease, { config }: DaemonOptions): JobDefinition {
  const job = config.jobs.get(lease.kind);
  if (job !== undefined) return job;
  throw new Error(`Cannot run job "${lease.kind}": it is not in the config, expected a known job`);
}

/** Long enough for a daemon to be restarted by its service manager; a result seen by nobody then is worked for again. */
const HOLD_AFTER_END_MS = 60_000;
