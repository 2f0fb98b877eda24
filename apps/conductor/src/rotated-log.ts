/**
 * A log and the files it was rotated into, read as one: its last lines, then what comes.
 * Invariant: each line is given once, and the lines of one writer in order: a file is left only when nobody can write to it
 * any more.
 */
import type { BigIntStats } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { listRotatedLogs } from '@conductor-run/logging';
import type { Clock } from '@conductor-run/clock';

import { readLastLines, readLinesFrom } from './log-file.ts';

/** A log being read; close it with `await using`. */
export interface RotatedLog extends AsyncDisposable {
  /**
   * The last lines that are wanted, from as many files as it takes. Reading goes on behind them.
   *
   * @param count - how many at most
   * @param isWanted - which ones count
   * @returns `undefined` when there is no log at all
   */
  last(count: number, isWanted: (line: string) => boolean): Promise<readonly string[] | undefined>;
  /** The next lines, a block at a time; none when there are no more yet. */
  next(): Promise<readonly string[]>;
}

/**
 * Opens nothing yet.
 *
 * @param file - the path the daemons append to
 * @param clock - tells how long ago a file was left by its writers
 */
export function openRotatedLog(file: string, clock: Clock): RotatedLog {
  let current: OpenLog | undefined;
  let offset = 0;
  /** Rotated files up to this one are done with. Their names never come again, unlike the numbers of their inodes. */
  let donePath = '';

  /** The files there are after `donePath`, oldest first. The log is opened before the others are listed: none is missed. */
  const openAll = async (): Promise<readonly OpenLog[]> => {
    const newest = await openLog(file);
    const opened: OpenLog[] = [];
    for (const path of await listRotatedLogs(file)) {
      if (path <= donePath) continue;
      const rotated = await openLog(path);
      if (rotated === undefined) continue;
      opened.push(rotated);
      if (newest === undefined || rotated.id !== newest.id) continue;
      // It was rotated between the two: what came after it is for the next look.
      await newest.handle.close();
      return opened;
    }
    return newest === undefined ? opened : [...opened, newest];
  };

  /** How long a writer may still go on in a file that was rotated; 0 when none can. */
  const busyForMs = async ({ handle }: OpenLog): Promise<number> => {
    const quietMs = clock.nowMs() - (await handle.stat()).ctimeMs;
    // Far less than none: the wall clock was set back. A little less is only how finely the two clocks count.
    return Math.abs(quietMs) >= LEFT_AFTER_MS ? 0 : LEFT_AFTER_MS - quietMs;
  };

  /** The file to go on with; `undefined` while the one being read may still grow. */
  const findNext = async (): Promise<OpenLog | undefined> => {
    if (current !== undefined && (await idOf(file)) === current.id) return undefined;
    const logs = await openAll();
    const index = logs.findIndex(({ id }) => id === current?.id);
    const own = logs[index];
    const isLeft = own === undefined || (await busyForMs(own)) === 0;
    const next = isLeft ? logs[index + 1] : undefined;
    if (own !== undefined && next !== undefined) donePath = own.path;
    await closeAllBut(next, logs);
    return next;
  };

  const readOn = async (): Promise<readonly string[]> => {
    if (current === undefined) return [];
    const { lines, end } = await readLinesFrom(current.handle, offset);
    offset = end;
    return lines;
  };

  return {
    async last(count, isWanted) {
      const logs = await openAll();
      const newestRotated = logs.at(-2);
      if (newestRotated !== undefined) await clock.sleep(await busyForMs(newestRotated));
      donePath = newestRotated?.path ?? '';
      current = logs.at(-1);
      const lines: string[] = [];
      for (const log of logs.toReversed()) {
        const read = await readLastLines(log.handle, count - lines.length, isWanted);
        if (log === current) offset = read.end;
        lines.unshift(...read.lines);
        if (lines.length >= count) break;
      }
      await closeAllBut(current, logs);
      return current === undefined ? undefined : lines;
    },
    async next() {
      const lines = await readOn();
      if (lines.length > 0) return lines;
      const next = await findNext();
      if (next === undefined) return [];
      // Nobody writes to it any more: what is not read by now is read here.
      const rest = await readToEnd(readOn);
      await current?.handle.close();
      current = next;
      offset = 0;
      return rest.length > 0 ? rest : readOn();
    },
    async [Symbol.asyncDispose]() {
      await current?.handle.close();
      current = undefined;
    },
  };
}

/** All that is left: less than a second's worth. */
async function readToEnd(readOn: () => Promise<readonly string[]>): Promise<readonly string[]> {
  const all: string[] = [];
  for (let lines = await readOn(); lines.length > 0; lines = await readOn()) all.push(...lines);
  return all;
}

async function closeAllBut(kept: OpenLog | undefined, logs: readonly OpenLog[]): Promise<void> {
  for (const log of logs) if (log !== kept) await log.handle.close();
}

interface OpenLog {
  readonly handle: FileHandle;
  /** Where it was found. */
  readonly path: string;
  /** Which file it is, whatever it is called by now. */
  readonly id: string;
}

async function openLog(path: string): Promise<OpenLog | undefined> {
  const handle = await unlessAbsent(open(path, 'r'));
  if (handle === undefined) return undefined;
  return { handle, path, id: idOfStats(await handle.stat({ bigint: true })) };
}

async function idOf(path: string): Promise<string | undefined> {
  const stats = await unlessAbsent(stat(path, { bigint: true }));
  return stats === undefined ? undefined : idOfStats(stats);
}

function idOfStats({ dev, ino }: BigIntStats): string {
  return `${dev}-${ino}`;
}

async function unlessAbsent<T>(result: Promise<T>): Promise<T | undefined> {
  try {
    return await result;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Writers go on in a file for up to a second after it was rotated; this leaves another one for a slow machine. */
const LEFT_AFTER_MS = 2_000;
