/**
 * Finds runs below a directory. Invariant: reads meta.json and state.json only, never a log, and gives the event loop a
 * turn every few runs.
 */
import { readFileSync, type Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { hasSystemCode, LoggingError } from './errors.ts';
import { parseRunMeta, parseRunState } from './record-schemas.ts';
import { isRunId, resolveRunPaths, type RunPaths } from './run-paths.ts';
import type { RunMeta, RunState } from './run-records.ts';
import type { RunStatus } from './run-status.ts';

/** Which runs to list. */
export interface RunFilter {
  /** Only this task's runs. */
  readonly taskId?: string;
  /** Only runs of these statuses. */
  readonly status?: RunStatus | readonly RunStatus[];
  /**
   * How many at most.
   *
   * @defaultValue no limit
   */
  readonly limit?: number;
  /** Only runs older than this one, as `RunListing.next` gives it: the next page. */
  readonly before?: RunCursor;
}

/** A place in the order of runs. */
export interface RunCursor {
  /** When the run there was made, UTC milliseconds. */
  readonly createdAt: number;
  /** Its task, which with the run's id breaks ties. */
  readonly taskId: string;
  /** Its id. */
  readonly runId: string;
}

/** One run as listed. */
export interface RunSummary {
  /** The run's files. */
  readonly paths: RunPaths;
  /** Who it is. */
  readonly meta: RunMeta;
  /** Where it stands. */
  readonly state: RunState;
}

/** A run directory whose meta.json or state.json cannot be read. */
export interface UnreadableRun {
  /** The task's id. */
  readonly taskId: string;
  /** The run's id. */
  readonly runId: string;
  /** Why. */
  readonly error: LoggingError;
}

/** A page of runs. */
export interface RunListing {
  /** Newest first, by `meta.createdAt`, then by ids. */
  readonly runs: readonly RunSummary[];
  /** For `RunFilter.before`; absent on the last page. */
  readonly next?: RunCursor;
  /** Directories that look like runs and cannot be read. Never listed as runs, never pruned. */
  readonly unreadable: readonly UnreadableRun[];
}

/**
 * Lists runs, newest first.
 *
 * @param runsDir - the directory that holds all runs; absent is empty
 * @param filter - which
 * @throws {@link LoggingError} with code `invalid-id` for a task id that is not a plain name; RangeError for a bad limit
 */
export async function listRuns(runsDir: string, filter: RunFilter = {}): Promise<RunListing> {
  const { limit = Number.POSITIVE_INFINITY, before } = filter;
  if (Number.isNaN(limit) || limit < 0) {
    throw new RangeError(`Cannot list "${limit}" runs: expected a number of at least 0`);
  }
  const wanted = filter.status === undefined ? undefined : new Set([filter.status].flat());
  const { found, unreadable } = await readMetas(runsDir, filter.taskId);
  const candidates = found
    .filter(({ meta }) => before === undefined || compareNewestFirst(meta, before) > 0)
    .sort((a, b) => compareNewestFirst(a.meta, b.meta));

  const runs: RunSummary[] = [];
  let seen = 0;
  for (const { paths, meta } of candidates) {
    if (runs.length >= limit) {
      const last = runs.at(-1);
      return { runs, unreadable, ...(last === undefined ? {} : { next: cursorOf(last.meta) }) };
    }
    if (++seen % RUNS_PER_TURN === 0) await nextTurn();
    const state = tryRead(unreadable, paths, () =>
      parseRunState(paths.statePath, readFileSync(paths.statePath, 'utf8')),
    );
    if (state !== undefined && (wanted === undefined || wanted.has(state.status))) {
      runs.push({ paths, meta, state });
    }
  }
  return { runs, unreadable };
}

/** @internal The names of task directories. */
export async function listTaskIds(runsDir: string): Promise<readonly string[]> {
  return listDirectories(runsDir, (entry) => isRunId(entry.name));
}

/** @internal The names of directories in `path` that `isWanted`; none when it is absent. */
export async function listDirectories(
  path: string,
  isWanted: (entry: Dirent) => boolean,
): Promise<readonly string[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory() && isWanted(entry)).map((entry) => entry.name);
  } catch (error) {
    if (hasSystemCode(error, 'ENOENT')) return [];
    throw error;
  }
}

/** @internal Lets everything else in this process run. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** @internal How many runs are looked at between two turns of the event loop. */
export const RUNS_PER_TURN = 32;

interface FoundRun {
  readonly paths: RunPaths;
  readonly meta: RunMeta;
}

async function readMetas(
  runsDir: string,
  taskId: string | undefined,
): Promise<{ readonly found: FoundRun[]; readonly unreadable: UnreadableRun[] }> {
  const found: FoundRun[] = [];
  const unreadable: UnreadableRun[] = [];
  if (taskId !== undefined) resolveRunPaths({ runsDir, taskId, runId: taskId });
  let seen = 0;
  for (const task of taskId === undefined ? await listTaskIds(runsDir) : [taskId]) {
    for (const runId of await listDirectories(join(runsDir, task), (entry) => isRunId(entry.name))) {
      const paths = resolveRunPaths({ runsDir, taskId: task, runId });
      const meta = tryRead(unreadable, paths, () =>
        parseRunMeta(paths.metaPath, readFileSync(paths.metaPath, 'utf8')),
      );
      if (meta !== undefined) found.push({ paths, meta });
      if (++seen % RUNS_PER_TURN === 0) await nextTurn();
    }
  }
  return { found, unreadable };
}

/** What `read` gives; `undefined`, and a note, when the run cannot be read. */
function tryRead<T>(unreadable: UnreadableRun[], paths: RunPaths, read: () => T): T | undefined {
  const { taskId, runId } = paths;
  try {
    return read();
  } catch (error) {
    const isOurs = error instanceof LoggingError;
    const known = isOurs
      ? error
      : new LoggingError(
          'record-unreadable',
          `Cannot read run "${runId}" of task "${taskId}": ${error instanceof Error ? error.message : String(error)}, expected readable records`,
          { cause: error },
        );
    unreadable.push({ taskId, runId, error: known });
    return undefined;
  }
}

function cursorOf({ createdAt, taskId, runId }: RunMeta): RunCursor {
  return { createdAt, taskId, runId };
}

function compareNewestFirst(a: RunCursor, b: RunCursor): number {
  return b.createdAt - a.createdAt || compareText(b.taskId, a.taskId) || compareText(b.runId, a.runId);
}

/** By code units: the same order on every machine, whatever its locale. */
function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
