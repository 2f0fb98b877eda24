/**
 * Turns chunks of two interleaved streams into lines for people.
 * Invariant: memory stays bounded however long a line is, and no character is cut in two.
 */
import { stripAnsi } from './strip-ansi.ts';
import type { OutputChannelName } from './run-records.ts';

/** One line of output, decoded as UTF-8, without its newline. */
export interface LogLine {
  /** Whose output. */
  readonly channel: OutputChannelName;
  /** Where the line starts in the channel's log, in bytes. */
  readonly offset: number;
  /** When its first bytes were seen, UTC milliseconds; absent when the timeline does not know. */
  readonly atMs?: number;
  /** The text. Invalid UTF-8 shows as U+FFFD. */
  readonly text: string;
  /** False for a piece of a line: its end is missing (no newline yet, or cut after 64 KiB) or its start was not read. */
  readonly isWhole: boolean;
}

/** Whether terminal escape sequences are shown or taken out. */
export type AnsiMode = 'keep' | 'strip';

/** @internal Bytes on their way into lines. */
export interface LinePiece {
  readonly channel: OutputChannelName;
  readonly offset: number;
  readonly atMs?: number;
  readonly bytes: Uint8Array;
  /** The bytes before these were not read and are not a newline. */
  readonly startsInside?: boolean;
}

/** @internal */
export interface LineAssembler {
  /** Takes bytes and returns the lines they complete. */
  push(piece: LinePiece): readonly LogLine[];
  /** Returns unterminated lines. */
  end(): readonly LogLine[];
}

/** @internal */
export function createLineAssembler(ansi: AnsiMode): LineAssembler {
  const open = new Map<OutputChannelName, OpenLine>();

  const complete = (channel: OutputChannelName, line: OpenLine, isEnded: boolean): LogLine => {
    const text = Buffer.concat(line.parts).toString('utf8').replace(/\r$/, '');
    return {
      channel,
      offset: line.offset,
      ...(line.atMs === undefined ? {} : { atMs: line.atMs }),
      text: ansi === 'strip' ? stripAnsi(text) : text,
      isWhole: isEnded && line.isFromStart,
    };
  };
  const pushOne = (piece: LinePiece, from: number, to: number, lines: LogLine[]): void => {
    let start = from;
    while (start < to) {
      const line = open.get(piece.channel) ?? startLine(piece, start);
      open.set(piece.channel, line);
      const room = MAX_LINE_BYTES - line.byteLength;
      const end = Math.min(to, start + room);
      line.parts.push(piece.bytes.subarray(start, end));
      line.byteLength += end - start;
      start = end;
      if (line.byteLength < MAX_LINE_BYTES) continue;
      // The last character may be cut: its bytes start the next piece.
      const joined = Buffer.concat(line.parts);
      const whole = wholeCharacters(joined);
      line.parts = [joined.subarray(0, whole)];
      lines.push(complete(piece.channel, line, false));
      open.set(piece.channel, {
        ...startLine(piece, start),
        offset: line.offset + whole,
        isFromStart: false,
        parts: [joined.subarray(whole)],
        byteLength: joined.byteLength - whole,
      });
    }
  };

  return {
    push(piece) {
      const lines: LogLine[] = [];
      if (piece.startsInside === true && !open.has(piece.channel)) {
        open.set(piece.channel, startLine(piece, 0));
      }
      const bytes = Buffer.from(piece.bytes.buffer, piece.bytes.byteOffset, piece.bytes.byteLength);
      let start = 0;
      for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, start)) {
        pushOne(piece, start, at, lines);
        const line = open.get(piece.channel) ?? startLine(piece, start);
        open.delete(piece.channel);
        lines.push(complete(piece.channel, line, true));
        start = at + 1;
      }
      pushOne(piece, start, bytes.byteLength, lines);
      return lines;
    },
    end() {
      const lines = Array.from(open, ([channel, line]) => complete(channel, line, false));
      open.clear();
      return lines;
    },
  };
}

interface OpenLine {
  readonly offset: number;
  readonly atMs: number | undefined;
  readonly isFromStart: boolean;
  parts: Uint8Array[];
  byteLength: number;
}

function startLine(piece: LinePiece, at: number): OpenLine {
  return {
    offset: piece.offset + at,
    atMs: piece.atMs,
    isFromStart: piece.startsInside !== true,
    parts: [],
    byteLength: 0,
  };
}

/** How many leading bytes hold whole UTF-8 characters. */
function wholeCharacters(bytes: Uint8Array): number {
  const { length } = bytes;
  for (let back = 1; back <= Math.min(3, length); back++) {
    const byte = bytes[length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return needed > back ? length - back : length;
  }
  return length;
}

const NEWLINE = 10;
const MAX_LINE_BYTES = 64 * 1024;
