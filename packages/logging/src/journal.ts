/**
 * The two journals of a run, worker.log and timeline.ndjson, and the one sequence that numbers both.
 * Invariant: a sequence number is given out only with the line that carries it, so numbers are dense and never repeat.
 */
import type { Clock } from '@conductor-run/clock';

import { openLineFile, type AppendFile } from './append-file.ts';
import type { RunFiles } from './run-files.ts';
import type { RunPaths } from './run-paths.ts';
import type {
  EventLevel,
  LifecycleEvent,
  LifecycleEventType,
  OutputChannelName,
  TimelineRecord,
} from './run-records.ts';
import { parseEventLine, parseTimelineLine } from './record-schemas.ts';
import { lastEventOf, readTimelineEnd } from './journal-tail.ts';

/** What happened, for `RunWriter.event`. */
export interface NewLifecycleEvent {
  /** What happened. */
  readonly type: LifecycleEventType;
  /**
   * How much it matters.
   *
   * @defaultValue 'info'
   */
  readonly level?: EventLevel;
  /** The same for people. */
  readonly message: string;
  /** The same for programs; must survive JSON. */
  readonly data?: Readonly<Record<string, unknown>>;
  /**
   * Whether the event is on the disk (fdatasync), not only in the system's cache, when the call returns. A killed
   * process loses neither; a power cut loses the second.
   *
   * @defaultValue false
   */
  readonly durable?: boolean;
}

/** @internal Bytes that appeared in a log. */
export type NewTimelineRecord = Omit<TimelineRecord, 'seq' | 'atMs'>;

/** @internal Both journals of one run, for the one process that writes it. */
export interface Journal {
  /** The highest sequence number given out. */
  lastSeq(): number;
  /** The newest timeline record of a channel that was there when the journal was opened. */
  lastRecordAtOpen(channel: OutputChannelName): TimelineRecord | undefined;
  /** Appends to worker.log; throws what the system threw. */
  appendEvent(event: NewLifecycleEvent): LifecycleEvent;
  /** Appends to timeline.ndjson, all or nothing; throws what the system threw. */
  appendRecords(records: readonly NewTimelineRecord[]): void;
  /** Closes both files. */
  close(): void;
}

/** @internal Opens the journals, cuts torn last lines, and goes on after the highest number found (or `minSeq`). */
export function openJournal(files: RunFiles, paths: RunPaths, clock: Clock, minSeq: number): Journal {
  const events = openLineFile(files, paths.eventsPath, (line) => parseEventLine(line) !== undefined);
  const timeline = openSecond(events, () =>
    openLineFile(files, paths.timelinePath, (line) => parseTimelineLine(line) !== undefined),
  );
  const timelineEnd = readTimelineEnd(paths);
  let seq = Math.max(minSeq, lastEventOf(paths)?.seq ?? 0, timelineEnd.lastSeq);

  return {
    lastSeq: () => seq,
    lastRecordAtOpen: (channel) => timelineEnd.lastRecords[channel],
    appendEvent({ type, level = 'info', message, data, durable = false }) {
      const event: LifecycleEvent = {
        seq: seq + 1,
        createdAt: clock.nowMs(),
        level,
        type,
        message,
        ...(data === undefined ? {} : { data }),
      };
      events.append(Buffer.from(`${JSON.stringify(event)}\n`));
      seq = event.seq;
      if (durable) events.dataSync();
      return event;
    },
    appendRecords(records) {
      const atMs = clock.nowMs();
      let text = '';
      let next = seq;
      for (const { channel, offset, bytes, spool } of records) {
        next += 1;
        const spoolField = spool === undefined ? '' : `,"spool":${spool}`;
        text += `{"seq":${next},"atMs":${atMs},"channel":"${channel}","offset":${offset},"bytes":${bytes}${spoolField}}\n`;
      }
      timeline.append(Buffer.from(text, 'latin1'));
      seq = next;
    },
    close() {
      events.close();
      timeline.close();
    },
  };
}

/** Both files or none. */
function openSecond(first: AppendFile, open: () => AppendFile): AppendFile {
  try {
    return open();
  } catch (error) {
    first.close();
    throw error;
  }
}
