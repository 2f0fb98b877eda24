/**
 * The environment of a step, built from an allow-list and never copied from ours.
 * Invariant: no variable that changes how git, Node or the loader behave comes in, and no token of ours.
 */
import type { StepJob } from './request.ts';
import { EVENTS_FD, REPLIES_FD } from './wrapper.ts';

/** What the environment is made of. */
export interface StepEnvOptions {
  /** Our own environment, from which only allow-listed variables are taken. */
  readonly hostEnv: Readonly<Record<string, string | undefined>>;
  /** Further variables to take from it, by name. */
  readonly passEnv: readonly string[];
  /** Variables the request sets. */
  readonly env: Readonly<Record<string, string>>;
  /** Which run it is for. */
  readonly run: {
    readonly runDir: string;
    readonly artifactsDir: string;
    readonly taskId: string;
    readonly runId: string;
    readonly attempt: number;
    readonly stepName: string;
    readonly job: StepJob | undefined;
  };
}

/**
 * Builds the environment of a step.
 *
 * @param options - where values come from
 */
export function buildStepEnv(options: StepEnvOptions): Readonly<Record<string, string>> {
  const { job } = options.run;
  const env: Record<string, string> = {};
  for (const name of [...ALWAYS_PASSED, ...options.passEnv]) {
    const value = options.hostEnv[name];
    if (value !== undefined) env[name] = value;
  }
  return {
    PATH: FALLBACK_PATH,
    PYTHONUNBUFFERED: '1',
    ...env,
    ...options.env,
    CONDUCTOR_RUN_DIR: options.run.runDir,
    CONDUCTOR_TASK_ID: options.run.taskId,
    CONDUCTOR_RUN_ID: options.run.runId,
    CONDUCTOR_ATTEMPT: String(options.run.attempt),
    CONDUCTOR_STEP: options.run.stepName,
    ...(job !== undefined && {
      CONDUCTOR_JOB: job.name,
      CONDUCTOR_KEY: job.key,
      CONDUCTOR_WATERMARK: String(job.watermark),
    }),
    CONDUCTOR_ARTIFACTS_DIR: options.run.artifactsDir,
    CONDUCTOR_EVENTS_FD: String(EVENTS_FD),
    CONDUCTOR_REPLIES_FD: String(REPLIES_FD),
  };
}

/** Why a variable may not be given to a step, or `undefined` when it may. */
export function whyRefusedVariable(name: string): string | undefined {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/u.test(name)) return 'not a name every shell can carry';
  if (name.startsWith('CONDUCTOR_')) return 'reserved for the runner';
  if (name.startsWith('GIT_')) return 'would redirect git';
  if (name.startsWith('LD_') || name.startsWith('DYLD_')) return 'would load foreign code';
  if (name === 'NODE_OPTIONS') return 'would change every Node program';
  return undefined;
}

const ALWAYS_PASSED = ['PATH', 'HOME', 'LANG', 'TERM', 'TMPDIR', 'USER', 'SHELL'] as const;
const FALLBACK_PATH = '/usr/local/bin:/usr/bin:/bin';
