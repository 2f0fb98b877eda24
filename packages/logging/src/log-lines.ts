/** Lines of a run for people: the end, all, and those to come. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

import type { Clock } from '@conductor-run/clock';

import { followRun, type ChannelSelection } from './follow.ts';
import { createLineAssembler, type AnsiMode, type LineAssembler, type LogLine } from './line-assembler.ts';
import { logPathOf, type RunPaths } from './run-paths.ts';
import { OUTPUT_CHANNELS, type OutputChannelName, type RunState } from './run-records.ts';
import { collectTail, lastLines } from './tail.ts';

/** Which lines, and whether to wait for more. */
export interface LinesOptions {
  /**
   * Whether to wait for further lines until the run has ended.
   *
   * @defaultValue false
   */
  readonly follow?: boolean;
  /**
   * Whose output.
   *
   * @defaultValue 'combined'
   */
  readonly channel?: ChannelSelection;
  /** Only the last lines of what is there, at most 1 MiB of them; all when absent. */
  readonly tail?: number;
  /** Leave out lines from before this instant, UTC milliseconds. */
  readonly sinceMs?: number;
  /**
   * Whether terminal escape sequences stay.
   *
   * @defaultValue 'keep'
   */
  readonly ansi?: AnsiMode;
  /** Ends the iteration, without an error. */
  readonly signal?: AbortSignal;
}

/** @internal */
export async function* readLines(
  paths: RunPaths,
  readState: () => RunState,
  clock: Clock,
  options: LinesOptions,
): AsyncGenerator<LogLine, void, undefined> {
  const { follow = false, channel = 'combined', tail, sinceMs = 0, ansi = 'keep', signal } = options;
  const assembler = createLineAssembler(ansi);
  const ends: Record<OutputChannelName, number> = { stdout: 0, stderr: 0 };
  const isWanted = (line: LogLine): boolean => line.atMs === undefined || line.atMs >= sinceMs;
  let fromSeq = 1;

  if (tail !== undefined) {
    const collected = collectTail(paths, readState(), { lines: tail, channel });
    const lines = collected.pieces.flatMap((piece) => assembler.push(piece));
    if (!follow) lines.push(...assembler.end());
    yield* lastLines(lines, tail).filter(isWanted);
    fromSeq = collected.lastSeq + 1;
    Object.assign(ends, collected.ends);
    if (!follow) return;
  }
  const followOptions = {
    fromSeq,
    channel,
    sinceMs,
    live: follow,
    ...(signal === undefined ? {} : { signal }),
  };
  for await (const item of followRun(paths, readState, clock, followOptions)) {
    if (item.kind === 'event') continue;
    const known = Math.max(0, ends[item.channel] - item.offset);
    if (known >= item.bytes.byteLength) continue;
    ends[item.channel] = item.offset + item.bytes.byteLength;
    yield* assembler.push({ ...item, offset: item.offset + known, bytes: item.bytes.subarray(known) });
  }
  if (signal?.aborted !== true && sinceMs === 0) yield* readUnindexed(paths, channel, ends, assembler);
  yield* assembler.end();
}

/** Output that no process has put on the timeline, since the run's writer is gone. */
function* readUnindexed(
  paths: RunPaths,
  selection: ChannelSelection,
  ends: Readonly<Record<OutputChannelName, number>>,
  assembler: LineAssembler,
): Generator<LogLine, void, undefined> {
  for (const channel of OUTPUT_CHANNELS) {
    if (selection !== 'combined' && selection !== channel) continue;
    const fd = openSync(logPathOf(paths, channel), 'r');
    try {
      const { size } = fstatSync(fd);
      let offset = ends[channel];
      while (offset < size) {
        const bytes = Buffer.allocUnsafe(Math.min(BLOCK_BYTES, size - offset));
        const bytesRead = readSync(fd, bytes, 0, bytes.byteLength, offset);
        if (bytesRead === 0) break;
        yield* assembler.push({ channel, offset, bytes: bytes.subarray(0, bytesRead) });
        offset += bytesRead;
      }
    } finally {
      closeSync(fd);
    }
  }
}

const BLOCK_BYTES = 256 * 1024;
