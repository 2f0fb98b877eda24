/** What a step leaves behind, as one envelope: returned to the caller and, byte for byte the same JSON, kept in `result.json`. */
import type { LifecycleEvent, RunState } from '@conductor-run/logging';

import type { StepIdentity } from './request.ts';

/** How a step ended. */
export type StepOutcome =
  | 'prepared'
  | 'completed'
  | 'failed'
  | 'blocked'
  | 'cancelled'
  | 'timed_out'
  | 'lost';

/** Why a step ended otherwise than by itself with exit code 0. The first reason wins. */
export type EndReason =
  | 'cancelled'
  | 'lease_cancelled'
  | 'timeout'
  | 'idle_timeout'
  | 'start_timeout'
  | 'result_drain'
  | 'output_limit'
  | 'lease_lost'
  | 'exit_code'
  | 'signal'
  | 'blocked'
  | 'needs_human'
  | 'not_startable'
  | 'function_failed'
  | 'runner_failed'
  | 'wrapper_lost'
  | 'killed_from_outside'
  | 'never_started'
  | 'reboot';

/** A file worth keeping. */
export interface StepArtifact {
  /** Relative to the run directory, or as the step named it when it lies elsewhere. */
  readonly path: string;
  /** `log` for the record's own files, `file` for those under artifacts/, `reference` for what the step named. */
  readonly kind: 'log' | 'file' | 'reference';
  /** Size in bytes; absent for what is not a readable plain file below the run directory or the work tree. */
  readonly bytes?: number;
  /** SHA-256 of the content, in hex; absent as `bytes`, for files over 1 GiB, and for one that cannot be read to its end. */
  readonly sha256?: string;
  /** What the step said about it. */
  readonly title?: string;
}

/** What the step reported to have used. */
export interface StepUsage {
  /** Exact sums of `cost.*` metrics, by currency (the metric's unit); the first 1,000 of them. */
  readonly costs: Readonly<Record<string, string>>;
  /** Sums of `tokens.*` metrics, by what follows the dot; the first 1,000 names. */
  readonly tokens: Readonly<Record<string, number>>;
}

/** How much happened. */
export interface StepMetrics {
  /** Monotonic time from start to end, in ms; wall time when the run was adopted after a reboot. */
  readonly durationMs: number;
  /** Lines of worker.log. */
  readonly lifecycleEventCount: number;
  /** Structured events the step reported. */
  readonly stepEventCount: number;
  /** Lines it wrote as events that were not understood. */
  readonly rejectedEventCount: number;
  /** Chunks of stdout in the timeline. */
  readonly stdoutChunkCount: number;
  /** Chunks of stderr in the timeline. */
  readonly stderrChunkCount: number;
  /** Bytes of stdout. */
  readonly stdoutBytes: number;
  /** Bytes of stderr. */
  readonly stderrBytes: number;
  /** Checkpoint records. */
  readonly checkpointCount: number;
  /** Largest memory of the whole tree seen in samples taken every second; absent for steps that ended before the first. */
  readonly maxRssBytes?: number;
  /** CPU time of the step and the children it waited for, in ms; absent when the wrapper was killed. */
  readonly cpuMs?: number;
}

/** A process that the step left running and that was ended. */
export interface Straggler {
  /** Its process id. */
  readonly pid: number;
  /** Its process group. */
  readonly groupId: number;
}

/** Checkpoints of the run. */
export interface CheckpointState {
  /** As requested. */
  readonly mode: 'capture' | 'disabled';
  /** Sequence number of the newest record; 0 without one. */
  readonly lastSeq: number;
  /** How many captures failed; each is a `checkpoint_failed` event. */
  readonly failedCount: number;
  /** The git_diff record of the work tree as it was before the step; absent without a repository, or when it failed. */
  readonly startSeq?: number;
  /** The checkpoint this run resumed from, as requested. */
  readonly resumedFromSeq?: number;
}

/** Paths of the record, absolute. */
export interface ResultPaths {
  /** The run directory. */
  readonly runDir: string;
  /** This envelope. */
  readonly resultPath: string;
  /** Lifecycle events. */
  readonly workerLogPath: string;
  /** The step's stdout. */
  readonly stdoutPath: string;
  /** The step's stderr. */
  readonly stderrPath: string;
  /** Structured events. */
  readonly stepEventsPath: string;
  /** Checkpoint records. */
  readonly checkpointsDir: string;
  /** The step's own files. */
  readonly artifactsDir: string;
}

/** The end of the output, for people. */
export interface LogSummary {
  /** Last lines of stdout and stderr together, redacted, without terminal escapes. */
  readonly tail: readonly string[];
  /** Bytes given up to stay under the limit. */
  readonly droppedBytes: number;
}

/** One step's result. */
export interface StepResult extends StepIdentity {
  /** Version of this envelope. */
  readonly schemaVersion: 1;
  /** Whether the step did what it should: only `completed` and `prepared` do. */
  readonly ok: boolean;
  /** How it ended. */
  readonly outcome: StepOutcome;
  /** One or a few sentences: the step's own summary, else ours. */
  readonly summary: string;
  /** Whether a person has to act before a retry makes sense. */
  readonly needsHuman: boolean;
  /** Whether it could not go on for now. */
  readonly blocked: boolean;
  /** When the work started, UTC milliseconds; absent when it never did, or nobody can know. */
  readonly startedAt?: number;
  /** When it ended, UTC milliseconds. */
  readonly finishedAt: number;
  /** As in `metrics`. */
  readonly durationMs: number;
  /** Exit code; absent when a signal ended the step or nobody knows. */
  readonly exitCode?: number;
  /** Signal; inferred from an exit code of 129 or more, as shells report it. */
  readonly signal?: string;
  /** Why it did not complete; absent when it did, and when a power cut took the note of it. */
  readonly reason?: EndReason;
  /** The words given with the reason: those of `cancel`, or of the system. */
  readonly reasonText?: string;
  /** The body of the step's `result` event; empty without one. */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** state.json at the end. */
  readonly state: RunState;
  /** Where everything is. */
  readonly paths: ResultPaths;
  /** The end of the output. */
  readonly logSummary: LogSummary;
  /** worker.log. */
  readonly lifecycleEvents: readonly LifecycleEvent[];
  /** Checkpoints. */
  readonly checkpoint: CheckpointState;
  /** Files worth keeping; of those the step named, the first 10,000. What cannot be read is a warning among the events. */
  readonly artifacts: readonly StepArtifact[];
  /** What the step suggests to do next. */
  readonly suggestedFollowup?: string;
  /** How much happened. */
  readonly metrics: StepMetrics;
  /** What it used. */
  readonly usage: StepUsage;
  /** Processes the step left running when it ended by itself; they were ended. */
  readonly stragglers: readonly Straggler[];
  /** Processes that could not be ended: stuck in the kernel, or another user's. Empty in every ordinary case. */
  readonly survivors: readonly Straggler[];
  /** Whether another process than the first watched the run to its end. */
  readonly adopted: boolean;
}
