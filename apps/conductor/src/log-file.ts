/**
 * Reads a file of lines from its end, or from a place on, however large it is.
 * Invariant: memory holds a block, the line under way and the lines that were asked for; a line still being written is
 * never given out.
 */
import type { FileHandle } from 'node:fs/promises';

/** Whole lines of a file. */
export interface ReadLines {
  /** Oldest first, without their line ends. */
  readonly lines: readonly string[];
  /** Where to go on: the byte behind the last whole line that was looked at. */
  readonly end: number;
}

/**
 * Reads the last lines that are wanted, and no further back than it takes.
 *
 * @param handle - the file; stays open
 * @param count - how many at most
 * @param isWanted - which ones count
 */
export async function readLastLines(
  handle: FileHandle,
  count: number,
  isWanted: (line: string) => boolean,
): Promise<ReadLines> {
  const lines: string[] = [];
  let end: number | undefined;
  for await (const { bytes, at } of piecesBackwards(handle)) {
    // What is behind the last line end is still being written.
    if (end === undefined) end = at;
    else {
      const line = bytes.toString('utf8');
      if (isWanted(line)) lines.push(line);
    }
    if (lines.length >= count) break;
  }
  return { lines: lines.toReversed(), end: end ?? 0 };
}

/**
 * Reads a block of whole lines, more only when one line is longer than that.
 *
 * @param handle - the file; stays open
 * @param offset - where to begin; a file that is shorter was emptied meanwhile and is read from its start
 * @returns no lines when there are no more yet
 */
export async function readLinesFrom(handle: FileHandle, offset: number): Promise<ReadLines> {
  const { size } = await handle.stat();
  const start = size < offset ? 0 : offset;
  for (let length = BLOCK_BYTES; ; length *= 2) {
    const bytes = await readAt(handle, start, Math.min(length, size - start));
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    if (end === 0 && start + length < size) continue;
    const lines = bytes.subarray(0, end).toString('utf8').split('\n').slice(0, -1);
    return { lines, end: start + end };
  }
}

/** What is between line ends, the last piece first, with the place where it begins. */
async function* piecesBackwards(
  handle: FileHandle,
): AsyncGenerator<{ readonly bytes: Buffer; readonly at: number }, void, undefined> {
  // Of the piece under way, the parts that were read so far, last to first.
  let parts: Buffer[] = [];
  for (let blockEnd = (await handle.stat()).size; blockEnd > 0;) {
    const blockStart = Math.max(0, blockEnd - BLOCK_BYTES);
    const block = await readAt(handle, blockStart, blockEnd - blockStart);
    let rest = block;
    for (let newline = rest.lastIndexOf(NEWLINE); newline >= 0; newline = rest.lastIndexOf(NEWLINE)) {
      const bytes = Buffer.concat([rest.subarray(newline + 1), ...parts.toReversed()]);
      yield { bytes, at: blockStart + newline + 1 };
      parts = [];
      rest = rest.subarray(0, newline);
    }
    parts.push(rest);
    blockEnd = blockStart;
  }
  yield { bytes: Buffer.concat(parts.toReversed()), at: 0 };
}

/** All of it, or what there is of it when the file has been cut since. */
async function readAt(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(bytes, filled, length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}

const BLOCK_BYTES = 64 * 1024;
const NEWLINE = 10;
