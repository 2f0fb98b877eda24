/** The open files of a run's writer, and what their failures are called. */
import { openChannelFile, type ChannelFile } from './channel-file.ts';
import { LoggingError } from './errors.ts';
import { openJournal, type Journal } from './journal.ts';
import type { RunPaths } from './run-paths.ts';
import type { OutputChannelName } from './run-records.ts';
import type { WriterSettings } from './writer-options.ts';

/** @internal */
export interface WriterFiles {
  readonly journal: Journal;
  readonly channels: Readonly<Record<OutputChannelName, ChannelFile>>;
}

/** @internal Opens all files of the run, or none. */
export function openWriterFiles(paths: RunPaths, settings: WriterSettings, minSeq: number): WriterFiles {
  const { files, clock, redactor } = settings;
  const opened: { close(): void }[] = [];
  try {
    const journal = openJournal(files, paths, clock, minSeq);
    opened.push(journal);
    const stdout = openChannelFile({ files, paths, journal, channel: 'stdout', redactor });
    opened.push(stdout);
    const stderr = openChannelFile({ files, paths, journal, channel: 'stderr', redactor });
    return { journal, channels: { stdout, stderr } };
  } catch (error) {
    for (const file of opened) file.close();
    throw writeFailed(paths, error);
  }
}

/** @internal What the system threw, as our error; our own errors stay as they are. */
export function writeFailed(paths: RunPaths, error: unknown): LoggingError {
  if (error instanceof LoggingError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new LoggingError(
    'write-failed',
    `Cannot write run "${paths.runId}" in "${paths.runDir}": ${reason}, expected a writable directory with room`,
    { cause: error },
  );
}
