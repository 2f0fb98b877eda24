/**
 * What the one writer of a run directory offers: events, state, and both output channels.
 * Invariant: everything a call reported done is in a file; killing this process at any instant loses only what was not reported.
 */
import type { Writable } from 'node:stream';

import type { Clock } from '@conductor-run/clock';

import type { LoggingError } from './errors.ts';
import type { NewLifecycleEvent } from './journal.ts';
import type { Redactor } from './redactor.ts';
import type { RunFiles } from './run-files.ts';
import type { RunPaths } from './run-paths.ts';
import type { LifecycleEvent, OutputChannelName, ProcessIdentity, RunMeta, RunState } from './run-records.ts';
import type { RunStatus } from './run-status.ts';

/** A file for a child to write to. */
export interface ChildDescriptor extends Disposable {
  /** For the child's `stdio`. Opened for appending. */
  readonly fd: number;
  /** Closes this process's copy; right after the spawn. The child keeps its own. Closing twice is fine. */
  close(): void;
}

/** One output channel of a run. Serves children or in-process writers, not both. */
export interface OutputChannel {
  /** Which. */
  readonly channel: OutputChannelName;
  /**
   * Opens a file for a child's stdout or stderr and starts following it. Without a redactor that is the log itself, so
   * the child's output survives the death of everybody else; with one it is a private spool.
   *
   * @throws {@link LoggingError} with code `output-claimed` after `writable()`, `closed` after `finishOutput` or `close`
   */
  openForChild(): ChildDescriptor;
  /** Follows what children write without opening anything: for a child that outlived the process which started it. Idempotent. */
  followChild(): void;
  /**
   * A stream for writers in this process. The timeline of its chunks is exact, also across both channels. A write's
   * callback says the bytes are in the file, unless `error` follows; errors also reach `onError`, and need no listener.
   * The same stream each time; a fresh one once it has ended or failed.
   *
   * @throws {@link LoggingError} with code `output-claimed` after `openForChild()`, `closed` after `finishOutput` or `close`
   */
  writable(): Writable;
}

/** A change of state.json. A field left out stays; nothing can be unset. */
export interface RunStatePatch {
  /** The new status; must be allowed by `RUN_TRANSITIONS`. */
  readonly status?: RunStatus;
  /** The number of the newest checkpoint. */
  readonly checkpointSeq?: number;
  /** One readable sentence on how the run stands or ended. */
  readonly summary?: string;
  /** The step's exit code. */
  readonly exitCode?: number;
  /** The signal that ended the step. */
  readonly signal?: string;
  /** The step's process. */
  readonly process?: ProcessIdentity;
  /** The process that watches the step. */
  readonly supervisor?: ProcessIdentity;
}

/** A stream ran over its limit. */
export interface OutputLimitHit {
  /** Whose output. */
  readonly channel: OutputChannelName;
  /** The size of its log. */
  readonly bytes: number;
  /** The limit it ran over. */
  readonly limitBytes: number;
}

/** Writes one run. Owned by one process at a time; who that is, is settled outside (by the lease of its job). */
export interface RunWriter extends AsyncDisposable {
  /** The run's files. */
  readonly paths: RunPaths;
  /** What meta.json says. */
  readonly meta: RunMeta;
  /** The newest state, on disk or about to be. */
  state(): RunState;
  /**
   * Appends a lifecycle event. Synchronous: when it returns, the line is in worker.log. Followers end with the terminal
   * status: the last event of a run comes after `finishOutput` and before that.
   *
   * @throws {@link LoggingError} with code `write-failed`, `closed`
   */
  event(event: NewLifecycleEvent): LifecycleEvent;
  /** One of the two channels; the same object each time. */
  output(channel: OutputChannelName): OutputChannel;
  /**
   * Changes state.json and resolves when it is on disk. At once, but for a patch of `summary` and `checkpointSeq` alone,
   * which may wait 250 ms. A terminal status first finishes the output, and is fsynced.
   *
   * @throws {@link LoggingError} with code `illegal-transition`, `write-failed`, `closed`
   */
  updateState(patch: RunStatePatch): Promise<RunState>;
  /** Resolves when every byte and every change taken so far is in a file. What a redactor holds back is not counted. */
  flush(): Promise<void>;
  /**
   * Ends the output: takes in what the child has written up to now, writes out what the redactor held back, removes the
   * spools and records the byte counts. Call it when the child has exited, also after `reopenRun`; a terminal
   * `updateState` calls it by itself. Idempotent. Killed halfway, the next `reopenRun` and `finishOutput` do the rest.
   *
   * @throws {@link LoggingError} with code `write-failed`
   */
  finishOutput(): Promise<void>;
  /**
   * Stops following, writes what is waiting and closes the files. The run itself goes on: a child keeps writing, and
   * `reopenRun` continues. Idempotent.
   */
  close(): Promise<void>;
}

/** How a run is written. */
export interface RunWriterOptions {
  /**
   * Where time comes from.
   *
   * @defaultValue the real clock
   */
  readonly clock?: Clock;
  /** Takes secrets out of output, events, summaries and meta.json. Without one a child writes straight into the log. */
  readonly redactor?: Redactor;
  /**
   * How large a log may grow, from 64 KiB. It is looked at every 50 ms, so a fast child runs over it for a moment.
   *
   * @defaultValue 4 GiB
   */
  readonly maxBytesPerStream?: number;
  /**
   * What happens then: `truncate` gives up the middle of the log and keeps its head and newest part, `fail` calls
   * `onOutputLimit` and leaves the log alone. Where the file system cannot give up a middle, `truncate` becomes `fail`
   * after `onError` with code `limit-unenforceable`.
   *
   * @defaultValue 'truncate'
   */
  readonly onLimit?: 'truncate' | 'fail';
  /** Called once per channel when the step has to end for its output. Must not throw. */
  readonly onOutputLimit?: (hit: OutputLimitHit) => void;
  /**
   * How far a child may be ahead of the redactor, in bytes.
   *
   * @defaultValue 256 MiB
   */
  readonly maxSpoolBytes?: number;
  /**
   * Asks for the child to be stopped (`pause`: it is ahead by more than `maxSpoolBytes`) and continued (`resume`: by
   * less than half of it). Called with changes only, and once after following starts, so that a child which a dead
   * process left paused goes on. Must not throw.
   */
  readonly onSpoolPressure?: (pressure: 'pause' | 'resume') => void;
  /**
   * Called when following, sampling or an in-process stream fails in the background, such as on a full disk: once per
   * failure, and again only after something succeeded. Must not throw.
   *
   * @defaultValue the error is kept and thrown by the next `flush`, `finishOutput` or `updateState`
   */
  readonly onError?: (error: LoggingError) => void;
  /**
   * The file system; a test passes one that fails.
   *
   * @defaultValue the real one
   */
  readonly files?: RunFiles;
}
