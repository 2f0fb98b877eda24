/**
 * `events.ndjson`: the structured events of a run, numbered, each with the offset of the raw file it was read up to.
 * Invariant: an event is stored exactly once, also when its reader is killed between reading and storing; the file is
 * never larger than its bound, but for the notes of answers.
 */
import { closeSync, fstatSync, ftruncateSync, openSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';

import { z } from 'zod';

import { systemCodeOf } from './errors.ts';
import { createLineReader, type LineReader } from './line-reader.ts';
import { STEP_EVENT_KINDS, type ReportedEvent, type StepEvent } from './step-events.ts';

/** The file's name inside a run directory. */
export const EVENT_LOG_FILE = 'events.ndjson';

/** What a line of the log says: an event, read up to `rawOffset` of the raw file, or that a question was answered. */
export type StoredLine =
  | { readonly event: StepEvent; readonly rawOffset: number; readonly answered?: never }
  | { readonly answered: string; readonly event?: never };

/** Reads what is stored, then appends. */
export interface EventLog {
  /**
   * The next line of those that former readers stored, or `undefined` after the last. A torn last line is then cut off,
   * and the log can be appended to.
   */
  nextStored(): StoredLine | undefined;
  /**
   * Numbers and stores one event, read up to `rawOffset` of the raw file. Throws where nothing can be written, such as
   * a full disk.
   *
   * @returns `undefined`, with nothing stored, when the log would grow beyond its bound
   */
  append(event: ReportedEvent, rawOffset: number, createdAt: number): StepEvent | undefined;
  /** Remembers that the question of this id was answered. */
  markAnswered(id: string): void;
  /** Closes the file. */
  close(): void;
}

/**
 * Opens the log.
 *
 * @param runDir - the run's directory
 * @param maxBytes - how large it may grow
 */
export function openEventLog(runDir: string, maxBytes: number): EventLog {
  const path = join(runDir, EVENT_LOG_FILE);
  let stored: StoredLines | undefined = openStored(path);
  let seq = 0;
  let bytes = 0;
  // Opened at the first event: most steps report none.
  let fd: number | undefined;
  const write = (line: Buffer): void => {
    fd ??= openSync(path, 'a', FILE_MODE);
    appendWhole(fd, line);
    bytes += line.length;
  };
  return {
    nextStored() {
      const line = stored?.next();
      if (line?.event !== undefined) seq = line.event.seq;
      if (line === undefined && stored !== undefined) {
        bytes = stored.end();
        stored = undefined;
      }
      return line;
    },
    append(event, rawOffset, createdAt) {
      const numbered: StepEvent = { seq: seq + 1, createdAt, ...event };
      const line = toLine({ ...numbered, rawOffset });
      if (bytes + line.length > maxBytes) return undefined;
      write(line);
      seq += 1;
      return numbered;
    },
    markAnswered: (id) => write(toLine({ answered: id })),
    close() {
      stored?.close();
      stored = undefined;
      if (fd !== undefined) closeSync(fd);
      fd = undefined;
    },
  };
}

function toLine(record: object): Buffer {
  return Buffer.from(`${JSON.stringify(record)}\n`);
}

/** A disk that fills up takes the first part of a line: the next line must not go on from there. */
function appendWhole(fd: number, line: Buffer): void {
  let written = 0;
  try {
    while (written < line.length) written += writeSync(fd, line, written);
  } catch (error) {
    if (written > 0) ftruncateSync(fd, fstatSync(fd).size - written);
    throw error;
  }
}

/**
 * Reads the structured events of a run, live or ended. All of them are then in memory: `followStepEvents` gives them one
 * by one.
 *
 * @param runDir - the run's directory
 * @returns an empty list when the step reported none; a torn last line is left out
 */
export function readStepEvents(runDir: string): readonly StepEvent[] {
  const stored = openStored(join(runDir, EVENT_LOG_FILE));
  const events: StepEvent[] = [];
  try {
    for (let line = stored?.next(); line !== undefined; line = stored?.next()) {
      if (line.event !== undefined) events.push(line.event);
    }
  } finally {
    stored?.close();
  }
  return events;
}

interface StoredLines {
  next(): StoredLine | undefined;
  /** Cuts off a torn last line and closes. Returns the size of what is left, in bytes. */
  end(): number;
  close(): void;
}

/** `undefined` when there is no log. */
function openStored(path: string): StoredLines | undefined {
  const fd = openIfThere(path);
  if (fd === undefined) return undefined;
  const reader = createLogReader(fd);
  let goodBytes = 0;
  return {
    next() {
      const { stored, endOffset } = nextStoredLine(reader) ?? { endOffset: goodBytes };
      goodBytes = endOffset;
      return stored;
    },
    end() {
      const isTorn = fstatSync(fd).size > goodBytes;
      closeSync(fd);
      if (isTorn) truncateSync(path, goodBytes);
      return goodBytes;
    },
    close: () => closeSync(fd),
  };
}

/** Opens a log for reading; `undefined` when there is none. */
export function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, 'r');
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Reads a log. A torn line is cut off by the run's next owner, whose next event then lies in its place. */
export function createLogReader(fd: number): LineReader {
  return createLineReader({ fd, fromOffset: 0, maxLineBytes: MAX_STORED_LINE_BYTES, mayBeCut: true });
}

/**
 * The next line that says something.
 *
 * @param reader - of a log
 * @returns `undefined` when there is no whole line; without `stored` when all whole lines were torn by a crash and then
 * continued
 */
export function nextStoredLine(
  reader: LineReader,
): { readonly stored?: StoredLine; readonly endOffset: number } | undefined {
  let last: { readonly endOffset: number } | undefined;
  for (let line = reader.next(); line !== undefined; line = reader.next()) {
    const stored = parseStoredLine(line.text ?? '');
    if (stored !== undefined) return { stored, endOffset: line.endOffset };
    last = line;
  }
  return last === undefined ? undefined : { endOffset: last.endOffset };
}

function parseStoredLine(line: string): StoredLine | undefined {
  const parsed = storedLine.safeParse(parseJson(line));
  if (!parsed.success) return undefined;
  if ('answered' in parsed.data) return parsed.data;
  const { rawOffset, id, ...event } = parsed.data;
  return { event: { ...event, ...(id === undefined ? {} : { id }) }, rawOffset };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // A line that was torn by a crash and then continued: the schema refuses it.
    return undefined;
  }
}

const storedEvent = z.object({
  seq: z.int().min(1),
  createdAt: z.number(),
  kind: z.enum(STEP_EVENT_KINDS),
  id: z.string().optional(),
  body: z.record(z.string(), z.unknown()),
  rawOffset: z.int().min(0),
});
const storedLine = z.union([storedEvent, z.object({ answered: z.string() })]);
const FILE_MODE = 0o600;
/** A line of 1 MiB grows when its numbers are written out. */
const MAX_STORED_LINE_BYTES = 16 * 1024 * 1024;
