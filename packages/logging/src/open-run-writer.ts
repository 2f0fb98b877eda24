/**
 * Puts a run's journals, state and output together behind `RunWriter`.
 * Invariant: state.json is written by this process alone, and its counters come from the files, never from memory of a former process.
 */
import { createRealClock } from '@conductor-run/clock';

import { openChannelFile, type ChannelFile } from './channel-file.ts';
import { LoggingError } from './errors.ts';
import { createInProcessOutput } from './in-process-output.ts';
import { openJournal } from './journal.ts';
import { createOutputFollower } from './output-follower.ts';
import { createOutputLimits } from './output-limits.ts';
import { createRealRunFiles } from './run-files.ts';
import type { RunPaths } from './run-paths.ts';
import type { OutputChannelName, RunMeta, RunState } from './run-records.ts';
import { isTerminalStatus } from './run-status.ts';
import { applyPatch, isMove, isProgressOnly } from './state-patch.ts';
import type { ChildDescriptor, OutputChannel, RunWriter, RunWriterOptions } from './run-writer.ts';
import { createStateStore } from './state-store.ts';
import { MIN_STREAM_LIMIT_BYTES } from './stream-limit.ts';

/** @internal Opens the writer of a run directory that is there, at `initial`. */
export function openRunWriter(
  paths: RunPaths,
  meta: RunMeta,
  initial: RunState,
  options: RunWriterOptions,
): RunWriter {
  const { clock = createRealClock(), files = createRealRunFiles(), redactor } = options;
  const journal = openJournal(files, paths, clock, initial.lastEventSeq);
  const openChannel = (channel: OutputChannelName): ChannelFile =>
    openChannelFile({ files, paths, journal, channel, redactor });
  const channels = { stdout: openChannel('stdout'), stderr: openChannel('stderr') };
  const store = createStateStore({ files, path: paths.statePath, clock, initial });
  const claims = new Map<OutputChannelName, 'child' | 'writable'>();
  let status: 'open' | 'finished' | 'closed' = 'open';
  let keptError: LoggingError | undefined;
  let isFailing = false;
  let finishing: Promise<void> | undefined;

  const withCounters = (state: RunState): RunState => ({
    ...state,
    updatedAt: clock.nowMs(),
    lastEventSeq: journal.lastSeq(),
    stdoutBytes: channels.stdout.indexedBytes(),
    stderrBytes: channels.stderr.indexedBytes(),
  });
  const report = (error: unknown): void => {
    if (isFailing) return;
    isFailing = true;
    const failure = writeFailed(paths, error);
    if (options.onError === undefined) keptError ??= failure;
    else options.onError(failure);
  };
  const throwKept = (): void => {
    const error = keptError;
    keptError = undefined;
    if (error !== undefined) throw error;
  };
  /** Runs a write of the foreground: what the system throws becomes ours. */
  const attempt = <T>(write: () => T): T => {
    try {
      const result = write();
      isFailing = false;
      return result;
    } catch (error) {
      throw writeFailed(paths, error);
    }
  };
  const noteProgress = (): void => {
    const state = store.current();
    const next = withCounters(state);
    if (
      next.lastEventSeq === state.lastEventSeq &&
      next.stdoutBytes === state.stdoutBytes &&
      next.stderrBytes === state.stderrBytes
    ) {
      return;
    }
    store.writeSoon(next).catch(report);
  };

  const limits = createOutputLimits({
    files,
    paths,
    maxBytesPerStream: options.maxBytesPerStream ?? DEFAULT_STREAM_LIMIT_BYTES,
    onLimit: options.onLimit ?? 'truncate',
    maxSpoolBytes: options.maxSpoolBytes ?? DEFAULT_SPOOL_BYTES,
    onOutputLimit: options.onOutputLimit,
    onSpoolPressure: options.onSpoolPressure,
    droppedOf: (channel) => store.current().dropped?.[channel],
    onDropped(channel, range) {
      if (status === 'closed') return;
      try {
        const state = store.current();
        const dropped = { ...state.dropped, [channel]: range };
        const droppedBytes = (dropped.stdout?.bytes ?? 0) + (dropped.stderr?.bytes ?? 0);
        store.writeNow(withCounters({ ...state, dropped, droppedBytes }), false);
        journal.appendEvent({
          type: 'stream_truncated',
          level: 'warn',
          message: `${channel} ran over its limit: its middle was given up`,
          data: { channel, ...range },
        });
      } catch (error) {
        report(error);
      }
    },
    onFailure: report,
  });
  const inProcess = createInProcessOutput({ journal, channels, redactor, onFailure: report });
  const follower = createOutputFollower({
    clock,
    onFailure: report,
    onRound(followed) {
      limits.balance(followed);
      for (const file of [channels.stdout, channels.stderr]) {
        void limits.enforce(file);
        void limits.trim(file);
      }
      noteProgress();
    },
  });

  const requireOpen = (verb: string): void => {
    if (status !== 'closed') return;
    throw new LoggingError(
      'closed',
      `Cannot ${verb} run "${paths.runId}": its writer is closed, expected open`,
    );
  };
  const claim = (channel: OutputChannelName, use: 'child' | 'writable'): void => {
    requireOpen('write output of');
    if (status === 'finished') {
      throw new LoggingError(
        'closed',
        `Cannot write output "${channel}" of run "${paths.runId}": output is finished, expected it before finishOutput`,
      );
    }
    const current = claims.get(channel) ?? use;
    if (current !== use) {
      throw new LoggingError(
        'output-claimed',
        `Cannot open output "${channel}" of run "${paths.runId}" as ${use}: in use as ${current}, expected one use`,
      );
    }
    claims.set(channel, use);
  };
  const createOutput = (channel: OutputChannelName): OutputChannel => ({
    channel,
    openForChild() {
      claim(channel, 'child');
      const fd = attempt(() => channels[channel].openForChild());
      follower.follow(channels[channel]);
      return childDescriptor(fd, () => files.close(fd));
    },
    followChild() {
      claim(channel, 'child');
      follower.follow(channels[channel]);
    },
    writable() {
      claim(channel, 'writable');
      follower.start();
      return inProcess.writable(channel);
    },
  });
  const outputs = { stdout: createOutput('stdout'), stderr: createOutput('stderr') };

  const finish = async (): Promise<void> => {
    follower.stop();
    attempt(() => inProcess.end());
    for (const file of [channels.stdout, channels.stderr]) {
      try {
        await file.finish(nextTurn);
      } catch (error) {
        throw writeFailed(paths, error);
      }
      await limits.enforce(file);
    }
    attempt(() => store.writeNow(withCounters(store.current()), false));
  };
  const finishOutput = async (): Promise<void> => {
    requireOpen('finish output of');
    if (status === 'finished') return;
    finishing ??= finish();
    try {
      await finishing;
      status = 'finished';
    } finally {
      finishing = undefined;
    }
    throwKept();
  };

  const flush = async (): Promise<void> => {
    requireOpen('flush');
    throwKept();
    attempt(() => {
      inProcess.flush();
      noteProgress();
      store.flush();
    });
  };

  return {
    paths,
    meta,
    state: () => withCounters(store.current()),
    event(event) {
      requireOpen('add an event to');
      const clean = redactor === undefined ? event : redactor.redactValue(event);
      return attempt(() => {
        // Events and chunks share one sequence: what was written before the event comes before it.
        inProcess.flush();
        const written = journal.appendEvent(clean);
        noteProgress();
        return written;
      });
    },
    output: (channel) => outputs[channel],
    async updateState(patch) {
      requireOpen('update');
      const isEnd = isMove(paths, store.current(), patch) && isTerminalStatus(patch.status ?? 'prepared');
      if (isEnd) await finishOutput();
      throwKept();
      const from = store.current();
      isMove(paths, from, patch);
      const next = withCounters(applyPatch(from, redactor?.redactValue(patch) ?? patch, clock.nowMs()));
      if (isProgressOnly(patch)) {
        await store.writeSoon(next).catch((error: unknown) => {
          throw writeFailed(paths, error);
        });
        return next;
      }
      attempt(() => {
        store.writeNow(next, isEnd);
        if (isEnd) files.syncDirectory(paths.runDir);
      });
      return next;
    },
    flush,
    finishOutput,
    async close() {
      if (status === 'closed') return;
      follower.stop();
      try {
        await finishing;
        await flush();
      } finally {
        status = 'closed';
        channels.stdout.close();
        channels.stderr.close();
        journal.close();
      }
    },
    async [Symbol.asyncDispose]() {
      await this.close();
    },
  };
}

/** @internal Checks what can be checked before anything is made. */
export function checkWriterOptions(options: RunWriterOptions): void {
  const { maxBytesPerStream = DEFAULT_STREAM_LIMIT_BYTES, maxSpoolBytes = DEFAULT_SPOOL_BYTES } = options;
  if (!(maxBytesPerStream >= MIN_STREAM_LIMIT_BYTES)) {
    throw new RangeError(
      `Cannot write run with maxBytesPerStream "${maxBytesPerStream}": expected at least ${MIN_STREAM_LIMIT_BYTES} bytes`,
    );
  }
  if (!(maxSpoolBytes > 0)) {
    throw new RangeError(
      `Cannot write run with maxSpoolBytes "${maxSpoolBytes}": expected more than 0 bytes`,
    );
  }
  if (options.onLimit === 'fail' && options.onOutputLimit === undefined) {
    throw new TypeError('Cannot write run with onLimit "fail": onOutputLimit is absent, expected a function');
  }
}

function writeFailed(paths: RunPaths, error: unknown): LoggingError {
  if (error instanceof LoggingError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new LoggingError(
    'write-failed',
    `Cannot write run "${paths.runId}" in "${paths.runDir}": ${reason}, expected a writable directory with room`,
    { cause: error },
  );
}

function childDescriptor(fd: number, closeFd: () => void): ChildDescriptor {
  let isOpen = true;
  const close = (): void => {
    if (isOpen) closeFd();
    isOpen = false;
  };
  return { fd, close, [Symbol.dispose]: close };
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

const DEFAULT_STREAM_LIMIT_BYTES = 4 * 1024 ** 3;
const DEFAULT_SPOOL_BYTES = 256 * 1024 ** 2;
