/** What a caller asks for, as plain interfaces. The door that checks it is request-schema.ts. */

/** What sort of step it is. Any other word is kept as it is. */
export type StepKind = 'shell' | 'agent' | 'git' | 'planner' | 'review' | 'finalize' | (string & {});

/** Who executes it. */
export type WorkerKind = 'shell' | 'agent' | 'git' | 'function';

/** Where a step runs and where its record goes. */
export interface StepRuntime {
  /** The repository the step works on, absolute. Needed for checkpoints with a git diff. */
  readonly repoRoot?: string;
  /** The working directory of the step, absolute. */
  readonly worktreePath: string;
  /** The directory all runs are kept under, absolute, outside of every work tree. Links are followed: paths handed back have its real name. */
  readonly runsRootDir: string;
  /** Variables to set. `GIT_*`, `LD_*`, `DYLD_*`, `NODE_OPTIONS` and `CONDUCTOR_*` are refused. */
  readonly env?: Readonly<Record<string, string>>;
  /** Variables to take over from the runner's environment, beside PATH, HOME, LANG, TERM, TMPDIR, USER and SHELL. */
  readonly passEnv?: readonly string[];
}

/** How checkpoints are taken. */
export interface CheckpointRequest {
  /**
   * `capture` takes them, `disabled` takes none.
   *
   * @defaultValue `capture`
   */
  readonly mode?: 'capture' | 'disabled';
  /** The checkpoint of an earlier run this one resumes from; recorded, and told to the step by its command. */
  readonly resumeFromSeq?: number;
  /** The first summary. */
  readonly summaryHint?: string;
  /**
   * Lines of output in each log tail, 1 to 10,000.
   *
   * @defaultValue 20
   */
  readonly logTailLines?: number;
  /** Seconds between checkpoints while something changes, at least 1; absent for none but the last. */
  readonly everySec?: number;
  /** A checkpoint each time the output grew by so many lines (counted at most once a second), at least 1. */
  readonly onLines?: number;
  /** What the git diff compares with: a commit or ref of the repository. */
  readonly baseRef?: string;
  /** A test report the step leaves, relative to its working directory, recorded at the end. */
  readonly testReport?: string;
}

/** Bounds of a step. Durations in seconds, fractions allowed. */
export interface StepLimits {
  /** No output, no event, no changed file and no CPU use for so long ends the step. Absent: never. */
  readonly idleTimeoutSec?: number;
  /** The first byte of output, or the first event, must come within this. Absent: no bound. */
  readonly startTimeoutSec?: number;
  /**
   * Between SIGTERM and SIGKILL.
   *
   * @defaultValue 10
   */
  readonly killGraceSec?: number;
  /**
   * What processes get that the step left behind when it ended by itself.
   *
   * @defaultValue 2
   */
  readonly stragglerGraceSec?: number;
  /** How long a step may go on after it reported its `result` event. Absent: no bound. */
  readonly resultDrainSec?: number;
  /** Bytes kept of each output stream; see logging. */
  readonly maxBytesPerStream?: number;
  /** What to do at that limit; `fail` ends the step with the reason `output_limit`. */
  readonly onLimit?: 'truncate' | 'fail';
  /**
   * Exit codes that mean "blocked, try later".
   *
   * @defaultValue `[75]` (EX_TEMPFAIL)
   */
  readonly blockedExitCodes?: readonly number[];
  /**
   * How large `events.ndjson` may grow, in bytes, and what the step writes as well; lines grow by some 60 bytes when they
   * are numbered. A step that goes beyond is ended with the reason `output_limit`: what it says further is lost, and
   * with it how it ended.
   *
   * @defaultValue 64 MiB
   */
  readonly maxEventBytes?: number;
}

/** A value that must never be seen in a log. */
export interface StepSecret {
  /** What stands in its place: `[redacted:NAME]`. Each secret of a request has its own. */
  readonly name: string;
  /** The value, at least 6 characters. */
  readonly value: string;
}

/** Which step of which task, and which execution of it. */
export interface StepIdentity {
  /** The task the step belongs to; a plain name as `logging` defines it. */
  readonly taskId: string;
  /** The step inside the task. */
  readonly stepId: string;
  /** This execution; unique within the task. */
  readonly runId: string;
  /** Which attempt of the task, from 1. */
  readonly attempt: number;
  /** The step's name for people. */
  readonly stepName: string;
  /** What sort of step it is. */
  readonly stepKind: StepKind;
  /** Who executes it. */
  readonly workerKind: WorkerKind;
}

/** For which job a step works; told to it in its environment, and neither kept nor understood by the runner. */
export interface StepJob {
  /** The job's name: `CONDUCTOR_JOB`. */
  readonly name: string;
  /** Which one of its kind: `CONDUCTOR_KEY`. */
  readonly key: string;
  /** How new the input is that the attempt covers, an integer of at least 0: `CONDUCTOR_WATERMARK`. */
  readonly watermark: number;
}

/** One step to execute. */
export interface StepRequest extends StepIdentity {
  /** The job it works for; without it the step is told of none. */
  readonly job?: StepJob;
  /** An argument list, or a line for `/bin/sh`. May be empty only for the function executor. */
  readonly command: readonly string[] | string;
  /** Wall time the step may take, in seconds; absent for no bound. */
  readonly timeoutSec?: number;
  /** Where it runs. */
  readonly runtime: StepRuntime;
  /** A short account of the prompt; never the prompt itself. */
  readonly promptSummary?: string;
  /** What the step reads on stdin; without it stdin is empty. Not kept. */
  readonly stdin?: string;
  /**
   * The step reads this process's own stdin, as it comes: the descriptor itself is handed on, so that it goes on reading
   * when this process dies. Gives way to `stdin`. Default false.
   */
  readonly inheritStdin?: boolean;
  /** How checkpoints are taken. */
  readonly checkpoint?: CheckpointRequest;
  /** Bounds. */
  readonly limits?: StepLimits;
  /** Values to keep out of the logs. */
  readonly secrets?: readonly StepSecret[];
  /** When the request was made, UTC milliseconds; the runner's clock when absent. */
  readonly createdAt?: number;
}
