/**
 * What the files of a run directory hold, as plain interfaces.
 * Invariant: one sequence numbers lifecycle events and output chunks of a run together; it never repeats or goes back.
 */
import type { RunStatus } from './run-status.ts';

/** The layout this package writes and the newest it reads. */
export const LAYOUT_VERSION = 1;

/** Both output streams of a step. */
export const OUTPUT_CHANNELS = ['stdout', 'stderr'] as const;

/** One of the two output streams of a step. */
export type OutputChannelName = (typeof OUTPUT_CHANNELS)[number];

/** A process, told apart from a later one with the same pid. */
export interface ProcessIdentity {
  /** The process id. */
  readonly pid: number;
  /** The start time as the system counts it (clock ticks since boot on Linux). Opaque: compare, never compute. */
  readonly startTime: number;
  /** The boot the pid belongs to (`/proc/sys/kernel/random/boot_id` on Linux); absent where the system has none. */
  readonly bootId?: string;
}

/** What the owner of a new run says about it. Everything is stored as given, after redaction. */
export interface NewRunMeta {
  /** The step this run executes. */
  readonly stepId: string;
  /** The step's name for people. */
  readonly stepName: string;
  /** What sort of step it is, such as `agent`, `build` or `command`. */
  readonly stepKind: string;
  /** Which worker executes it, such as `process` or `claude-code`. */
  readonly workerKind: string;
  /** Which attempt of the task this run belongs to, from 1. */
  readonly attempt: number;
  /** The repository the step works on, as an absolute path. */
  readonly repoRoot?: string;
  /** The work tree the step runs in, as an absolute path. */
  readonly worktreePath?: string;
  /** The command and its arguments. */
  readonly command?: readonly string[];
  /** A short, readable account of the prompt; never the prompt itself. */
  readonly promptSummary?: string;
  /** How checkpoints of this run are taken, in the words of whoever takes them. */
  readonly checkpointMode?: string;
  /** Versions worth knowing later, by name: the app, Node, the agent. */
  readonly versions?: Readonly<Record<string, string>>;
}

/** `meta.json`: who this run is. Written once, before anything else of the run exists, and never changed. */
export interface RunMeta extends NewRunMeta {
  /** The layout of the run directory; this package writes 1 and refuses higher ones. */
  readonly layoutVersion: number;
  /** The task the run belongs to. */
  readonly taskId: string;
  /** The run's own id. */
  readonly runId: string;
  /** When the run directory was made, UTC milliseconds. */
  readonly createdAt: number;
  /** The name of the machine that made it. */
  readonly host: string;
  /** The process id of the writer that made it. */
  readonly pid: number;
}

/** A part of a log that was given up to stay under the limit: those bytes read as NUL. */
export interface DroppedRange {
  /** Where the gap starts, in bytes from the start of the log. */
  readonly offset: number;
  /** How many bytes are gone. */
  readonly bytes: number;
}

/** `state.json`: where the run is now. Replaced as a whole, so a reader never sees half of it. */
export interface RunState {
  /** Where the run is in its life. */
  readonly status: RunStatus;
  /** Which attempt of the task this run belongs to, from 1. */
  readonly attempt: number;
  /** When the run went to `running`, UTC milliseconds; absent before. */
  readonly startedAt?: number;
  /** When this state was written, UTC milliseconds. */
  readonly updatedAt: number;
  /** When the run reached a terminal status, UTC milliseconds; absent before. */
  readonly finishedAt?: number;
  /** The highest sequence number given out when this state was written; 0 before the first. */
  readonly lastEventSeq: number;
  /** The number of the newest checkpoint; 0 before the first. */
  readonly checkpointSeq: number;
  /** One readable sentence on how it stands or ended. */
  readonly summary?: string;
  /** The step's exit code; absent while it runs and when a signal ended it. */
  readonly exitCode?: number;
  /** The signal that ended the step, such as `SIGKILL`. */
  readonly signal?: string;
  /** Bytes of stdout.log, dropped ones included. At most 250 ms behind while output flows, exact once the run has ended. */
  readonly stdoutBytes: number;
  /** Bytes of stderr.log, as for `stdoutBytes`. */
  readonly stderrBytes: number;
  /** Bytes given up on both channels to stay under `maxBytesPerStream`. */
  readonly droppedBytes: number;
  /** Where the gaps are, by channel; absent when nothing was dropped. */
  readonly dropped?: Readonly<Partial<Record<OutputChannelName, DroppedRange>>>;
  /** The step's process, as its runner identified it. Only stored here. */
  readonly process?: ProcessIdentity;
  /** The process that watches the step and owns this directory. */
  readonly supervisor?: ProcessIdentity;
}

/** Kinds of lifecycle events this version writes. Readers accept others, from newer versions. */
export const LIFECYCLE_EVENT_TYPES = [
  'run_prepared',
  'checkpoint_slot_reserved',
  'worker_started',
  'worker_execution_deferred',
  'worker_exited',
  'step_prepared',
  'step_completed',
  'step_failed',
  'step_blocked',
  'step_cancelled',
  'step_timed_out',
  'run_adopted',
  'run_lost',
  'stream_truncated',
  'checkpoint_written',
  'kill_escalated',
  'end_requested',
  'stragglers_ended',
  'checkpoint_failed',
  'step_event_rejected',
  'function_abandoned',
  'runner_warning',
] as const;

/** A kind of lifecycle event this version writes. */
export type LifecycleEventType = (typeof LIFECYCLE_EVENT_TYPES)[number];

/** How much an event matters. */
export type EventLevel = 'debug' | 'info' | 'warn' | 'error';

/** One line of `worker.log`. */
export interface LifecycleEvent {
  /** Its place in the run's one sequence. */
  readonly seq: number;
  /** When it was written, UTC milliseconds. */
  readonly createdAt: number;
  /** How much it matters. */
  readonly level: EventLevel;
  /** What happened: one of `LIFECYCLE_EVENT_TYPES`, or a word of a newer version. */
  readonly type: string;
  /** The same for people. */
  readonly message: string;
  /** The same for programs. */
  readonly data?: Readonly<Record<string, unknown>>;
}

/** One line of `timeline.ndjson`: when which bytes of which log appeared. */
export interface TimelineRecord {
  /** Its place in the run's one sequence. */
  readonly seq: number;
  /** When the bytes were seen, UTC milliseconds. */
  readonly atMs: number;
  /** Whose bytes. */
  readonly channel: OutputChannelName;
  /** Where they start in the channel's log. */
  readonly offset: number;
  /** How many they are. */
  readonly bytes: number;
  /** With secrets: how far the private spool had been read when these bytes were in the log. */
  readonly spool?: number;
}
