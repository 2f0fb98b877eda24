/**
 * The streams for writers inside this process.
 * Invariant: chunks reach both logs and the timeline in the order of the `write` calls across both channels.
 */
import { Writable } from 'node:stream';

import type { ChannelFile } from './channel-file.ts';
import { LoggingError } from './errors.ts';
import type { Journal, NewTimelineRecord } from './journal.ts';
import type { RedactionStream, Redactor } from './redactor.ts';
import type { OutputChannelName } from './run-records.ts';

/** @internal Both streams of one run and the queue they share. */
export interface InProcessOutput {
  /** The stream of a channel: the same each time, a fresh one after it ended or failed. */
  writable(channel: OutputChannelName): Writable;
  /** Everything written so far is in the files, but for what the redactor holds back; throws what the system threw. */
  flush(): void;
  /** As `flush`, with what the redactor holds back; later writes fail. */
  end(): void;
}

/** @internal */
export interface InProcessOutputOptions {
  readonly journal: Journal;
  readonly channels: Readonly<Record<OutputChannelName, ChannelFile>>;
  readonly redactor: Redactor | undefined;
  /** Told of a failure that no call of ours carries to the owner. */
  readonly onFailure: (error: unknown) => void;
}

/** @internal */
export function createInProcessOutput(options: InProcessOutputOptions): InProcessOutput {
  const { journal, channels, redactor, onFailure } = options;
  const streams = new Map<OutputChannelName, { readonly writable: Writable; readonly end: () => void }>();
  let queue: QueuedChunk[] = [];
  let queuedBytes = 0;
  let isScheduled = false;

  const flush = (): void => {
    const chunks = queue;
    queue = [];
    queuedBytes = 0;
    if (chunks.length === 0) return;
    try {
      writeChunks(chunks, channels, journal);
    } catch (error) {
      // These chunks are lost. Later ones must not follow as if nothing were missing: the streams end here.
      const reason = error instanceof Error ? error : new Error(String(error));
      for (const { writable } of streams.values()) writable.destroy(reason);
      throw error;
    }
  };
  const flushOrReport = (): void => {
    isScheduled = false;
    try {
      flush();
    } catch (error) {
      onFailure(error);
    }
  };
  const enqueue = (channel: OutputChannelName, bytes: Uint8Array): void => {
    if (bytes.byteLength === 0) return;
    queue.push({ channel, bytes });
    queuedBytes += bytes.byteLength;
    if (queuedBytes >= FLUSH_BYTES || queue.length >= FLUSH_CHUNKS) {
      flushOrReport();
      return;
    }
    // Queued before the write's own callback, which Node defers in the same way: callbacks come after the flush.
    if (!isScheduled) process.nextTick(flushOrReport);
    isScheduled = true;
  };

  const createStream = (channel: OutputChannelName): { writable: Writable; end: () => void } => {
    const redaction: RedactionStream | undefined = redactor?.stream();
    let isEnded = false;
    const end = (): void => {
      if (isEnded) return;
      isEnded = true;
      if (redaction !== undefined) enqueue(channel, redaction.end());
    };
    const writable = new Writable({
      decodeStrings: true,
      highWaterMark: FLUSH_BYTES,
      // The callback is called at once so that Node hands over the next chunk at once: only then is the order across
      // both streams the order of the calls. The queue is bounded by flushing synchronously.
      write(chunk: Buffer, _encoding, callback) {
        if (isEnded) {
          callback(
            new LoggingError(
              'closed',
              `Cannot write output "${channel}": output is finished, expected it before finishOutput`,
            ),
          );
          return;
        }
        enqueue(channel, redaction === undefined ? chunk : redaction.push(chunk));
        callback();
      },
      final(callback) {
        end();
        flushOrReport();
        callback();
      },
    });
    // The failure is reported through `onFailure`; without a listener it would end the process.
    writable.on('error', () => {});
    return { writable, end };
  };

  return {
    writable(channel) {
      const current = streams.get(channel);
      const stream = current === undefined || current.writable.destroyed ? createStream(channel) : current;
      streams.set(channel, stream);
      return stream.writable;
    },
    flush,
    end() {
      for (const stream of streams.values()) stream.end();
      flush();
    },
  };
}

interface QueuedChunk {
  readonly channel: OutputChannelName;
  readonly bytes: Uint8Array;
}

/** One write per channel and one for the timeline, all or nothing. */
function writeChunks(
  chunks: readonly QueuedChunk[],
  channels: InProcessOutputOptions['channels'],
  journal: Journal,
): void {
  const parts: Record<OutputChannelName, Uint8Array[]> = { stdout: [], stderr: [] };
  const ends = { stdout: channels.stdout.indexedBytes(), stderr: channels.stderr.indexedBytes() };
  const records: NewTimelineRecord[] = [];
  for (const { channel, bytes } of chunks) {
    parts[channel].push(bytes);
    records.push({ channel, offset: ends[channel], bytes: bytes.byteLength });
    ends[channel] += bytes.byteLength;
  }
  const used = [channels.stdout, channels.stderr].filter((file) => parts[file.channel].length > 0);
  try {
    for (const file of used) file.append(Buffer.concat(parts[file.channel]));
    journal.appendRecords(joinNeighbours(records));
  } catch (error) {
    for (const file of used) file.rollbackAppended();
    throw error;
  }
  for (const file of used) file.commitAppended();
}

/** Chunks of one channel with nothing of the other between them need one line only. */
function joinNeighbours(records: readonly NewTimelineRecord[]): readonly NewTimelineRecord[] {
  const joined: { channel: OutputChannelName; offset: number; bytes: number }[] = [];
  for (const record of records) {
    const last = joined.at(-1);
    if (last?.channel === record.channel) last.bytes += record.bytes;
    else joined.push({ ...record });
  }
  return joined;
}

const FLUSH_BYTES = 256 * 1024;
const FLUSH_CHUNKS = 8192;
