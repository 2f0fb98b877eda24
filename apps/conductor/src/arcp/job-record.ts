/**
 * The record of a job as one story: its attempts, their runs in order, and how it ended.
 * Invariant: when the job's row says that it is over, every run of it is found.
 */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';

import type { AgentOutcome } from '@conductor-run/arcp/runtime';
import { ARCP_WIRE_CODES, ArcpError } from '@conductor-run/arcp';
import type { Attempt, Job } from '@conductor-run/job-store';
import { resolveRunPaths, type RunPaths } from '@conductor-run/logging';
import { readStepResult, type StepResult } from '@conductor-run/worker-runner';

import type { RunPlace } from './cursor.ts';

/** A run of the job. */
export interface JobRun extends RunPlace {
  readonly paths: RunPaths;
}

/**
 * The runs of a job that exist so far, oldest first.
 *
 * @param attempts - of the job, oldest first
 * @param runsDir - where runs are kept
 */
export function runsOf(attempts: readonly Attempt[], runsDir: string): readonly JobRun[] {
  return attempts.flatMap(({ attempt, runDir }) => {
    if (runDir === undefined) return [];
    const taskId = path.basename(runDir);
    return runNamesIn(runDir).map((runId) => ({
      attempt,
      runId,
      paths: resolveRunPaths({ runsDir, taskId, runId }),
    }));
  });
}

/**
 * How a job ended.
 *
 * @param job - its row
 * @param runs - all of them
 * @returns `undefined` while it has not, or is tried again
 * @throws ArcpError when it ended badly, with the code the step chose, or the one that fits
 */
export function outcomeOf(job: Job, runs: readonly JobRun[]): AgentOutcome | undefined {
  const last = runs.at(-1);
  const result = last === undefined ? undefined : readStepResult(last.paths.runDir);
  if (job.status === 'done') return toOutcome(runs.filter((run) => run.attempt === last?.attempt));
  if (job.status === 'cancelled') {
    throw new ArcpError('CANCELLED', `The job was called off: ${job.lastError ?? 'somebody cancelled it'}`);
  }
  if (job.status === 'error' && job.isExhausted) throw toError(job, result);
  return undefined;
}

/** The result of the last step that reported one, and the last summary. */
function toOutcome(runs: readonly JobRun[]): AgentOutcome {
  const results = runs.flatMap((run) => readStepResult(run.paths.runDir) ?? []);
  const reported = results.findLast(({ metadata }) => Object.keys(metadata).length > 0);
  const summary = results.at(-1)?.summary;
  return {
    ...(reported !== undefined && { result: reported.metadata }),
    ...(summary !== undefined && { summary }),
  };
}

function toError(job: Job, result: StepResult | undefined): ArcpError {
  const chosen = chosenError(result);
  if (chosen !== undefined) return chosen;
  const message = `The step did not succeed: ${job.lastError ?? result?.summary ?? 'it gave no reason'}`;
  const details = result === undefined ? {} : { details: { run_id: result.runId, outcome: result.outcome } };
  if (result?.outcome === 'cancelled') return new ArcpError('CANCELLED', message, details);
  if (result?.outcome === 'timed_out') return new ArcpError('TIMEOUT', message, details);
  return new ArcpError('INTERNAL_ERROR', message, details);
}

/** A step says why it fails with a `result` event whose body is `{"error": {"code", "message"}}`. */
function chosenError(result: StepResult | undefined): ArcpError | undefined {
  const error = result?.metadata['error'];
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  const code = ARCP_WIRE_CODES.find((known) => known === error.code);
  if (code === undefined) return undefined;
  return new ArcpError(code, 'message' in error ? String(error.message) : `The step ended with ${code}`);
}

/** A run's directory appears in one step, with its meta.json. */
function runNamesIn(taskDir: string): readonly string[] {
  if (!existsSync(taskDir)) return [];
  return readdirSync(taskDir)
    .filter((name) => /^[A-Za-z0-9]/.test(name) && existsSync(path.join(taskDir, name, 'meta.json')))
    .toSorted();
}
