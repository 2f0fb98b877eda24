/**
 * `events.ndjson`: the structured events of a run, numbered, each with the offset of the raw file it was read up to.
 * Invariant: an event is stored exactly once, also when its reader is killed between reading and storing.
 */
import { closeSync, fstatSync, ftruncateSync, openSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';

import { z } from 'zod';

import { readIfThere } from './files.ts';
import { STEP_EVENT_KINDS, type ReportedEvent, type StepEvent } from './step-events.ts';

/** The file's name inside a run directory. */
export const EVENT_LOG_FILE = 'events.ndjson';

/** Stored events of a run. */
export interface StoredEvents {
  /** In the order of their sequence. */
  readonly events: readonly StepEvent[];
  /** How far the raw file had been read when the last of them was stored. */
  readonly rawOffset: number;
  /** Ids of `authorize` events whose answer was sent. */
  readonly answeredIds: ReadonlySet<string>;
}

/** Appends to the log. */
export interface EventLog {
  /** Numbers and stores one event, read up to `rawOffset` of the raw file. Throws where nothing can be written, such as a full disk. */
  append(event: ReportedEvent, rawOffset: number, createdAt: number): StepEvent;
  /** Remembers that the question of this id was answered. */
  markAnswered(id: string): void;
  /** Closes the file. */
  close(): void;
}

/**
 * Opens the log for appending, cutting off a torn last line.
 *
 * @param runDir - the run's directory
 * @returns the log, and what it holds already
 */
export function openEventLog(runDir: string): { readonly log: EventLog; readonly stored: StoredEvents } {
  const path = join(runDir, EVENT_LOG_FILE);
  const { stored, goodBytes, totalBytes } = readLog(path);
  if (totalBytes > goodBytes) truncateSync(path, goodBytes);
  let seq = stored.events.at(-1)?.seq ?? 0;
  // Opened at the first event: most steps report none.
  let fd: number | undefined;
  const write = (record: object): void => {
    fd ??= openSync(path, 'a', FILE_MODE);
    appendWhole(fd, Buffer.from(`${JSON.stringify(record)}\n`));
  };
  const log: EventLog = {
    append(event, rawOffset, createdAt) {
      const line: StepEvent = { seq: seq + 1, createdAt, ...event };
      write({ ...line, rawOffset });
      seq += 1;
      return line;
    },
    markAnswered: (id) => write({ answered: id }),
    close() {
      if (fd !== undefined) closeSync(fd);
      fd = undefined;
    },
  };
  return { log, stored };
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
 * Reads the structured events of a run, live or ended.
 *
 * @param runDir - the run's directory
 * @returns an empty list when the step reported none; a torn last line is left out
 */
export function readStepEvents(runDir: string): readonly StepEvent[] {
  return readLog(join(runDir, EVENT_LOG_FILE)).stored.events;
}

function readLog(path: string): { stored: StoredEvents; goodBytes: number; totalBytes: number } {
  const content = readIfThere(path) ?? Buffer.alloc(0);
  const events: StepEvent[] = [];
  const answeredIds = new Set<string>();
  let rawOffset = 0;
  let goodBytes = 0;
  for (let end = content.indexOf(NEWLINE); end >= 0; end = content.indexOf(NEWLINE, goodBytes)) {
    const stored = parseStoredLine(content.toString('utf8', goodBytes, end));
    goodBytes = end + 1;
    if (stored === undefined) continue;
    if ('answered' in stored) answeredIds.add(stored.answered);
    else {
      events.push(stored.event);
      rawOffset = stored.rawOffset;
    }
  }
  return { stored: { events, rawOffset, answeredIds }, goodBytes, totalBytes: content.length };
}

/**
 * Parses one line of the log.
 *
 * @param line - without its newline
 * @returns `undefined` for a line that was torn by a crash and then continued
 */
export function parseStoredLine(
  line: string,
): { readonly event: StepEvent; readonly rawOffset: number } | { readonly answered: string } | undefined {
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
const NEWLINE = 10;
const FILE_MODE = 0o600;
