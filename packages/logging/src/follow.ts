/**
 * Follows a run: both journals merged by sequence number, with the bytes the timeline speaks of.
 * Invariant: items come in sequence order, each once. The one writer writes its two journals in that order, so once a
 * number is visible in one journal, every lower one is visible in its own.
 */
import { watch, type FSWatcher } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';

import type { Clock } from '@conductor-run/clock';

import { parseEventLine, parseTimelineLine } from './record-schemas.ts';
import { logPathOf, type RunPaths } from './run-paths.ts';
import type {
  DroppedRange,
  LifecycleEvent,
  OutputChannelName,
  RunState,
  TimelineRecord,
} from './run-records.ts';
import { isTerminalStatus } from './run-status.ts';

/** Which output: one stream, or both as they interleaved. */
export type ChannelSelection = OutputChannelName | 'combined';

/** What to follow. */
export interface FollowOptions {
  /**
   * The first sequence number wanted.
   *
   * @defaultValue 1
   */
  readonly fromSeq?: number;
  /**
   * Whose output. Events come with each.
   *
   * @defaultValue 'combined'
   */
  readonly channel?: ChannelSelection;
  /**
   * Leave out what happened before, UTC milliseconds.
   *
   * @defaultValue 0
   */
  readonly sinceMs?: number;
  /**
   * Whether to wait for more until the run has ended; `false` ends with what there is.
   *
   * @defaultValue true
   */
  readonly live?: boolean;
  /** Ends the iteration, without an error. */
  readonly signal?: AbortSignal;
}

/** Output that appeared. A timeline record of more than 1 MiB comes as several chunks of the same `seq`. */
export interface OutputChunk {
  readonly kind: 'chunk';
  /** Its place in the run's one sequence. */
  readonly seq: number;
  /** When it was seen, UTC milliseconds. */
  readonly atMs: number;
  /** Whose output. */
  readonly channel: OutputChannelName;
  /** Where it starts in the channel's log. */
  readonly offset: number;
  /** The bytes, at most 1 MiB, not decoded. */
  readonly bytes: Uint8Array;
}

/** A lifecycle event. */
export interface FollowedEvent {
  readonly kind: 'event';
  /** Its place in the run's one sequence. */
  readonly seq: number;
  /** When it was written, UTC milliseconds. */
  readonly atMs: number;
  /** The event. */
  readonly event: LifecycleEvent;
}

/** One step of following a run. */
export type FollowItem = OutputChunk | FollowedEvent;

/** @internal */
export async function* followRun(
  paths: RunPaths,
  readState: () => RunState,
  clock: Clock,
  options: FollowOptions,
): AsyncGenerator<FollowItem, void, undefined> {
  const { fromSeq = 1, channel = 'combined', sinceMs = 0, live = true, signal } = options;
  await using journals = await openJournals(paths);
  using alarm = createAlarm(clock, [paths.eventsPath, paths.timelinePath], signal);
  let state = readState();
  for (;;) {
    // The state first: when it is terminal, everything there will ever be is in the journals by now.
    const isLast = !live || isTerminalStatus(state.status);
    const entries = await journals.read(isLast);
    for (const entry of entries) {
      if (aborted(signal)) return;
      if (entry.seq < fromSeq || entry.atMs < sinceMs) continue;
      if (entry.kind === 'event') yield entry;
      else if (channel === 'combined' || channel === entry.record.channel) {
        yield* chunksOf(
          journals.logs[entry.record.channel],
          entry.record,
          state.dropped?.[entry.record.channel],
        );
      }
    }
    if (entries.length === 0) {
      if (isLast && !journals.hasMore()) return;
      if (!isLast) await alarm.next();
    }
    if (aborted(signal)) return;
    state = readState();
  }
}

type Entry =
  | FollowedEvent
  | { readonly kind: 'record'; readonly seq: number; readonly atMs: number; readonly record: TimelineRecord };

interface Journals extends AsyncDisposable {
  readonly logs: Readonly<Record<OutputChannelName, LogReader>>;
  /** New entries in sequence order. Those whose predecessors may not be visible yet wait for a later call. */
  read(isLast: boolean): Promise<readonly Entry[]>;
  /** Whether the last call left something unread for the size of it alone. */
  hasMore(): boolean;
}

async function openJournals(paths: RunPaths): Promise<Journals> {
  const files = await openFiles([
    paths.eventsPath,
    paths.timelinePath,
    logPathOf(paths, 'stdout'),
    logPathOf(paths, 'stderr'),
  ]);
  const [eventsFile, timelineFile, stdoutFile, stderrFile] = files;
  const events = createEntryReader(eventsFile, toEntry);
  const timeline = createEntryReader(timelineFile, toRecord);
  const logs = { stdout: createLogReader(stdoutFile), stderr: createLogReader(stderrFile) };
  let waiting: readonly Entry[] = [];

  /** The highest number below which nothing is missing, after events, timeline and events again were read. */
  const certainSeq = (lastEventSeqBefore: number, isLast: boolean): number => {
    const isAtEnd = timeline.isAtEnd() && events.isAtEnd();
    if (isLast && isAtEnd) return Number.MAX_SAFE_INTEGER;
    return Math.min(
      Math.max(lastEventSeqBefore, timeline.lastSeq()),
      timeline.isAtEnd() ? Number.MAX_SAFE_INTEGER : timeline.lastSeq(),
      events.isAtEnd() ? Number.MAX_SAFE_INTEGER : events.lastSeq(),
    );
  };
  return {
    logs,
    hasMore: () => !(timeline.isAtEnd() && events.isAtEnd()),
    async read(isLast) {
      const before = await events.read();
      const lastEventSeqBefore = events.lastSeq();
      const records = await timeline.read();
      const after = await events.read();
      const certain = certainSeq(lastEventSeqBefore, isLast);
      const found = [...waiting, ...before, ...records, ...after].sort((a, b) => a.seq - b.seq);
      waiting = found.filter((entry) => entry.seq > certain);
      return found.filter((entry) => entry.seq <= certain);
    },
    [Symbol.asyncDispose]: () => closeFiles(files),
  };
}

type FourFiles = readonly [FileHandle, FileHandle, FileHandle, FileHandle];

/** All files or none. */
async function openFiles(paths: readonly [string, string, string, string]): Promise<FourFiles> {
  const opened: FileHandle[] = [];
  const openNext = async (path: string): Promise<FileHandle> => {
    const file = await open(path, 'r');
    opened.push(file);
    return file;
  };
  const [first, second, third, fourth] = paths;
  try {
    return [await openNext(first), await openNext(second), await openNext(third), await openNext(fourth)];
  } catch (error) {
    await closeFiles(opened);
    throw error;
  }
}

async function closeFiles(files: readonly FileHandle[]): Promise<void> {
  await Promise.all(files.map((file) => file.close()));
}

function toEntry(line: string): Entry | undefined {
  const event = parseEventLine(line);
  return event === undefined ? undefined : { kind: 'event', seq: event.seq, atMs: event.createdAt, event };
}

function toRecord(line: string): Entry | undefined {
  const record = parseTimelineLine(line);
  return record === undefined ? undefined : { kind: 'record', seq: record.seq, atMs: record.atMs, record };
}

interface EntryReader {
  /** Entries of whole lines that were appended since the last call, at most a block's worth. */
  read(): Promise<readonly Entry[]>;
  /** Whether the last call reached the end of the file. */
  isAtEnd(): boolean;
  /** The highest sequence number read. */
  lastSeq(): number;
}

function createEntryReader(handle: FileHandle, parse: (line: string) => Entry | undefined): EntryReader {
  let position = 0;
  let block = Buffer.allocUnsafe(LINE_BLOCK_BYTES);
  let isAtEnd = false;
  let lastSeq = 0;
  return {
    isAtEnd: () => isAtEnd,
    lastSeq: () => lastSeq,
    async read() {
      const { bytesRead } = await handle.read(block, 0, block.byteLength, position);
      const end = block.subarray(0, bytesRead).lastIndexOf(NEWLINE) + 1;
      isAtEnd = bytesRead < block.byteLength;
      const entries =
        end === 0
          ? []
          : block
              .toString('utf8', 0, end - 1)
              .split('\n')
              .flatMap((line) => parse(line) ?? []);
      // A line longer than the block: the next call reads it with a larger one.
      if (end === 0 && !isAtEnd) block = Buffer.allocUnsafe(2 * block.byteLength);
      position += end;
      lastSeq = entries.at(-1)?.seq ?? lastSeq;
      return entries;
    },
  };
}

async function* chunksOf(
  log: LogReader,
  record: TimelineRecord,
  dropped: DroppedRange | undefined,
): AsyncGenerator<OutputChunk, void, undefined> {
  const end = record.offset + record.bytes;
  let offset = record.offset;
  while (offset < end) {
    if (dropped !== undefined && offset >= dropped.offset && offset < dropped.offset + dropped.bytes) {
      offset = dropped.offset + dropped.bytes;
      continue;
    }
    const stop = dropped !== undefined && offset < dropped.offset ? Math.min(end, dropped.offset) : end;
    const bytes = await log.read(offset, stop - offset);
    // Only a power cut leaves the timeline ahead of its log.
    if (bytes.byteLength === 0) return;
    const { seq, atMs, channel } = record;
    yield { kind: 'chunk', seq, atMs, channel, offset, bytes };
    offset += bytes.byteLength;
  }
}

interface LogReader {
  /** Up to `length` bytes from `offset`, at most a chunk; none at the end. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** Reads a log in blocks, so that a million one-line records do not take a million reads. Written bytes never change. */
function createLogReader(handle: FileHandle): LogReader {
  let blockOffset = 0;
  let block: Buffer = Buffer.alloc(0);
  return {
    async read(offset, length) {
      let from = offset - blockOffset;
      if (from < 0 || from >= block.byteLength) {
        const size = Math.min(CHUNK_BYTES, Math.max(length, READ_AHEAD_BYTES));
        const buffer = Buffer.allocUnsafe(size);
        const { bytesRead } = await handle.read(buffer, 0, size, offset);
        block = buffer.subarray(0, bytesRead);
        blockOffset = offset;
        from = 0;
      }
      return block.subarray(from, from + Math.min(length, CHUNK_BYTES));
    },
  };
}

interface Alarm extends Disposable {
  /** Resolves when one of the files changed since the last call, on abort, and after `POLL_INTERVAL_MS` in any case. */
  next(): Promise<void>;
}

/** fs.watch says when a journal grows; where it cannot, or misses something, the poll does. */
function createAlarm(clock: Clock, files: readonly string[], signal: AbortSignal | undefined): Alarm {
  let wake: (() => void) | undefined;
  let hasRung = false;
  const ring = (): void => {
    hasRung = true;
    wake?.();
  };
  const watchers = files.flatMap((path) => tryWatch(path, ring));
  signal?.addEventListener('abort', ring);
  return {
    async next() {
      if (!hasRung && !aborted(signal)) {
        await new Promise<void>((resolve) => {
          const timer = clock.setTimer(POLL_INTERVAL_MS, resolve);
          wake = () => {
            timer.cancel();
            resolve();
          };
        });
      }
      wake = undefined;
      hasRung = false;
    },
    [Symbol.dispose]() {
      signal?.removeEventListener('abort', ring);
      for (const watcher of watchers) watcher.close();
    },
  };
}

/** No watcher where the system has none left (inotify limits) or none at all: the poll is enough. */
function tryWatch(path: string, ring: () => void): readonly FSWatcher[] {
  try {
    const watcher = watch(path, { persistent: true }, ring);
    watcher.on('error', ring);
    return [watcher];
  } catch {
    return [];
  }
}

/** A function, since the signal may abort while a generator is suspended, which narrowing does not know. */
function aborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

const NEWLINE = 10;
const LINE_BLOCK_BYTES = 256 * 1024;
const CHUNK_BYTES = 1024 * 1024;
const READ_AHEAD_BYTES = 64 * 1024;
/** With the writer's 50 ms sampling, output is at most 100 ms old when it arrives by poll alone. */
const POLL_INTERVAL_MS = 50;
