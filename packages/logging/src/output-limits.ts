/**
 * Keeps output within bounds: the size of the logs, and how far a child may be ahead of the redactor.
 * Invariant: a gap is made first and recorded second; a crash between the two makes it again.
 */
import type { ChannelFile } from './channel-file.ts';
import { LoggingError } from './errors.ts';
import type { RunFiles } from './run-files.ts';
import { logPathOf, type RunPaths } from './run-paths.ts';
import type { DroppedRange, OutputChannelName } from './run-records.ts';
import type { OutputLimitHit } from './run-writer.ts';
import { rangeToDrop } from './stream-limit.ts';

/** @internal */
export interface OutputLimits {
  /** Compares one channel's log with its limit and acts; at most one at a time. Never rejects. */
  enforce(channel: ChannelFile): Promise<void>;
  /** As `enforce`, after one that is at work: for the last time. Never rejects. */
  settle(channel: ChannelFile): Promise<void>;
  /** Gives spool space back. Never rejects. */
  trim(channel: ChannelFile): Promise<void>;
  /** Asks for the child to be paused or continued when that changed. */
  balance(channels: Iterable<ChannelFile>): void;
}

/** @internal */
export interface OutputLimitsOptions {
  readonly files: RunFiles;
  readonly paths: RunPaths;
  readonly maxBytesPerStream: number;
  readonly onLimit: 'truncate' | 'fail';
  readonly maxSpoolBytes: number;
  readonly onOutputLimit?: (hit: OutputLimitHit) => void;
  readonly onSpoolPressure?: (pressure: 'pause' | 'resume') => void;
  /** What has been given up so far. */
  readonly droppedOf: (channel: OutputChannelName) => DroppedRange | undefined;
  /** Records what has been given up now. */
  readonly onDropped: (channel: OutputChannelName, range: DroppedRange) => void;
  readonly onFailure: (error: LoggingError) => void;
}

/** @internal */
export function createOutputLimits(options: OutputLimitsOptions): OutputLimits {
  const { files, paths, maxBytesPerStream, onLimit, maxSpoolBytes } = options;
  const busy = new Map<OutputChannelName, Promise<void>>();
  const given = new Set<OutputChannelName>();
  let canTrim = true;
  let pressure: 'pause' | 'resume' | undefined;

  const giveUp = (channel: OutputChannelName, bytes: number): void => {
    given.add(channel);
    options.onOutputLimit?.({ channel, bytes, limitBytes: maxBytesPerStream });
  };
  const unenforceable = (path: string, cause: unknown): LoggingError =>
    new LoggingError(
      'limit-unenforceable',
      `Cannot give up a part of "${path}": the file system or platform makes no holes, expected fallocate(1) and a file system that supports it`,
      { cause },
    );
  const truncate = async (channel: OutputChannelName, bytes: number): Promise<void> => {
    const range = rangeToDrop(bytes, maxBytesPerStream, options.droppedOf(channel));
    if (range === undefined) return;
    const path = logPathOf(paths, channel);
    try {
      await files.punchHole(path, range.offset, range.bytes);
    } catch (error) {
      options.onFailure(unenforceable(path, error));
      giveUp(channel, bytes);
      return;
    }
    options.onDropped(channel, range);
  };

  const enforce = async (file: ChannelFile): Promise<void> => {
    const { channel } = file;
    const bytes = file.indexedBytes();
    if (bytes <= maxBytesPerStream || busy.has(channel) || given.has(channel)) return;
    if (onLimit === 'fail') {
      giveUp(channel, bytes);
      return;
    }
    const work = truncate(channel, bytes);
    busy.set(channel, work);
    await work;
    busy.delete(channel);
  };

  return {
    enforce,
    async settle(file) {
      await busy.get(file.channel);
      await enforce(file);
    },
    async trim(file) {
      if (!canTrim) return;
      try {
        await file.trimSpool();
      } catch (error) {
        // The spool of a run that ended meanwhile is gone as a whole.
        if (!file.hasSpool()) return;
        options.onFailure(unenforceable(`spool of ${file.channel}`, error));
        canTrim = false;
      }
    },
    balance(channels) {
      const lag = Math.max(0, ...Array.from(channels, (file) => file.spoolLagBytes()));
      const threshold = pressure === 'pause' ? maxSpoolBytes / 2 : maxSpoolBytes;
      const next = lag > threshold ? 'pause' : 'resume';
      if (next === pressure) return;
      pressure = next;
      options.onSpoolPressure?.(next);
    },
  };
}
