/**
 * Lines that are written or counted.
 * Invariant: nothing here throws or waits for long: a program does not end or hang because its log cannot be written.
 */
import { writeSync } from 'node:fs';
import type { Clock } from '@conductor-run/clock';

import type { LineTarget } from './appended-log.ts';
import { hasSystemCode } from './errors.ts';

/** @internal */
export interface LineSink {
  write(line: Uint8Array): void;
  /** Writes the number of dropped lines, when there are some and it can. */
  flush(): void;
}

/** @internal */
export interface LineSinkOptions {
  readonly target: LineTarget;
  readonly clock: Clock;
  /** The line that says how many were dropped, and why the last one was. */
  readonly linesDropped: (droppedCount: number, error: unknown) => Uint8Array;
}

/** @internal */
export function createLineSink({ target, clock, linesDropped }: LineSinkOptions): LineSink {
  let droppedCount = 0;
  let lastError: unknown;
  let toldAtMs = -Infinity;

  const tell = (error: unknown): void => {
    const nowMs = clock.monotonicMs();
    if (target.path === undefined || nowMs - toldAtMs < TELL_EVERY_MS) return;
    toldAtMs = nowMs;
    const why = error instanceof Error ? error.message : String(error);
    const text = `Cannot write the log "${target.path}": ${why}. Lines are dropped and counted until it can be written\n`;
    try {
      writeSync(STDERR_FD, text);
    } catch {
      // Neither the log nor stderr can be written: there is nobody left to tell.
    }
  };

  /** True when it was written. */
  const append = (line: Uint8Array): boolean => {
    try {
      target.append(line);
      return true;
    } catch (error) {
      lastError = error;
      tell(error);
      return false;
    }
  };

  const catchUp = (): boolean => {
    if (droppedCount === 0) return true;
    if (!append(linesDropped(droppedCount, lastError))) return false;
    droppedCount = 0;
    return true;
  };

  return {
    write(line) {
      if (!catchUp() || !append(line)) droppedCount += 1;
    },
    flush: () => void catchUp(),
  };
}

/** @internal The stderr of this process. A pipe that nobody empties is waited for, once, then lines are dropped. */
export function createStderrTarget(): LineTarget {
  let isStuck = false;
  return {
    path: undefined,
    append(lines) {
      for (let written = 0, waitedMs = isStuck ? STUCK_AFTER_MS : 0; written < lines.byteLength;) {
        try {
          written += writeSync(STDERR_FD, lines, written);
          isStuck = false;
        } catch (error) {
          if (!hasSystemCode(error, 'EAGAIN') || waitedMs >= STUCK_AFTER_MS) {
            isStuck = true;
            throw error;
          }
          Atomics.wait(NEVER_NOTIFIED, 0, 0, LOOK_AGAIN_MS);
          waitedMs += LOOK_AGAIN_MS;
        }
      }
    },
  };
}

const STDERR_FD = 2;
const TELL_EVERY_MS = 60_000;
const STUCK_AFTER_MS = 1_000;
const LOOK_AGAIN_MS = 10;
const NEVER_NOTIFIED = new Int32Array(new SharedArrayBuffer(4));
