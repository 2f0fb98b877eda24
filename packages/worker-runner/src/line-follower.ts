/**
 * Follows a file that another process appends lines to.
 * Invariant: every complete line is taken once, in order, with the offset after it; a line without its newline waits, and
 * so does one that its taker could not take, with all behind it.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

import type { Clock, Timer } from '@conductor-run/clock';

import { watchPath } from './files.ts';

/** What to follow, and who is told. */
export interface LineFollowerOptions {
  /** The file; must exist. */
  readonly path: string;
  /** Where to start, in bytes; the offset after a line. */
  readonly fromOffset: number;
  /** Longer lines are reported as `undefined` instead of being kept in memory. */
  readonly maxLineBytes: number;
  /** Times the poll that backs up file watching. */
  readonly clock: Clock;
  /**
   * Called for each line, without its newline; `undefined` for one that is too long. Must not throw: `false` says that
   * the line could not be taken; it comes again with the next drain.
   */
  readonly onLine: (line: string | undefined, endOffset: number) => boolean;
}

/** A follower at work. */
export interface LineFollower {
  /** Reads what is there now. Called by itself on changes; call it to be sure after the writer has ended. */
  drain(): void;
  /** Stops watching and closes the file. Does not read once more. */
  close(): void;
}

/**
 * Starts following.
 *
 * @param options - file and callback
 */
export function followLines(options: LineFollowerOptions): LineFollower {
  const fd = openSync(options.path, 'r');
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  let readOffset = options.fromOffset;
  let takenOffset = options.fromOffset;
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  let isTooLong = false;
  let isClosed = false;
  let timer: Timer | undefined;

  const endLine = (endOffset: number): boolean => {
    const line = isTooLong ? undefined : Buffer.concat(pending).toString('utf8');
    pending = [];
    pendingBytes = 0;
    isTooLong = false;
    if (!options.onLine(line, endOffset)) return false;
    takenOffset = endOffset;
    return true;
  };
  const keep = (part: Buffer): void => {
    pendingBytes += part.length;
    if (pendingBytes > options.maxLineBytes) {
      isTooLong = true;
      pending = [];
    } else if (part.length > 0) pending.push(Buffer.from(part));
  };
  const takeChunk = (chunk: Buffer, chunkOffset: number): boolean => {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      keep(chunk.subarray(start, end));
      if (!endLine(chunkOffset + end + 1)) return false;
      start = end + 1;
    }
    keep(chunk.subarray(start));
    return true;
  };
  /** False when there is nothing more, a line could not be taken, or a callback has closed us. */
  const takeNext = (): boolean => {
    if (isClosed || fstatSync(fd).size <= readOffset) return false;
    const bytes = readSync(fd, buffer, 0, CHUNK_BYTES, readOffset);
    const chunkOffset = readOffset;
    readOffset += bytes;
    if (takeChunk(buffer.subarray(0, bytes), chunkOffset)) return bytes > 0;
    readOffset = takenOffset;
    return false;
  };
  const drain = (): void => {
    while (takeNext());
  };
  const watcher = watchPath(options.path, drain);
  const poll = (): void => {
    drain();
    if (!isClosed) timer = options.clock.setTimer(POLL_MS, poll, { keepAlive: false });
  };
  timer = options.clock.setTimer(POLL_MS, poll, { keepAlive: false });

  return {
    drain,
    close() {
      if (isClosed) return;
      isClosed = true;
      timer?.cancel();
      watcher?.close();
      closeSync(fd);
    },
  };
}

const NEWLINE = 10;
const CHUNK_BYTES = 64 * 1024;
const POLL_MS = 250;
