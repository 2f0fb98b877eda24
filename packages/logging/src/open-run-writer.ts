/**
 * Puts a run's journals, state and output together behind `RunWriter`.
 * Invariant: state.json is written by this process alone, and its counters come from the files, never from the memory of a former process.
 */
import { LoggingError } from './errors.ts';
import { createFailureReport, type FailureReport } from './failure-report.ts';
import type { NewLifecycleEvent } from './journal.ts';
import { createRunOutput, type RunOutput } from './run-output.ts';
import type { RunPaths } from './run-paths.ts';
import type { DroppedRange, LifecycleEvent, OutputChannelName, RunMeta, RunState } from './run-records.ts';
import { isTerminalStatus } from './run-status.ts';
import type { OutputChannel, RunStatePatch, RunWriter } from './run-writer.ts';
import { applyPatch, isMove, isProgressOnly } from './state-patch.ts';
import { createStateStore, type StateStore } from './state-store.ts';
import { openWriterFiles, writeFailed, type WriterFiles } from './writer-files.ts';
import type { WriterSettings } from './writer-options.ts';

/** @internal Opens the writer of a run directory that is there, at `initial`. */
export function openRunWriter(
  paths: RunPaths,
  meta: RunMeta,
  initial: RunState,
  settings: WriterSettings,
): RunWriter {
  return new RunDirectoryWriter(paths, meta, initial, settings);
}

class RunDirectoryWriter implements RunWriter {
  readonly paths: RunPaths;
  readonly meta: RunMeta;
  readonly #settings: WriterSettings;
  readonly #files: WriterFiles;
  readonly #store: StateStore;
  readonly #output: RunOutput;
  readonly #report: FailureReport;
  #isClosed = false;
  #isFinished = false;
  #finishing: Promise<void> | undefined;

  constructor(paths: RunPaths, meta: RunMeta, initial: RunState, settings: WriterSettings) {
    this.paths = paths;
    this.meta = meta;
    this.#settings = settings;
    this.#report = createFailureReport(settings.onError);
    this.#files = openWriterFiles(paths, settings, initial.lastEventSeq);
    this.#store = createStateStore({ ...settings, path: paths.statePath, initial });
    this.#output = createRunOutput({
      ...this.#files,
      paths,
      settings,
      droppedOf: (channel) => this.#store.current().dropped?.[channel],
      onDropped: (channel, range) => this.#noteDropped(channel, range),
      onSuccess: () => this.#report.succeed(),
      onFailure: (error) => this.#fail(error),
      onRound: () => this.#noteProgress(),
      requireOpen: () => this.#requireOpen('write output of'),
    });
  }

  state(): RunState {
    return this.#withCounters(this.#store.current());
  }

  event(event: NewLifecycleEvent): LifecycleEvent {
    this.#requireOpen('add an event to');
    // Programs go by these words, also where somebody's secret is the same word.
    const { type, level, ...said } = event;
    const clean = { ...(this.#settings.redactor?.redactValue(said) ?? said), type, ...(level && { level }) };
    return this.#attempt(() => {
      // Events and chunks share one sequence: what was written before the event comes before it.
      this.#output.flush();
      const written = this.#files.journal.appendEvent(clean);
      this.#noteProgress();
      return written;
    });
  }

  output(channel: OutputChannelName): OutputChannel {
    return this.#output.channel(channel);
  }

  async updateState(patch: RunStatePatch): Promise<RunState> {
    this.#requireOpen('update');
    const isEnd =
      isMove(this.paths, this.#store.current(), patch) &&
      patch.status !== undefined &&
      isTerminalStatus(patch.status);
    if (isEnd) await this.finishOutput();
    this.#report.throwKept();
    const from = this.#store.current();
    // Another call may have moved the status meanwhile.
    isMove(this.paths, from, patch);
    const { status, ...said } = patch;
    const clean = { ...(this.#settings.redactor?.redactValue(said) ?? said), ...(status && { status }) };
    const next = this.#withCounters(applyPatch(from, clean, this.#settings.clock.nowMs()));
    if (isProgressOnly(patch)) await this.#writeSoon(next);
    else this.#attempt(() => this.#writeNow(next, isEnd));
    return next;
  }

  async flush(): Promise<void> {
    this.#requireOpen('flush');
    this.#report.throwKept();
    this.#attempt(() => {
      this.#output.flush();
      this.#noteProgress();
      this.#store.flush();
    });
  }

  async finishOutput(): Promise<void> {
    this.#requireOpen('finish output of');
    if (this.#isFinished) return;
    this.#finishing ??= this.#finish();
    try {
      await this.#finishing;
    } finally {
      this.#finishing = undefined;
    }
    this.#report.throwKept();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#output.stop();
    try {
      await this.#finishing;
      if (!this.#isClosed) await this.flush();
    } finally {
      this.#closeFiles();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #finish(): Promise<void> {
    try {
      await this.#output.finish();
      this.#store.writeNow(this.state(), false);
    } catch (error) {
      throw writeFailed(this.paths, error);
    }
    this.#isFinished = true;
  }

  #closeFiles(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const { journal, channels } = this.#files;
    channels.stdout.close();
    channels.stderr.close();
    journal.close();
  }

  #withCounters(state: RunState): RunState {
    const { journal, channels } = this.#files;
    return {
      ...state,
      updatedAt: this.#settings.clock.nowMs(),
      lastEventSeq: journal.lastSeq(),
      stdoutBytes: channels.stdout.indexedBytes(),
      stderrBytes: channels.stderr.indexedBytes(),
    };
  }

  #noteProgress(): void {
    const state = this.#store.current();
    const next = this.#withCounters(state);
    const isSame =
      next.lastEventSeq === state.lastEventSeq &&
      next.stdoutBytes === state.stdoutBytes &&
      next.stderrBytes === state.stderrBytes;
    if (!isSame) this.#store.writeSoon(next).catch((error: unknown) => this.#fail(error));
  }

  #noteDropped(channel: OutputChannelName, range: DroppedRange): void {
    if (this.#isClosed) return;
    try {
      const state = this.#store.current();
      const dropped = { ...state.dropped, [channel]: range };
      const droppedBytes = (dropped.stdout?.bytes ?? 0) + (dropped.stderr?.bytes ?? 0);
      this.#store.writeNow(this.#withCounters({ ...state, dropped, droppedBytes }), false);
      this.#files.journal.appendEvent({
        type: 'stream_truncated',
        level: 'warn',
        message: `${channel} ran over its limit: its middle was given up`,
        data: { channel, ...range },
      });
    } catch (error) {
      this.#fail(error);
    }
  }

  #writeNow(next: RunState, isEnd: boolean): void {
    this.#store.writeNow(next, isEnd);
    if (isEnd) this.#settings.files.syncDirectory(this.paths.runDir);
  }

  async #writeSoon(next: RunState): Promise<void> {
    try {
      await this.#store.writeSoon(next);
    } catch (error) {
      throw writeFailed(this.paths, error);
    }
  }

  /** Runs a write of the foreground: what the system throws becomes ours. */
  #attempt<T>(write: () => T): T {
    try {
      const result = write();
      this.#report.succeed();
      return result;
    } catch (error) {
      throw writeFailed(this.paths, error);
    }
  }

  #fail(error: unknown): void {
    this.#report.fail(writeFailed(this.paths, error));
  }

  #requireOpen(verb: string): void {
    if (!this.#isClosed) return;
    throw new LoggingError(
      'closed',
      `Cannot ${verb} run "${this.paths.runId}": its writer is closed, expected open`,
    );
  }
}
