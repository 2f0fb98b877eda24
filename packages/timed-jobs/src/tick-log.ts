/**
 * The tick log: NDJSON, one file per UTC day.
 * Invariant: lines reach the file in the order they were written, and nothing here ever delays or fails a tick.
 */

import { appendFile, mkdir, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '@conductor-run/clock';
import { toError } from './errors.ts';
import type { Logger } from './logger.ts';

/** @internal One line, before it is dated and serialised. */
export interface TickLogEntry {
  readonly atMs: number;
  readonly runner: string;
  readonly stage: string;
  readonly batchId: string | undefined;
  readonly durationMs?: number | undefined;
  readonly result?: string | undefined;
  readonly error?: string | undefined;
  readonly details?: Readonly<Record<string, unknown>> | undefined;
}

/** @internal */
export interface TickLog {
  write(entry: TickLogEntry): void;
  /** Resolves when everything written so far is in its file, or was given up. */
  flush(): Promise<void>;
}

/** @internal Opens nothing yet: the directory is made when the first line is written. */
export function createTickLog(
  logDir: string | undefined,
  keptDays: number,
  clock: Clock,
  logger: Logger,
): TickLog {
  if (logDir === undefined) return { write: () => {}, flush: () => Promise.resolve() };
  const pending: { readonly day: string; readonly line: string }[] = [];
  let pendingLength = 0;
  let droppedCount = 0;
  let pump: Promise<void> | undefined;
  /** The file that is known to exist and to end with a newline. */
  let openDay: string | undefined;
  let reportedAtMs = -Infinity;

  const reportFailure = (error: unknown): void => {
    const nowMs = clock.monotonicMs();
    if (nowMs - reportedAtMs < REPORT_EVERY_MS) return;
    reportedAtMs = nowMs;
    logger.error({ err: toError(error), logDir, droppedCount }, 'tick-log.write-failed');
  };

  const drain = async (): Promise<void> => {
    while (pending.length > 0) {
      const batch = takeDay(pending);
      pendingLength -= batch.text.length;
      try {
        const isNewDay = openDay !== batch.day;
        if (isNewDay) await openFile(logDir, batch.day);
        openDay = batch.day;
        await appendFile(fileOf(logDir, batch.day), batch.text);
        if (isNewDay) await removeOld(logDir, batch.day, keptDays).catch(reportFailure);
      } catch (error) {
        // The write may have left half a line behind; opening again repairs that.
        openDay = undefined;
        droppedCount += batch.count;
        reportFailure(error);
      }
    }
    pump = undefined;
  };

  return {
    write(entry) {
      const line = `${formatEntry(entry)}\n`;
      if (pendingLength + line.length > MAX_PENDING_LENGTH) {
        droppedCount += 1;
        reportFailure(new Error(`Tick log is behind by ${pendingLength} characters`));
        return;
      }
      pending.push({ day: dayOf(entry.atMs), line });
      pendingLength += line.length;
      pump ??= drain();
    },
    async flush() {
      await pump;
    },
  };
}

/** Removes from `pending` and joins the leading lines of one day. */
function takeDay(pending: { readonly day: string; readonly line: string }[]): {
  readonly day: string;
  readonly text: string;
  readonly count: number;
} {
  const day = pending[0]?.day ?? '';
  const end = pending.findIndex((line) => line.day !== day);
  const lines = pending.splice(0, end === -1 ? pending.length : end);
  return { day, text: lines.map(({ line }) => line).join(''), count: lines.length };
}

/** Makes the directory and, when a crash or a full disk tore the last line, ends that line. */
async function openFile(logDir: string, day: string): Promise<void> {
  await mkdir(logDir, { recursive: true });
  const file = await open(fileOf(logDir, day), 'a+');
  try {
    const { size } = await file.stat();
    if (size === 0) return;
    const { buffer } = await file.read({ buffer: Buffer.alloc(1), position: size - 1 });
    if (buffer[0] !== NEWLINE) await file.appendFile('\n');
  } finally {
    await file.close();
  }
}

/**
 * Removes the oldest days beyond `keptDays`, never `today`. Days are counted, not subtracted from today: a wall clock that
 * jumps a year ahead makes one more day, not all others old.
 */
async function removeOld(logDir: string, today: string, keptDays: number): Promise<void> {
  const others = (await readdir(logDir)).filter((name) => LOG_FILE.test(name) && name !== `${today}.jsonl`);
  const excess = others.toSorted().slice(0, Math.max(0, others.length - (keptDays - 1)));
  // Another process that logs here may remove the same.
  for (const name of excess) await rm(join(logDir, name), { force: true });
}

function formatEntry(entry: TickLogEntry): string {
  const fixed = {
    ts: new Date(entry.atMs).toISOString(),
    runner: entry.runner,
    stage: entry.stage,
    batch_id: entry.batchId ?? null,
    duration_ms: entry.durationMs === undefined ? null : Math.round(entry.durationMs * 10) / 10,
    result: entry.result ?? null,
    error: entry.error ?? null,
  };
  try {
    const details: Record<string, unknown> = {};
    for (const [key, value] of Object.entries(entry.details ?? {})) {
      details[Object.hasOwn(fixed, key) ? `details_${key}` : key] = value;
    }
    return JSON.stringify({ ...fixed, ...details }, jsonValue);
  } catch (error) {
    // A circular value, a throwing getter or a throwing toJSON costs the details, never the line.
    return JSON.stringify({ ...fixed, details_error: toError(error).message });
  }
}

function jsonValue(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  return value;
}

function dayOf(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 10);
}

function fileOf(logDir: string, day: string): string {
  return join(logDir, `${day}.jsonl`);
}

const LOG_FILE = /^\d{4}-\d{2}-\d{2}\.jsonl$/;
const NEWLINE = 0x0a;
const REPORT_EVERY_MS = 60_000;
/** About 4,000 lines; more than that waiting means the disk does not answer. */
const MAX_PENDING_LENGTH = 1_048_576;
