/**
 * Follows the structured events of a run, live or ended, from any process.
 * Invariant: every event after `afterSeq` comes once, in order; the iteration ends after the last one of an ended run.
 */
import { closeSync, existsSync } from 'node:fs';
import { join } from 'node:path';

import { createRealClock, type Clock } from '@conductor-run/clock';
import type { RunPaths } from '@conductor-run/logging';

import { createLogReader, EVENT_LOG_FILE, nextStoredLine, openIfThere } from './event-log.ts';
import type { LineReader } from './line-reader.ts';
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
  using log = openLog(join(paths.runDir, EVENT_LOG_FILE));
  for (;;) {
    // The result first: once it is there, everything there will ever be is in the log.
    const isLast = existsSync(join(paths.runDir, RESULT_FILE));
    for (const event of log.read()) {
      if (signal?.aborted === true) return;
      if (event.seq > afterSeq) yield event;
    }
    if (isLast || signal?.aborted === true) return;
    await clock.sleep(LOOK_MS, { keepAlive: false });
  }
}

interface FollowedLog extends Disposable {
  /** Events whose whole line is there and has not been read. */
  read(): Generator<StepEvent, void, undefined>;
}

/** The file appears with the first event: most steps report none. */
function openLog(path: string): FollowedLog {
  let fd: number | undefined;
  let reader: LineReader | undefined;
  return {
    *read() {
      fd ??= openIfThere(path);
      if (fd === undefined) return;
      reader ??= createLogReader(fd);
      for (let next = nextStoredLine(reader); next?.stored !== undefined; next = nextStoredLine(reader)) {
        if (next.stored.event !== undefined) yield next.stored.event;
      }
    },
    [Symbol.dispose]() {
      if (fd !== undefined) closeSync(fd);
      fd = undefined;
    },
  };
}

const LOOK_MS = 25;
