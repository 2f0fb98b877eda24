/**
 * One attempt of a job: its steps in order, then the answer to the store. Used by `run`, `exec` and the dispatcher alike.
 * Invariant: whatever happens to the steps, the attempt is ended with its own token exactly once, or left to expire.
 */
import { mkdirSync } from 'node:fs';
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
import { findGitPlace } from './git-place.ts';
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
  /** Runs one step to its end, keeping the lease alive meanwhile. */
  readonly execute: (request: StepRequest, lease: Lease) => Promise<StepResult>;
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
    const result = await running.result;
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
    const results = await work();
    return { taskId, results, ...(await record(job, lease, results, deps)) };
  } catch (error) {
    // The attempt has to end in the store, whatever could not be prepared; the error itself goes on to the caller.
    const message = error instanceof Error ? error.message : String(error);
    await deps.store.fail(lease, { error: message, retry: toRetryPolicy(job) });
    throw error;
  } finally {
    lock?.remove();
  }
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
  const base = { taskId, attempt: lease.attempt, runsDir: settings.runsDir };
  if (job.worktreeBase === undefined) {
    return { ...base, workDir: rootDir, repoRoot: git?.repoRoot, baseRef: git?.headCommit };
  }
  if (git?.headCommit === undefined) {
    throw new ConductorError(
      'not-a-repository',
      `Cannot make a work tree for job "${job.name}": "${rootDir}" is ${git === undefined ? 'not in a git repository' : 'in a repository without a commit'}, expected one with a commit`,
      { hint: 'Run git init and commit, or take `worktree` out of the job.' },
    );
  }
  const worktree = await prepareWorktree({
    repoRoot: git.repoRoot,
    baseRef: job.worktreeBase,
    path: path.join(settings.worktreesDir, taskId),
    name: taskId,
  });
  // The job's folder inside the repository is its folder inside the work tree.
  const workDir = path.join(worktree.path, path.relative(git.repoRoot, rootDir));
  return { ...base, workDir, repoRoot: git.repoRoot, baseRef: worktree.baseCommit };
}

/** A work tree goes when it holds nothing that exists nowhere else; `removeWorktree` decides that. */
async function tidyPlace(job: JobDefinition, place: TaskPlace, deps: TaskDeps): Promise<void> {
  if (job.worktreeBase === undefined || place.repoRoot === undefined) return;
  const worktreePath = path.join(deps.settings.worktreesDir, place.taskId);
  try {
    await removeWorktree({ repoRoot: place.repoRoot, path: worktreePath, clock: deps.clock });
  } catch (error) {
    if (!(error instanceof WorkerRunnerError)) throw error;
    // Kept for what it holds, or because git would not let go: neither is the task's failure.
    const why = KEPT_FOR[error.code] ?? error.message;
    deps.note?.(`Work tree kept: ${worktreePath} (${why})`);
  }
}

const KEPT_FOR: Readonly<Partial<Record<WorkerRunnerErrorCode, string>>> = {
  'worktree-dirty': 'it holds changes nobody committed',
  'worktree-unmerged': 'it holds commits no other branch has',
};

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
