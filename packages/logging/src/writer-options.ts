/** Options of a writer with their defaults, checked before anything is made. */
import { createRealClock, type Clock } from '@conductor-run/clock';

import { createRealRunFiles, type RunFiles } from './run-files.ts';
import type { RunWriterOptions } from './run-writer.ts';
import { MIN_STREAM_LIMIT_BYTES } from './stream-limit.ts';

/** @internal Options with everything filled in that has a default. */
export type WriterSettings = RunWriterOptions & {
  readonly clock: Clock;
  readonly files: RunFiles;
  readonly maxBytesPerStream: number;
  readonly onLimit: 'truncate' | 'fail';
  readonly maxSpoolBytes: number;
};

/** @internal Throws RangeError or TypeError for what cannot work. */
export function writerSettings(options: RunWriterOptions): WriterSettings {
  const settings: WriterSettings = {
    ...options,
    clock: options.clock ?? createRealClock(),
    files: options.files ?? createRealRunFiles(),
    maxBytesPerStream: options.maxBytesPerStream ?? DEFAULT_STREAM_LIMIT_BYTES,
    onLimit: options.onLimit ?? 'truncate',
    maxSpoolBytes: options.maxSpoolBytes ?? DEFAULT_SPOOL_BYTES,
  };
  if (!(settings.maxBytesPerStream >= MIN_STREAM_LIMIT_BYTES)) {
    throw new RangeError(
      `Cannot write run with maxBytesPerStream "${settings.maxBytesPerStream}": expected at least ${MIN_STREAM_LIMIT_BYTES} bytes`,
    );
  }
  if (!(settings.maxSpoolBytes > 0)) {
    throw new RangeError(
      `Cannot write run with maxSpoolBytes "${settings.maxSpoolBytes}": expected more than 0 bytes`,
    );
  }
  if (settings.onLimit === 'fail' && settings.onOutputLimit === undefined) {
    throw new TypeError('Cannot write run with onLimit "fail": onOutputLimit is absent, expected a function');
  }
  return settings;
}

const DEFAULT_STREAM_LIMIT_BYTES = 4 * 1024 ** 3;
const DEFAULT_SPOOL_BYTES = 256 * 1024 ** 2;
