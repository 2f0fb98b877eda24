/**
 * Reads a run directory, live or ended, also while another process writes it.
 * Invariant: reading never changes a file, and never waits for the writer except in `follow` and `lines`.
 */
import { readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';

import { createRealClock, type Clock } from '@conductor-run/clock';

import { followRun, type FollowItem, type FollowOptions } from './follow.ts';
import type { LogLine } from './line-assembler.ts';
import { readLines, type LinesOptions } from './log-lines.ts';
import { parseEventLine, parseRunMeta, parseRunState } from './record-schemas.ts';
import { logPathOf, refuseLink, toRunError, type RunPaths } from './run-paths.ts';
import type { LifecycleEvent, OutputChannelName, RunMeta, RunState } from './run-records.ts';
import { readTail, type TailOptions, type TailResult } from './tail.ts';

/** Reads one run. Holds nothing open between calls. */
export interface RunReader {
  /** The run's files. */
  readonly paths: RunPaths;
  /** Who the run is. */
  meta(): RunMeta;
  /**
   * Where it stands, as the writer last said.
   *
   * @throws {@link LoggingError} with code `run-not-found` or `record-unreadable`
   */
  state(): RunState;
  /** The lifecycle events after `afterSeq` (default 0: all), oldest first. A torn last line is left out. */
  events(options?: EventsOptions): Promise<readonly LifecycleEvent[]>;
  /** The last lines, read from the end: as quick on a large log as on a small one. */
  tail(options?: TailOptions): Promise<TailResult>;
  /**
   * Output and events in the order of their sequence, from the start or from `fromSeq`, and then as they come, until the
   * run has ended. Output written while no process writes the run's timeline arrives once one does again (`reopenRun`).
   */
  follow(options?: FollowOptions): AsyncGenerator<FollowItem, void, undefined>;
  /** Lines for people: the last ones, those since an instant, or all, and with `follow` those to come until the run has ended. */
  lines(options?: LinesOptions): AsyncGenerator<LogLine, void, undefined>;
  /**
   * Bytes of a log, as they are; fewer at its end. Bytes that were dropped read as NUL.
   *
   * @param channel - whose log
   * @param offset - from the start of the log, in bytes
   * @param length - at most how many bytes
   */
  readRange(channel: OutputChannelName, offset: number, length: number): Promise<Buffer>;
}

/** Which events to read. */
export interface EventsOptions {
  /**
   * Only events with a higher sequence number.
   *
   * @defaultValue 0
   */
  readonly afterSeq?: number;
}

/** How a run is read. */
export interface OpenRunOptions {
  /**
   * Where polling takes its time from.
   *
   * @defaultValue the real clock
   */
  readonly clock?: Clock;
}

/**
 * Opens a run for reading. There is nothing to close.
 *
 * @param paths - from `resolveRunPaths`
 * @param options - where time comes from
 * @throws {@link LoggingError} with code `run-not-found`, `record-unreadable`, `layout-unsupported`, `unsafe-path`
 */
export function openRun(paths: RunPaths, options: OpenRunOptions = {}): RunReader {
  const { clock = createRealClock() } = options;
  refuseLink(paths.runDir);
  const meta = parseRunMeta(paths.metaPath, readRunFile(paths, paths.metaPath));
  const state = (): RunState => parseRunState(paths.statePath, readRunFile(paths, paths.statePath));
  return {
    paths,
    meta: () => meta,
    state,
    async events({ afterSeq = 0 } = {}) {
      const lines = readRunFile(paths, paths.eventsPath).split('\n').slice(0, -1);
      return lines.flatMap((line) => {
        const event = parseEventLine(line);
        return event !== undefined && event.seq > afterSeq ? [event] : [];
      });
    },
    tail: async (tailOptions = {}) => readTail(paths, state(), tailOptions),
    follow: (followOptions = {}) => followRun(paths, state, clock, followOptions),
    lines: (linesOptions = {}) => readLines(paths, state, clock, linesOptions),
    readRange: (channel, offset, length) => readRange(paths, channel, offset, length),
  };
}

function readRunFile(paths: RunPaths, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw toRunError(paths, error);
  }
}

async function readRange(
  paths: RunPaths,
  channel: OutputChannelName,
  offset: number,
  length: number,
): Promise<Buffer> {
  if (!Number.isSafeInteger(offset) || offset < 0 || !Number.isSafeInteger(length) || length < 0) {
    throw new RangeError(
      `Cannot read range "${offset}+${length}" of ${channel}: expected whole, non-negative numbers of bytes`,
    );
  }
  await using file = await open(logPathOf(paths, channel), 'r');
  const { size } = await file.stat();
  const buffer = Buffer.alloc(Math.max(0, Math.min(length, size - offset)));
  let filled = 0;
  while (filled < buffer.byteLength) {
    const { bytesRead } = await file.read(buffer, filled, buffer.byteLength - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}
