/**
 * Takes whole lines out of a file that may still grow, however large it is.
 * Invariant: each line is given once, in order, with the offset after it; what has no newline yet waits for it.
 */
import { readSync } from 'node:fs';

/** One line. */
export interface Line {
  /** Without its newline; `undefined` for one that is too long to be kept in memory. */
  readonly text: string | undefined;
  /** Where the next one begins, in bytes. */
  readonly endOffset: number;
}

/** What to read. */
export interface LineReaderOptions {
  /** The open file; closed by whoever opened it. */
  readonly fd: number;
  /** Where to start, in bytes; the offset after a line. */
  readonly fromOffset: number;
  /**
   * How long a line may be, in bytes.
   *
   * @defaultValue no bound
   */
  readonly maxLineBytes?: number;
  /**
   * Nothing behind this offset is read.
   *
   * @defaultValue no bound
   */
  readonly maxOffset?: number;
  /**
   * Whether the file's next writer may cut off a torn end: then what has no newline yet is read anew each time.
   *
   * @defaultValue false: the file only grows
   */
  readonly mayBeCut?: boolean;
}

/** A reader. */
export interface LineReader {
  /** The next line, or `undefined` when there is no whole one yet. Throws what reading throws. */
  next(): Line | undefined;
}

/**
 * Makes a reader.
 *
 * @param options - which file, and from where
 */
export function createLineReader(options: LineReaderOptions): LineReader {
  const { fd, fromOffset, maxLineBytes = Infinity, maxOffset = Infinity, mayBeCut = false } = options;
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  let start = 0;
  let end = 0;
  let readOffset = fromOffset;
  let takenOffset = fromOffset;
  let pending: Buffer[] = [];
  let pendingBytes = 0;

  const keepRest = (): void => {
    pendingBytes += end - start;
    if (pendingBytes > maxLineBytes) pending = [];
    else if (end > start) pending.push(Buffer.from(chunk.subarray(start, end)));
    start = end;
  };
  const refill = (): boolean => {
    const wanted = Math.min(CHUNK_BYTES, maxOffset - readOffset);
    end = wanted <= 0 ? 0 : readSync(fd, chunk, 0, wanted, readOffset);
    start = 0;
    readOffset += end;
    return end > 0;
  };
  const textUpTo = (newline: number): string | undefined => {
    if (pendingBytes + newline - start > maxLineBytes) return undefined;
    if (pendingBytes === 0) return chunk.toString('utf8', start, newline);
    return Buffer.concat([...pending, chunk.subarray(start, newline)]).toString('utf8');
  };
  const findNewline = (): number | undefined => {
    const at = chunk.indexOf(NEWLINE, start);
    return at >= 0 && at < end ? at : undefined;
  };
  const take = (newline: number): Line => {
    const text = textUpTo(newline);
    takenOffset = readOffset - end + newline + 1;
    start = newline + 1;
    pending = [];
    pendingBytes = 0;
    return { text, endOffset: takenOffset };
  };
  const forgetTail = (): void => {
    readOffset = takenOffset;
    start = 0;
    end = 0;
    pending = [];
    pendingBytes = 0;
  };
  return {
    next() {
      if (mayBeCut && findNewline() === undefined) forgetTail();
      for (;;) {
        const newline = findNewline();
        if (newline !== undefined) return take(newline);
        keepRest();
        if (!refill()) return undefined;
      }
    },
  };
}

const NEWLINE = 10;
const CHUNK_BYTES = 64 * 1024;
