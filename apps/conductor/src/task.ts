/**
 * One attempt of a job: its steps in order, then the answer to the store. Used by `run`, `exec` and the dispatcher alike.
 * Invariant: the attempt is ended with its own token at most once, and never while a step of it may be at work: what cannot
 * be known or written is left to the lease and to adoption.
 */
import { mkdirSync } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import path from 'node:path';

import type { Clock } from '@conductor-run/clock';
import type { JobStore, Lease, RetryPolicy } from '@conductor-run/job-store';
import {
  prepareWorktree,
  removeWorktree,
  type StepRequest,
  type StepResult,
  WorkerRunnerError,
  type WorkerRunnerErrorCode,
} from '@conductor-run/worker-runner';

import { ConductorError } from './errors.ts';
import { findGitPlace, noGitPlace } from './git-place.ts';
import { parseJobInput } from './job-input.ts';
import type { JobDefinition, StepDefinition } from './job-config.ts';
import { holdLease } from './lease.ts';
import { lockTask, type OwnerLock } from './owner-lock.ts';
import type { Settings } from './settings.ts';
import { createStepRequest, newTaskId, type TaskPlace } from './step-request.ts';

/** What running a task takes. */
export interface TaskDeps {
  readonly store: JobStore;
  readonly settings: Settings;
  /** Where the job runs without a work tree of its own. */
  readonly rootDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /**
   * Runs one step to its end, keeping the lease alive meanwhile. What it throws ends the attempt as failed, so nothing of the
   * step may be alive then; `attemptLeft` says that this is not known.
   */
  readonly execute: (request: StepRequest, lease: Lease) => Promise<StepResult>;
  /** Whether steps of a job without input read the standard input of this process, and go on when it dies. */
  readonly sharesStdin?: boolean;
  /** Whether steps are being cancelled because this node stops. */
  readonly isShuttingDown?: () => boolean;
  /** Told what happened that is no failure of the task, such as a work tree that is kept. */
  readonly note?: (message: string) => void;
}

/** How a task went. */
export interface TaskOutcome {
  readonly taskId: string;
  /** One per step that ran; the last one decides. */
  readonly results: readonly StepResult[];
  /** What the store made of it; `lease-lost` when somebody else owns the job by now. */
  readonly recorded: 'succeeded' | 'failed' | 'released' | 'lease-lost';
  /** One sentence. */
  readonly summary: string;
  /** Whether it ended because the process that ran it had died. */
  readonly isLost?: boolean;
}

/**
 * Runs the task of a claimed job.
 *
 * @param job - its definition
 * @param lease - the claim
 * @param deps - what it takes
 */
export async function runTask(job: JobDefinition, lease: Lease, deps: TaskDeps): Promise<TaskOutcome> {
  const taskId = newTaskId(job.name, deps.clock);
  const lock = lockTask(taskDirOf(deps.settings, taskId));
  return endAttempt(job, lease, { taskId, lock }, deps, async () => {
    await deps.store.setAttemptRun(lease, {
      runDir: taskDirOf(deps.settings, taskId),
      node: deps.settings.nodeId,
    });
    const place = await hold(lease, deps, () => preparePlace(job, lease, taskId, deps));
    const results = await runSteps(job, job.steps, lease, place, deps);
    await hold(lease, deps, () => tidyPlace(job, place, deps));
    return results;
  });
}

/**
 * Goes on with a task whose process died: waits for the step that was at work, then runs the steps after it.
 *
 * @param job - its definition
 * @param lease - the claim, which the step's supervisor has kept
 * @param running - the step that was at work, and where
 * @param deps - what it takes
 */
export async function resumeTask(
  job: JobDefinition,
  lease: Lease,
  running: {
    readonly place: TaskPlace;
    readonly stepName: string;
    readonly result: Promise<StepResult>;
    /** Held by the caller, so that nobody else goes on with it too; released here. */
    readonly lock: OwnerLock;
  },
  deps: TaskDeps,
): Promise<TaskOutcome> {
  const { place, stepName, lock } = running;
  return endAttempt(job, lease, { taskId: place.taskId, lock }, deps, async () => {
    const result = await running.result.catch((error: unknown) => {
      throw attemptLeft(`Cannot follow step "${stepName}" of task "${place.taskId}"`, error);
    });
    const position = job.steps.findIndex((step) => step.name === stepName);
    // A step that is no longer in the config has no steps after it.
    const rest = result.ok && position >= 0 ? job.steps.slice(position + 1) : [];
    const results = [result, ...(await runSteps(job, rest, lease, place, deps))];
    await hold(lease, deps, () => tidyPlace(job, place, deps));
    return results;
  });
}

/** The folder of a task's runs, kept with the attempt so that others find it. */
export function taskDirOf(settings: Pick<Settings, 'runsDir'>, taskId: string): string {
  return path.join(settings.runsDir, taskId);
}

/** Keeps the lease while no step does. */
function hold<Result>(lease: Lease, deps: TaskDeps, work: () => Promise<Result>): Promise<Result> {
  return holdLease(lease, { ...deps, leaseMs: deps.settings.jobLeaseMs }, work);
}

async function endAttempt(
  job: JobDefinition,
  lease: Lease,
  { taskId, lock }: { readonly taskId: string; readonly lock: OwnerLock | undefined },
  deps: TaskDeps,
  work: () => Promise<readonly StepResult[]>,
): Promise<TaskOutcome> {
  try {
    const results = await workOrFail(job, lease, deps, work);
    const recorded = await hold(lease, deps, () => recordPatiently(job, lease, taskId, results, deps));
    lock?.remove();
    return { taskId, results, ...recorded };
  } catch (error) {
    if (!isAttemptLeft(error)) lock?.remove();
    throw error;
  } finally {
    // Of an attempt that is left: whoever looks next finds that nobody goes on with it.
    lock?.release();
  }
}

/** The attempt has to end in the store, whatever could not be prepared; the error itself goes on to the caller. */
async function workOrFail(
  job: JobDefinition,
  lease: Lease,
  { store }: TaskDeps,
  work: () => Promise<readonly StepResult[]>,
): Promise<readonly StepResult[]> {
  try {
    return await work();
  } catch (error) {
    if (!isAttemptLeft(error))
      await store.fail(lease, { error: messageOf(error), retry: toRetryPolicy(job) });
    throw error;
  }
}

/**
 * What is thrown when an attempt must not be ended here: a step of it may be at work, or has ended and could not be recorded.
 * Its runs stay unacknowledged, so that adoption goes on with it while its lease lasts.
 *
 * @param what - what could not be done, `Cannot <verb> <thing>`
 * @param cause - why
 */
export function attemptLeft(what: string, cause: unknown): ConductorError {
  return new ConductorError(
    'attempt-left',
    `${what}: ${messageOf(cause)}; the attempt is left to its lease, and to whoever adopts it`,
    { cause, hint: 'A running daemon goes on with it by itself; conductor jobs show says how it stands.' },
  );
}

/** Whether this is what `attemptLeft` gave. */
export function isAttemptLeft(error: unknown): boolean {
  return error instanceof ConductorError && error.code === 'attempt-left';
}

async function runSteps(
  job: JobDefinition,
  steps: readonly StepDefinition[],
  lease: Lease,
  place: TaskPlace,
  deps: TaskDeps,
): Promise<readonly StepResult[]> {
  const given = parseJobInput(job.name, lease.payload);
  const { tmpDir } = deps.settings;
  if (tmpDir !== '') mkdirSync(tmpDir, { recursive: true, mode: 0o700 });
  const results: StepResult[] = [];
  for (const step of steps) {
    const result = await deps.execute(createStepRequest(job, step, place, given, deps), lease);
    results.push(result);
    if (!result.ok) break;
  }
  return results;
}

async function preparePlace(
  job: JobDefinition,
  lease: Lease,
  taskId: string,
  deps: TaskDeps,
): Promise<TaskPlace> {
  const { settings, rootDir } = deps;
  const git = await findGitPlace(rootDir);
  const base = { taskId, attempt: lease.attempt, lease, runsDir: settings.runsDir };
  if (job.worktreeBase === undefined) {
    const workDir = await findWorkDir(job, rootDir, rootDir);
    return { ...base, workDir, repoRoot: git?.repoRoot, baseRef: git?.headCommit };
  }
  const what = `Cannot make a work tree for job "${job.name}"`;
  const hint = 'Run git init and commit, or take `worktree` out of the job.';
  if (git === undefined) throw await noGitPlace(what, rootDir, hint);
  if (git.headCommit === undefined) {
    const message = `${what}: "${rootDir}" is in a repository without a commit, expected one with a commit`;
    throw new ConductorError('not-a-repository', message, { hint });
  }
  const worktree = await prepareWorktree({
    repoRoot: git.repoRoot,
    baseRef: job.worktreeBase,
    path: path.join(settings.worktreesDir, taskId),
    name: taskId,
  });
  // The job's folder inside the repository is its folder inside the work tree.
  const folder = path.join(worktree.path, path.relative(git.repoRoot, rootDir));
  const workDir = await findWorkDir(job, folder, worktree.path);
  return { ...base, workDir, repoRoot: git.repoRoot, baseRef: worktree.baseCommit };
}

/** The folder a job's steps run in: below `folder`, and inside `top` wherever links lead. */
async function findWorkDir(job: JobDefinition, folder: string, top: string): Promise<string> {
  if (job.cwd === undefined) return folder;
  const workDir = path.join(folder, job.cwd);
  const state = await whyNoWorkDir(workDir, top);
  if (state === undefined) return workDir;
  throw new ConductorError(
    'config-invalid',
    `Cannot run job "${job.name}" in "${workDir}": it ${state}, expected a folder below "${top}"`,
    { hint: 'Make the folder, or mend `cwd` of the job.' },
  );
}

async function whyNoWorkDir(workDir: string, top: string): Promise<string | undefined> {
  try {
    const [real, realTop] = await Promise.all([realpath(workDir), realpath(top)]);
    if (real !== realTop && !real.startsWith(realTop + path.sep)) return `leads to "${real}"`;
    return (await stat(real)).isDirectory() ? undefined : 'is a file';
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return 'is not there';
    throw error;
  }
}

/** A work tree goes when it holds nothing that exists nowhere else; `removeWorktree` decides that. */
async function tidyPlace(job: JobDefinition, place: TaskPlace, deps: TaskDeps): Promise<void> {
  if (job.worktreeBase === undefined || place.repoRoot === undefined) return;
  const worktreePath = path.join(deps.settings.worktreesDir, place.taskId);
  try {
    await removeWorktree({ repoRoot: place.repoRoot, path: worktreePath, clock: deps.clock });
  } catch (error) {
    // Kept for what it holds, or because git would not let go: neither is the failure of a task whose steps have ended.
    const known = error instanceof WorkerRunnerError ? KEPT_FOR[error.code] : undefined;
    const why = known ?? messageOf(error);
    deps.note?.(`Work tree kept: ${worktreePath} (${why})`);
  }
}

const KEPT_FOR: Readonly<Partial<Record<WorkerRunnerErrorCode, string>>> = {
  'worktree-dirty': 'it holds changes nobody committed',
  'worktree-unmerged': 'it holds commits no other branch has',
};

/** A store that is busy or full for a moment must not make work that was done be done again. */
async function recordPatiently(
  job: JobDefinition,
  lease: Lease,
  taskId: string,
  results: readonly StepResult[],
  deps: TaskDeps,
): Promise<Pick<TaskOutcome, 'recorded' | 'summary'>> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await record(job, lease, results, deps);
    } catch (error) {
      if (tries === MAX_RECORD_TRIES) throw attemptLeft(`Cannot record task "${taskId}"`, error);
      deps.note?.(`Task not recorded yet, tried again soon: ${messageOf(error)}`);
      await deps.clock.sleep(tries * RECORD_RETRY_MS);
    }
  }
}

async function record(
  job: JobDefinition,
  lease: Lease,
  results: readonly StepResult[],
  { store, isShuttingDown }: TaskDeps,
): Promise<Pick<TaskOutcome, 'recorded' | 'summary'>> {
  const last = results.at(-1);
  const summary = last?.summary ?? 'no step ran';
  if (last?.ok === true) {
    const runIds = results.map((result) => result.runId);
    const answer = await store.succeed(lease, { result: { taskId: last.taskId, runIds, summary } });
    return { recorded: answer.outcome, summary };
  }
  if (last?.outcome === 'cancelled' && isShuttingDown?.() === true) {
    // Nobody asked for this job to end, only for this node: it goes back untouched.
    const answer = await store.release(lease);
    return { recorded: answer.outcome, summary };
  }
  const error = last === undefined ? summary : `${last.stepName}: ${summary}`;
  // What a person ended, or has to mend first, is not tried again by itself.
  const isFinal = last?.outcome === 'cancelled' || last?.needsHuman === true;
  const answer = await store.fail(lease, { error, retry: isFinal ? false : toRetryPolicy(job) });
  return { recorded: answer.outcome, summary };
}

/** The policy of a job in the store's words. */
export function toRetryPolicy({ retry }: JobDefinition): RetryPolicy {
  return retry.backoff === 'fixed'
    ? { policy: 'fixed', delayMs: retry.delayMs }
    : { policy: 'exponential', baseMs: retry.delayMs, maxMs: retry.maxDelayMs };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Two seconds in all, beside what the store itself waits: the lease of an ended step is held for longer. */
const MAX_RECORD_TRIES = 5;
const RECORD_RETRY_MS = 200;
