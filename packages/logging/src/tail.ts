/**
 * Reads the last lines of a run from the end, so that the size of the log does not matter.
 * Invariant: reads no more than `maxBytes` of output, however long the lines are.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

import type { ChannelSelection } from './follow.ts';
import { readTimelineEnd, timelineBackwards } from './journal-tail.ts';
import { createLineAssembler, type AnsiMode, type LinePiece, type LogLine } from './line-assembler.ts';
import { logPathOf, type RunPaths } from './run-paths.ts';
import { OUTPUT_CHANNELS, type OutputChannelName, type RunState } from './run-records.ts';

/** How much of the end to read. */
export interface TailOptions {
  /**
   * How many lines at most, from 0.
   *
   * @defaultValue 100
   */
  readonly lines?: number;
  /**
   * Whose output; `combined` interleaves as the timeline says.
   *
   * @defaultValue 'combined'
   */
  readonly channel?: ChannelSelection;
  /**
   * How many bytes of output to read at most, from 1.
   *
   * @defaultValue 1 MiB
   */
  readonly maxBytes?: number;
  /**
   * Whether terminal escape sequences stay.
   *
   * @defaultValue 'keep'
   */
  readonly ansi?: AnsiMode;
}

/** The end of a run's output. */
export interface TailResult {
  /** Oldest first. */
  readonly lines: readonly LogLine[];
  /** Whether `maxBytes`, or bytes dropped from the log, ended the reading before there were enough lines. */
  readonly isTruncated: boolean;
}

/** @internal The pieces of the end, and where it ends, for whoever goes on from there. */
export interface CollectedTail {
  /** Oldest first. */
  readonly pieces: readonly LinePiece[];
  readonly isTruncated: boolean;
  /** The highest timeline number seen; 0 when there is none. */
  readonly lastSeq: number;
  /** The end of what was read of each log. */
  readonly ends: Readonly<Record<OutputChannelName, number>>;
}

/** @internal */
export function readTail(paths: RunPaths, state: RunState, options: TailOptions): TailResult {
  const { lines: maxLines = DEFAULT_LINES, ansi = 'keep' } = options;
  const { pieces, isTruncated } = collectTail(paths, state, options);
  const assembler = createLineAssembler(ansi);
  const lines = [...pieces.flatMap((piece) => assembler.push(piece)), ...assembler.end()];
  return { lines: lastLines(lines, maxLines), isTruncated: isTruncated && lines.length <= maxLines };
}

/** @internal The last `count`, none for 0. */
export function lastLines(lines: readonly LogLine[], count: number): readonly LogLine[] {
  return count === 0 ? [] : lines.slice(-count);
}

/** @internal */
export function collectTail(paths: RunPaths, state: RunState, options: TailOptions): CollectedTail {
  const { lines = DEFAULT_LINES, channel = 'combined', maxBytes = DEFAULT_MAX_BYTES } = options;
  if (!Number.isSafeInteger(lines) || lines < 0) {
    throw new RangeError(`Cannot read "${lines}" lines: expected a whole number of at least 0`);
  }
  if (!(maxBytes >= 1)) throw new RangeError(`Cannot read "${maxBytes}" bytes: expected at least 1`);
  const logs = openLogs(paths);
  try {
    const walk = createWalk(logs, state, lines, maxBytes);
    const segments = segmentsBackwards(paths, logs);
    let lastSeq = 0;
    for (const segment of segments) {
      lastSeq = Math.max(lastSeq, segment.seq);
      if (channel !== 'combined' && channel !== segment.channel) continue;
      if (!walk.take(segment)) break;
    }
    const pieces = walk.finish();
    return {
      pieces,
      isTruncated: walk.isTruncated(),
      lastSeq,
      ends: { stdout: logs.stdout.size, stderr: logs.stderr.size },
    };
  } finally {
    closeSync(logs.stdout.fd);
    closeSync(logs.stderr.fd);
  }
}

interface OpenLog {
  readonly fd: number;
  readonly size: number;
}

type OpenLogs = Readonly<Record<OutputChannelName, OpenLog>>;

/** Bytes that appeared together; `seq` 0 for those the timeline does not know yet. */
interface Segment {
  readonly seq: number;
  readonly channel: OutputChannelName;
  readonly offset: number;
  readonly end: number;
  readonly atMs?: number;
}

function openLogs(paths: RunPaths): OpenLogs {
  const openLog = (channel: OutputChannelName): OpenLog => {
    const fd = openSync(logPathOf(paths, channel), 'r');
    return { fd, size: fstatSync(fd).size };
  };
  return { stdout: openLog('stdout'), stderr: openLog('stderr') };
}

/** What the timeline does not know yet, then its records, newest first, clipped to what the logs hold. */
function* segmentsBackwards(paths: RunPaths, logs: OpenLogs): Generator<Segment, void, undefined> {
  const { lastRecords } = readTimelineEnd(paths);
  for (const channel of OUTPUT_CHANNELS.toReversed()) {
    const last = lastRecords[channel];
    const offset = last === undefined ? 0 : last.offset + last.bytes;
    const end = logs[channel].size;
    if (offset < end) yield { seq: 0, channel, offset, end };
  }
  for (const { seq, channel, offset, bytes, atMs } of timelineBackwards(paths)) {
    const end = Math.min(offset + bytes, logs[channel].size);
    if (offset < end) yield { seq, channel, offset, end, atMs };
  }
}

interface Walk {
  /** Reads a segment from its end; false when there is enough. */
  take(segment: Segment): boolean;
  /** The pieces, oldest first, each channel starting at a line's start if the budget allows. */
  finish(): readonly LinePiece[];
  isTruncated(): boolean;
}

function createWalk(logs: OpenLogs, state: RunState, maxLines: number, maxBytes: number): Walk {
  const pieces: LinePiece[] = [];
  const firstPieces = new Map<OutputChannelName, LinePiece>();
  // One more line of each channel than asked for, whose start may be missing.
  let newlinesLeft = maxLines + 2;
  let bytesLeft = maxLines === 0 ? 0 : maxBytes;
  let isTruncated = false;

  /** Where the kept part of a log that ends at `end` starts: bytes before it were dropped. */
  const floorOf = (channel: OutputChannelName, end: number): number => {
    const dropped = state.dropped?.[channel];
    if (dropped === undefined || end <= dropped.offset) return 0;
    return Math.min(end, dropped.offset + dropped.bytes);
  };
  const readPiece = (segment: Segment, end: number): LinePiece => {
    const floor = Math.max(segment.offset, floorOf(segment.channel, end));
    const offset = Math.max(floor, end - Math.min(BLOCK_BYTES, bytesLeft));
    const bytes = Buffer.allocUnsafe(end - offset);
    readSync(logs[segment.channel].fd, bytes, 0, bytes.byteLength, offset);
    bytesLeft -= bytes.byteLength;
    const { channel, atMs } = segment;
    return { channel, offset, bytes, ...(atMs === undefined ? {} : { atMs }) };
  };
  const canReadBefore = (channel: OutputChannelName, end: number): boolean =>
    bytesLeft > 0 && floorOf(channel, end) < end;
  const take = (segment: Segment): boolean => {
    let end = segment.end;
    while (end > segment.offset) {
      if (newlinesLeft <= 0) return false;
      if (!canReadBefore(segment.channel, end)) {
        isTruncated = true;
        return false;
      }
      const piece = readPiece(segment, end);
      pieces.push(piece);
      firstPieces.set(segment.channel, piece);
      newlinesLeft -= countNewlines(piece.bytes);
      end = piece.offset;
    }
    return true;
  };
  /** What comes before a channel's first piece, back to a line's start or as far as the budget goes. */
  const completeFirstLine = (first: LinePiece): readonly LinePiece[] => {
    const { channel, atMs } = first;
    const added: LinePiece[] = [];
    let end = first.offset;
    let isAtStart = end === 0;
    while (!isAtStart && canReadBefore(channel, end)) {
      const piece = readPiece(
        { seq: 0, channel, offset: 0, end, ...(atMs === undefined ? {} : { atMs }) },
        end,
      );
      const lineStart = piece.bytes.lastIndexOf(NEWLINE) + 1;
      end = piece.offset + lineStart;
      isAtStart = lineStart > 0 || end === 0;
      added.unshift({ ...piece, offset: end, bytes: piece.bytes.subarray(lineStart) });
    }
    if (isAtStart) return added;
    isTruncated = true;
    // An empty piece says that the line's start is missing.
    return [{ channel, offset: end, bytes: EMPTY, startsInside: true }, ...added];
  };
  return {
    take,
    finish: () => [...Array.from(firstPieces.values(), completeFirstLine).flat(), ...pieces.toReversed()],
    isTruncated: () => isTruncated,
  };
}

function countNewlines(bytes: Uint8Array): number {
  let count = 0;
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) count += 1;
  return count;
}

const DEFAULT_LINES = 100;
const DEFAULT_MAX_BYTES = 1024 * 1024;
const BLOCK_BYTES = 64 * 1024;
const NEWLINE = 10;
const EMPTY = Buffer.alloc(0);
