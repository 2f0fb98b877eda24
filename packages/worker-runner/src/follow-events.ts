/**
 * Follows the structured events of a run, live or ended, from any process.
 * Invariant: every event after `afterSeq` comes once, in order; the iteration ends after the last one of an ended run.
 */
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';

import { createRealClock, type Clock } from '@conductor-run/clock';
import type { RunPaths } from '@conductor-run/logging';

import { systemCodeOf } from './errors.ts';
import { EVENT_LOG_FILE, parseStoredLine } from './event-log.ts';
import { RESULT_FILE } from './result-schema.ts';
import type { StepEvent } from './step-events.ts';

/** How a run's events are followed. */
export interface FollowStepEventsOptions {
  /**
   * Only events with a higher sequence number.
   *
   * @defaultValue 0
   */
  readonly afterSeq?: number;
  /** Ends the iteration, without an error. */
  readonly signal?: AbortSignal;
  /**
   * Times the looks at the file.
   *
   * @defaultValue the real clock
   */
  readonly clock?: Clock;
}

/**
 * The structured events of a run: those that are there, and those to come until the run has its result. Reads only as
 * fast as it is asked: a slow reader holds nothing up and keeps nothing in memory. An event is seen within 25 ms.
 *
 * @param paths - the run; its directory must exist
 * @param options - from where
 */
export async function* followStepEvents(
  paths: RunPaths,
  options: FollowStepEventsOptions = {},
): AsyncGenerator<StepEvent, void, undefined> {
  const { afterSeq = 0, signal, clock = createRealClock() } = options;
  using lines = openLines(join(paths.runDir, EVENT_LOG_FILE));
  for (;;) {
    // The result first: once it is there, everything there will ever be is in the log.
    const isLast = existsSync(join(paths.runDir, RESULT_FILE));
    for (const line of lines.read()) {
      if (signal?.aborted === true) return;
      const stored = parseStoredLine(line);
      if (stored !== undefined && 'event' in stored && stored.event.seq > afterSeq) yield stored.event;
    }
    if (isLast || signal?.aborted === true) return;
    await clock.sleep(LOOK_MS, { keepAlive: false });
  }
}

interface Lines extends Disposable {
  /** Whole lines that were appended since the last call. */
  read(): Generator<string, void, undefined>;
}

/** The file appears with the first event: most steps report none. */
function openLines(path: string): Lines {
  let fd: number | undefined;
  let offset = 0;
  let rest: Buffer = Buffer.alloc(0);
  const block = Buffer.allocUnsafe(BLOCK_BYTES);
  return {
    *read() {
      fd ??= openIfThere(path);
      if (fd === undefined) return;
      for (;;) {
        const bytes = readSync(fd, block, 0, BLOCK_BYTES, offset);
        if (bytes === 0) return;
        offset += bytes;
        const joined = Buffer.concat([rest, block.subarray(0, bytes)]);
        let start = 0;
        for (let end = joined.indexOf(NEWLINE); end >= 0; end = joined.indexOf(NEWLINE, start)) {
          yield joined.toString('utf8', start, end);
          start = end + 1;
        }
        rest = joined.subarray(start);
      }
    },
    [Symbol.dispose]() {
      if (fd !== undefined) closeSync(fd);
      fd = undefined;
    },
  };
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, 'r');
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

const NEWLINE = 10;
const BLOCK_BYTES = 64 * 1024;
const LOOK_MS = 25;
