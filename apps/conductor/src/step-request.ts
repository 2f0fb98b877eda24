/** Turns a job definition into the requests worker-runner executes. Invariant: ids of one task and its runs are made here only. */
import type { Clock } from '@conductor-run/clock';
import type { Lease } from '@conductor-run/job-store';
import type { StepRequest, StepSecret } from '@conductor-run/worker-runner';
import { ulid } from 'ulid';

import { ConductorError } from './errors.ts';
import type { JobInput } from './job-input.ts';
import type { JobDefinition, StepDefinition } from './job-config.ts';
import type { Settings } from './settings.ts';

/** Where the steps of a task run and where their record goes. */
export interface TaskPlace {
  readonly taskId: string;
  /** From 1. */
  readonly attempt: number;
  /** The claim: which one of its kind, and how new its input is. */
  readonly lease: Pick<Lease, 'key' | 'watermark'>;
  /** Working directory of every step, absolute. */
  readonly workDir: string;
  /** The repository it belongs to; `undefined` takes no git diffs. */
  readonly repoRoot: string | undefined;
  /** What the git diffs compare with. */
  readonly baseRef: string | undefined;
  readonly runsDir: string;
}

/** A new task's id: the job's name and a ULID, so that ids sort by time within a job. */
export function newTaskId(jobName: string, clock: Clock): string {
  return `${jobName}-${ulid(clock.nowMs())}`;
}

/**
 * Makes the request of one step.
 *
 * @param job - the job
 * @param step - one of its steps
 * @param place - where it runs
 * @param given - what was enqueued with the job
 * @param deps - the environment that `env.pass` and `env.secrets` name variables of, the settings, and the time
 * @throws ConductorError with code `config-invalid` when a secret has no value or is too short to be found in output
 */
export function createStepRequest(
  job: JobDefinition,
  step: StepDefinition,
  place: TaskPlace,
  given: JobInput,
  deps: {
    readonly env: Readonly<Record<string, string | undefined>>;
    readonly settings: Pick<Settings, 'tmpDir'>;
    readonly clock: Clock;
    /** Whether steps without an input of their job read this process's standard input. */
    readonly sharesStdin?: boolean | undefined;
  },
): StepRequest {
  const secrets = job.env.secrets.map((name) => toSecret(job, name, deps.env));
  const { tmpDir } = deps.settings;
  const env: Record<string, string> = { ...(tmpDir !== '' && { TMPDIR: tmpDir }), ...job.env.set };
  for (const name of [...job.env.pass, ...job.env.secrets]) {
    const value = deps.env[name];
    if (value !== undefined && env[name] === undefined) env[name] = value;
  }
  if (given.arcp !== undefined) env['TRACEPARENT'] = given.arcp.traceparent;
  const hasGitDiff = job.checkpoint.gitDiff && place.repoRoot !== undefined;
  return {
    taskId: place.taskId,
    stepId: step.name,
    runId: ulid(deps.clock.nowMs()),
    attempt: place.attempt,
    stepName: step.name,
    stepKind: 'shell',
    workerKind: 'shell',
    job: { name: job.name, key: place.lease.key, watermark: place.lease.watermark },
    command: step.command,
    // A line, so that `read` in a shell takes it whole.
    ...(given.input !== undefined && { stdin: `${JSON.stringify(given.input)}\n` }),
    ...(deps.sharesStdin === true && { inheritStdin: true }),
    ...(step.timeoutMs !== undefined && { timeoutSec: step.timeoutMs / 1_000 }),
    runtime: {
      worktreePath: place.workDir,
      runsRootDir: place.runsDir,
      env,
      ...(hasGitDiff && { repoRoot: place.repoRoot }),
    },
    checkpoint: {
      logTailLines: job.checkpoint.logTailLines,
      summaryHint: job.description ?? `${job.name}: ${step.name}`,
      ...(job.checkpoint.everyMs !== undefined && { everySec: job.checkpoint.everyMs / 1_000 }),
      ...(hasGitDiff && place.baseRef !== undefined && { baseRef: place.baseRef }),
      ...(step.testReport !== undefined && { testReport: step.testReport }),
    },
    limits: {
      ...(step.idleTimeoutMs !== undefined && { idleTimeoutSec: step.idleTimeoutMs / 1_000 }),
    },
    secrets,
    createdAt: deps.clock.nowMs(),
  };
}

function toSecret(
  job: JobDefinition,
  name: string,
  env: Readonly<Record<string, string | undefined>>,
): StepSecret {
  const value = job.env.set[name] ?? env[name];
  if (value !== undefined && value.length >= MIN_SECRET_LENGTH) return { name, value };
  const state = value === undefined ? 'it has no value' : `it has ${value.length} characters`;
  throw new ConductorError(
    'config-invalid',
    `Cannot hide secret "${name}" of job "${job.name}": ${state}, expected at least ${MIN_SECRET_LENGTH} characters`,
    { hint: `Set the variable ${name}, or take it out of env.secrets.` },
  );
}

/** Shorter values would be found everywhere; the redactor of `logging` has the same limit. */
const MIN_SECRET_LENGTH = 6;
