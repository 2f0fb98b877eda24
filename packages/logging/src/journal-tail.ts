/** Reads journals from their end. Invariant: never more than one block and one line in memory. */
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';

import { parseEventLine, parseTimelineLine } from './record-schemas.ts';
import { logPathOf, type RunPaths } from './run-paths.ts';
import {
  OUTPUT_CHANNELS,
  type LifecycleEvent,
  type OutputChannelName,
  type TimelineRecord,
} from './run-records.ts';

/** @internal The newest whole event of a run. */
export function lastEventOf(paths: RunPaths): LifecycleEvent | undefined {
  for (const line of linesBackwards(paths.eventsPath)) {
    const event = parseEventLine(line);
    if (event !== undefined) return event;
  }
  return undefined;
}

/** @internal How far the timeline goes. */
export interface TimelineEnd {
  /** The highest sequence number in it; 0 when it is empty. */
  readonly lastSeq: number;
  /** The newest record of each channel whose log is not empty. */
  readonly lastRecords: Partial<Record<OutputChannelName, TimelineRecord>>;
}

/** @internal Reads the timeline back no further than it must. */
export function readTimelineEnd(paths: RunPaths): TimelineEnd {
  const wanted = new Set(OUTPUT_CHANNELS.filter((channel) => statSync(logPathOf(paths, channel)).size > 0));
  const lastRecords: Partial<Record<OutputChannelName, TimelineRecord>> = {};
  let lastSeq = 0;
  for (const record of timelineBackwards(paths)) {
    lastSeq = Math.max(lastSeq, record.seq);
    lastRecords[record.channel] ??= record;
    wanted.delete(record.channel);
    if (wanted.size === 0) break;
  }
  return { lastSeq, lastRecords };
}

/** @internal Timeline records, newest first. */
export function* timelineBackwards(paths: RunPaths): Generator<TimelineRecord, void, undefined> {
  for (const line of linesBackwards(paths.timelinePath)) {
    const record = parseTimelineLine(line);
    if (record !== undefined) yield record;
  }
}

/** @internal Whole lines of a file, last first; text after the last newline is skipped. */
export function* linesBackwards(path: string): Generator<string, void, undefined> {
  const fd = openSync(path, 'r');
  try {
    let blockEnd = fstatSync(fd).size;
    // The start of the line whose end has been seen, newest part last.
    let carry: Buffer | undefined;
    while (blockEnd > 0) {
      const blockStart = Math.max(0, blockEnd - BLOCK_BYTES);
      const block = Buffer.allocUnsafe(blockEnd - blockStart);
      readSync(fd, block, 0, block.byteLength, blockStart);
      let lineEnd = block.byteLength;
      for (;;) {
        const at = lineEnd === 0 ? -1 : block.lastIndexOf(NEWLINE, lineEnd - 1);
        if (at < 0) break;
        const part = block.subarray(at + 1, lineEnd);
        if (carry !== undefined) yield Buffer.concat([part, carry]).toString('utf8');
        carry = Buffer.alloc(0);
        lineEnd = at;
      }
      if (carry !== undefined) carry = Buffer.concat([block.subarray(0, lineEnd), carry]);
      blockEnd = blockStart;
    }
    if (carry !== undefined) yield carry.toString('utf8');
  } finally {
    closeSync(fd);
  }
}

const NEWLINE = 10;
const BLOCK_BYTES = 64 * 1024;
