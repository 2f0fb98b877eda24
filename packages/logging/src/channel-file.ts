/**
 * One output channel of a run on disk: its log, its private spool, and how far both are accounted for.
 * Invariant: bytes are in the log first and in the timeline second, so whatever a crash leaves between the two is found
 * again: sampled once more for a child's own log, cut and redone for a redacted one.
 */
import { existsSync } from 'node:fs';

import { openAppendFile, type AppendFile } from './append-file.ts';
import type { Journal } from './journal.ts';
import { LoggingError } from './errors.ts';
import type { RedactionScratch, Redactor } from './redactor.ts';
import type { RunFiles } from './run-files.ts';
import { logPathOf, spoolPathOf, type RunPaths } from './run-paths.ts';
import type { OutputChannelName } from './run-records.ts';

/** @internal What a channel's file work needs. */
export interface ChannelFileOptions {
  readonly files: RunFiles;
  readonly paths: RunPaths;
  readonly journal: Journal;
  readonly channel: OutputChannelName;
  readonly redactor: Redactor | undefined;
}

/** @internal A channel's files, for the one process that writes the run. */
export interface ChannelFile {
  readonly channel: OutputChannelName;
  /** Bytes of the log that the timeline knows. */
  indexedBytes(): number;
  /** Whether a child's output goes through a private spool. */
  hasSpool(): boolean;
  /** Bytes of the spool not yet in the log; 0 without a spool. */
  spoolLagBytes(): number;
  /** Opens the file a child shall write to: the log itself, or the spool. */
  openForChild(): number;
  /** Accounts for up to one step of what the child wrote; true when there is more. Throws what the system threw. */
  step(): boolean;
  /** Gives consumed parts of the spool back to the disk. */
  trimSpool(): Promise<void>;
  /** Everything the child has written so far is accounted for, nothing is held back, the spool is gone. */
  finish(yieldTurn: () => Promise<void>): Promise<void>;
  /** Appends bytes of an in-process writer to the log; they count once `commitAppended` is called, after their records. */
  append(bytes: Uint8Array): void;
  /** What `append` wrote is in the timeline. */
  commitAppended(): void;
  /** What `append` wrote is not, and leaves the log again. */
  rollbackAppended(): void;
  /** Closes descriptors; files stay. */
  close(): void;
}

/** @internal Opens a channel where the files say it is. */
export function openChannelFile(options: ChannelFileOptions): ChannelFile {
  const { files, paths, journal, channel, redactor } = options;
  const spoolPath = spoolPathOf(paths, channel);
  const last = journal.lastRecordAtOpen(channel);
  const log = openAppendFile(files, logPathOf(paths, channel));
  let indexed = last === undefined ? 0 : last.offset + last.bytes;
  let spool: Spool | undefined;

  const openSpool = (): Spool => {
    if (redactor === undefined) {
      throw new LoggingError(
        'redactor-required',
        `Cannot go on with output "${channel}" of run "${paths.runId}": its spool may hold secrets, expected a redactor`,
      );
    }
    const fd = files.open(spoolPath, 'append');
    const block = Buffer.allocUnsafe(STEP_BYTES);
    const scratch = { buffer: Buffer.alloc(0) };
    return { fd, redactor, block, scratch, consumed: last?.spool ?? 0, seen: 0, trimmed: 0 };
  };
  const sampleLog = (): void => {
    const size = log.refreshSize();
    if (size <= indexed) return;
    journal.appendRecords([{ channel, offset: indexed, bytes: size - indexed }]);
    indexed = size;
  };
  try {
    if (existsSync(spoolPath)) spool = openSpool();
    // What reached a plain log but not the timeline stays, and is known from now on.
    else sampleLog();
  } catch (error) {
    log.close();
    throw error;
  }

  const stepSpool = (from: Spool, isFinal: boolean): boolean => {
    const size = files.size(from.fd);
    if (size === from.seen && !isFinal) return false;
    const block = from.block.subarray(0, Math.min(STEP_BYTES, size - from.consumed));
    const bytes = block.subarray(0, files.read(from.fd, block, from.consumed));
    const reachesEnd = from.consumed + bytes.byteLength >= size;
    const { output, consumed } = from.redactor.step(bytes, isFinal && reachesEnd, from.scratch);
    appendRedacted(log, journal, channel, indexed, output, from.consumed + consumed);
    indexed += output.byteLength;
    from.consumed += consumed;
    from.seen = reachesEnd ? size : from.consumed;
    return !reachesEnd;
  };

  return {
    channel,
    indexedBytes: () => indexed,
    hasSpool: () => spool !== undefined,
    spoolLagBytes: () => (spool === undefined ? 0 : files.size(spool.fd) - spool.consumed),
    openForChild() {
      if (redactor === undefined) return files.open(logPathOf(paths, channel), 'append');
      if (spool === undefined && log.refreshSize() > 0) throw alreadyWritten(paths, channel);
      spool ??= openSpool();
      return files.open(spoolPath, 'append');
    },
    step() {
      if (spool !== undefined) return stepSpool(spool, false);
      sampleLog();
      return false;
    },
    async trimSpool() {
      if (spool === undefined) return;
      const end = Math.floor(spool.consumed / TRIM_BYTES) * TRIM_BYTES;
      if (end <= spool.trimmed) return;
      const from = spool.trimmed;
      spool.trimmed = end;
      await files.punchHole(spoolPath, from, end - from);
    },
    async finish(yieldTurn) {
      if (spool !== undefined) {
        // A process that still writes must not keep the run from ending: what it writes from now on is not waited for.
        const end = files.size(spool.fd);
        while (spool.consumed < end && stepSpool(spool, true) && spool.consumed < end) await yieldTurn();
        files.close(spool.fd);
        files.remove(spoolPath);
        spool = undefined;
      }
      sampleLog();
    },
    append(bytes) {
      if (log.size() > indexed) log.truncate(indexed);
      log.append(bytes);
    },
    commitAppended() {
      indexed = log.size();
    },
    rollbackAppended() {
      if (log.size() > indexed) log.truncate(indexed);
    },
    close() {
      if (spool !== undefined) files.close(spool.fd);
      log.close();
    },
  };
}

interface Spool {
  readonly fd: number;
  readonly redactor: Redactor;
  /** What each step reads into; written out before the next one. */
  readonly block: Buffer;
  /** Where each step's output is put. */
  readonly scratch: RedactionScratch;
  /** Bytes whose redaction is in the log and in the timeline. */
  consumed: number;
  /** The size at which nothing more could be consumed. */
  seen: number;
  /** Bytes given back to the disk. */
  trimmed: number;
}

/** Whoever wrote the log may still write it, which would mix with what comes out of the spool. */
function alreadyWritten(paths: RunPaths, channel: OutputChannelName): LoggingError {
  return new LoggingError(
    'output-claimed',
    `Cannot redact output "${channel}" of run "${paths.runId}": its log was written without a spool, expected it empty`,
  );
}

/** Bytes count once their record is written: those a failure or a crash left without one are cut and come again. */
function appendRedacted(
  log: AppendFile,
  journal: Journal,
  channel: OutputChannelName,
  offset: number,
  output: Uint8Array,
  spool: number,
): void {
  if (output.byteLength === 0) return;
  if (log.size() > offset) log.truncate(offset);
  log.append(output);
  journal.appendRecords([{ channel, offset, bytes: output.byteLength, spool }]);
}

/** One step's read: a millisecond of the event loop, and more than a redactor ever holds back (about 208 KiB). */
const STEP_BYTES = 256 * 1024;
const TRIM_BYTES = 32 * 1024 * 1024;
