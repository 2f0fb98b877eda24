/**
 * Follows a file that another process appends lines to, and keeps it within bounds.
 * Invariant: every complete line is taken once, in order, with the offset after it; one that its taker could not take
 * waits, with all behind it. However much is written, this process is held up for one slice at a time.
 */
import { closeSync, fstatSync, ftruncateSync, openSync, type FSWatcher } from 'node:fs';

import type { Clock, Timer } from '@conductor-run/clock';

import { watchPath } from './files.ts';
import { createLineReader, type Line } from './line-reader.ts';

/** How long a piece of work may hold up the event loop, in ms. */
export const SLICE_MS = 10;
/** What everybody else has between two such pieces, in ms. */
export const REST_MS = 5;

/** What to follow, and who is told. */
export interface LineFollowerOptions {
  /** The file; must exist. */
  readonly path: string;
  /** Where to start, in bytes; the offset after a line. */
  readonly fromOffset: number;
  /** Longer lines are reported as `undefined` instead of being kept in memory. */
  readonly maxLineBytes: number;
  /** How large the file may grow: what lies beyond is not read, and cut off at each look. */
  readonly maxBytes: number;
  /** Times the looks. */
  readonly clock: Clock;
  /**
   * Called for each line, without its newline; `undefined` for one that is too long. Must not throw: `false` says that
   * the line could not be taken; it comes again with the next look.
   */
  readonly onLine: (line: string | undefined, endOffset: number) => boolean;
  /** Called once when the file has grown beyond its bound. Must not throw. */
  readonly onOverflow: () => void;
  /** Called once when looking at the file fails; it is tried again. Must not throw. */
  readonly onProblem: (error: unknown) => void;
}

/** A follower at work. */
export interface LineFollower {
  /**
   * Reads everything that is there, a slice at a time, and closes. Call after the writer has ended. A line that cannot
   * be taken is left, with all behind it. Rejects, closed, with what reading throws.
   */
  finish(): Promise<void>;
  /** Stops watching and closes the file, without reading. Idempotent. */
  close(): void;
}

/**
 * Starts following.
 *
 * @param options - file and callbacks
 */
export function followLines(options: LineFollowerOptions): LineFollower {
  const { path, clock, fromOffset, maxLineBytes, maxBytes } = options;
  const fd = openSync(path, 'r+');
  const reader = createLineReader({ fd, fromOffset, maxLineBytes, maxOffset: maxBytes });
  let held: Line | undefined;
  let isOverflown = false;
  let hasFailed = false;
  let isClosed = false;
  let watcher: FSWatcher | undefined;
  let timer: Timer | undefined;

  /** One byte is left standing beyond the bound: whoever comes next sees that there was more. */
  const cut = (): void => {
    if (fstatSync(fd).size <= maxBytes) return;
    ftruncateSync(fd, maxBytes + 1);
    if (!isOverflown) options.onOverflow();
    isOverflown = true;
  };
  const look = (): Progress => {
    cut();
    const untilMs = clock.monotonicMs() + SLICE_MS;
    while (!isClosed) {
      held ??= reader.next();
      if (held === undefined) return 'done';
      if (!options.onLine(held.text, held.endOffset)) return 'stuck';
      held = undefined;
      if (clock.monotonicMs() >= untilMs) return 'more';
    }
    return 'done';
  };
  const lookSafely = (): Progress => {
    try {
      return look();
    } catch (error) {
      if (!hasFailed) options.onProblem(error);
      hasFailed = true;
      return 'stuck';
    }
  };
  /** Of a file that is written to without pause, a watcher would wake us without pause. */
  const isWorthWatching = (progress: Progress): boolean => progress === 'done' && !isOverflown;
  const turn = (): void => {
    if (isClosed) return;
    timer?.cancel();
    const progress = lookSafely();
    // Between the look and the watching, something may have been written.
    const isUnseen = isWorthWatching(progress) && watcher === undefined;
    if (isUnseen) watcher = watchPath(path, turn);
    if (!isWorthWatching(progress)) unwatch();
    schedule(progress === 'more' || isUnseen ? REST_MS : isOverflown ? CUT_MS : POLL_MS);
  };
  const schedule = (delayMs: number): void => {
    if (!isClosed) timer = clock.setTimer(delayMs, turn, { keepAlive: false });
  };
  const unwatch = (): void => {
    watcher?.close();
    watcher = undefined;
  };
  const close = (): void => {
    if (isClosed) return;
    isClosed = true;
    timer?.cancel();
    unwatch();
    closeSync(fd);
  };
  // The file of a new step is empty, and most steps never write to it: nothing is read until something happens.
  if (fstatSync(fd).size > fromOffset) schedule(0);
  else {
    watcher = watchPath(path, turn);
    schedule(POLL_MS);
  }

  return {
    async finish() {
      timer?.cancel();
      unwatch();
      try {
        while (look() === 'more') await clock.sleep(REST_MS);
      } finally {
        close();
      }
    },
    close,
  };
}

/** What a look has left: nothing, more to read, or a line that could not be taken. */
type Progress = 'done' | 'more' | 'stuck';

const POLL_MS = 250;
/** A step that floods writes some 100 MB until the next cut. */
const CUT_MS = 50;
