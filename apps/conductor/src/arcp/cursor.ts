/**
 * How far the record of a job has been told to its client, as the text ARCP keeps with each event.
 * Invariant: what lies before the cursor is never told again, what lies behind it always is.
 */
import { z } from 'zod';

/** A place in the record of a job: a run, and how far each of its two sources has been told. */
export interface Cursor {
  /** Of the job, from 1. */
  attempt: number;
  /** The run of that attempt; runs of an attempt sort by their ids. */
  runId: string;
  /** The last structured event that was told, 0 for none. */
  seq: number;
  /** Where the last line of stdout that was told starts, in bytes; -1 for none. */
  lineOffset: number;
  /** Whether the client knows that lines were left out. */
  isCapped: boolean;
}

/** A run of an attempt. */
export interface RunPlace {
  readonly attempt: number;
  readonly runId: string;
}

/** The cursor of a run nothing of which was told. */
export function cursorAt({ attempt, runId }: RunPlace): Cursor {
  return { attempt, runId, seq: 0, lineOffset: -1, isCapped: false };
}

/** Whether a run lies before the one the cursor is in. */
export function isBefore(run: RunPlace, cursor: RunPlace): boolean {
  return run.attempt < cursor.attempt || (run.attempt === cursor.attempt && run.runId < cursor.runId);
}

/** The text that is kept with an event. */
export function formatCursor(cursor: Cursor): string {
  return JSON.stringify(cursor);
}

/**
 * Reads it back.
 *
 * @param text - what `formatCursor` made
 * @throws Error when it is something else
 */
export function parseCursor(text: string): Cursor {
  return cursorSchema.parse(JSON.parse(text));
}

const cursorSchema = z.object({
  attempt: z.int().min(1),
  runId: z.string().min(1),
  seq: z.int().min(0),
  lineOffset: z.int().min(-1),
  isCapped: z.boolean(),
});
