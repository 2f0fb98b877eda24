/** When a periodic checkpoint is due. Invariant: at least 20 times its cost passes between two, so they take at most 5 %. */
import { closeSync, openSync, readSync, statSync } from 'node:fs';

import type { Clock } from '@conductor-run/clock';
import type { RunPaths } from '@conductor-run/logging';

/** Decides about periodic checkpoints. */
export interface Cadence {
  /** Whether one is due now. Asked about once a second. */
  isDue(hasChanged: boolean): boolean;
  /** How long the next one has to wait for what the last one cost, in ms; 0 when it may be taken now. */
  waitMs(): number;
  /** One was taken, at this cost. */
  noteCapture(durationMs: number): void;
}

/** What the decision depends on. */
export interface CadenceOptions {
  readonly clock: Clock;
  /** Seconds between checkpoints; `undefined` for none by time. */
  readonly everySec?: number | undefined;
  /** Lines between checkpoints; `undefined` for none by output. */
  readonly onLines?: number | undefined;
  /** Lines of output so far. */
  readonly countLines: () => number;
}

/** Starts counting now. */
export function createCadence(options: CadenceOptions): Cadence {
  const { clock, everySec, onLines } = options;
  let lastAtMs = clock.monotonicMs();
  let lastLines = 0;
  let minGapMs = 0;
  let hasChangedSince = false;
  return {
    isDue(hasChanged) {
      hasChangedSince ||= hasChanged;
      if (!hasChangedSince) return false;
      const gapMs = clock.monotonicMs() - lastAtMs;
      if (gapMs < minGapMs) return false;
      if (everySec !== undefined && gapMs >= everySec * 1000) return true;
      return onLines !== undefined && options.countLines() - lastLines >= onLines;
    },
    waitMs: () => Math.max(0, minGapMs - (clock.monotonicMs() - lastAtMs)),
    noteCapture(durationMs) {
      lastAtMs = clock.monotonicMs();
      minGapMs = durationMs * MIN_GAP_FACTOR;
      hasChangedSince = false;
      if (onLines !== undefined) lastLines = options.countLines();
    },
  };
}

/** Counts the lines of both logs, reading each byte once. */
export function createLineCounter(paths: RunPaths): () => number {
  const offsets = new Map([
    [paths.stdoutPath, 0],
    [paths.stderrPath, 0],
  ]);
  let lines = 0;
  return () => {
    for (const [path, offset] of offsets) {
      const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
      // A flood is not read to the last byte just to count it: every skipped KiB counts as ten lines.
      const from = Math.max(offset, size - MAX_COUNTED_BYTES);
      lines += Math.floor((from - offset) / 100) + countNewlines(path, from, size);
      offsets.set(path, size);
    }
    return lines;
  };
}

function countNewlines(path: string, from: number, to: number): number {
  if (to <= from) return 0;
  const fd = openSync(path, 'r');
  try {
    const buffer = Buffer.allocUnsafe(to - from);
    const bytes = readSync(fd, buffer, 0, buffer.length, from);
    let count = 0;
    for (let at = buffer.indexOf(10); at >= 0 && at < bytes; at = buffer.indexOf(10, at + 1)) count += 1;
    return count;
  } finally {
    closeSync(fd);
  }
}

const MIN_GAP_FACTOR = 20;
const MAX_COUNTED_BYTES = 4 * 1024 * 1024;
