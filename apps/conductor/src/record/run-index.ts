/**
 * Finds runs among many without reading them all: task ids carry their time, so a page reads its own runs only.
 * Invariant: what is remembered is checked against the file system by one look at each use; a record that has changed
 * is read again. An ended run never changes, so one that a filter leaves out is passed by.
 */
import { existsSync, statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import path from 'node:path';

import type { Clock } from '@conductor-run/clock';
import {
  isTerminalStatus,
  LoggingError,
  openRun,
  resolveRunPaths,
  type RunStatus,
  type RunSummary,
  type UnreadableRun,
} from '@conductor-run/logging';
import { decodeTime } from 'ulid';

import { ConductorError } from '../errors.ts';
import { jobOfTask } from '../task-id.ts';

/** Which runs, and how many of them. */
export interface RunPageRequest {
  /** Only runs of this job. */
  readonly job?: string | undefined;
  readonly status?: RunStatus | undefined;
  readonly limit: number;
  /** As a former page gave it. */
  readonly cursor?: string | undefined;
}

/** One page of runs. */
export interface RunPage {
  /** Newest task first, its newest run first. */
  readonly runs: readonly RunSummary[];
  readonly unreadable: readonly UnreadableRun[];
  /** `undefined` on the last page. A page that looked at many runs in vain may be short and yet not be the last. */
  readonly nextCursor: string | undefined;
}

/** The runs below a directory. */
export interface RunIndex {
  /** @throws ConductorError with code `usage` for a cursor that is none */
  page(request: RunPageRequest): Promise<RunPage>;
  /**
   * Finds `last`, a run by its id, or the newest run of a task or a job.
   *
   * @returns `undefined` when there is none
   * @throws LoggingError when there is one and it cannot be read
   */
  find(selector: string): Promise<RunSummary | undefined>;
  /** The runs of a task, in the order in which they began; none when there is no such task. */
  ofTask(taskId: string): Promise<readonly RunSummary[]>;
  /** The ids of all runs, which reads every task's directory. */
  allRunIds(): Promise<readonly string[]>;
}

/**
 * Makes an index; it reads nothing until it is asked.
 *
 * @param runsDir - the directory that holds all runs; absent is empty
 * @param clock - tells whether a directory changed so lately that it must be read again
 */
export function createRunIndex(runsDir: string, clock: Clock): RunIndex {
  const listings = createListings(clock);
  const records = new Map<string, { readonly stamp: string; readonly run: RunSummary }>();
  let known: { readonly names: readonly string[]; readonly tasks: readonly Task[] } | undefined;

  /** All tasks, newest first; sorted anew only when there are others. */
  async function allTasks(): Promise<readonly Task[]> {
    const names = await listings.names(runsDir);
    if (known?.names !== names) {
      const unseen = new Set(names);
      // Those that are known stay in order, which leaves the sort next to nothing to do.
      const tasks = (known?.tasks ?? []).filter((task) => unseen.delete(task.taskId));
      for (const taskId of unseen) tasks.push({ taskId, timeMs: timeOf(runsDir, taskId) });
      known = { names, tasks: tasks.sort(newestFirst) };
    }
    return known.tasks;
  }

  /** The ids of a task's runs, newest first. */
  async function runIds(taskId: string): Promise<readonly string[]> {
    return (await listings.names(path.join(runsDir, taskId))).toReversed();
  }

  function read(taskId: string, runId: string): RunSummary {
    const paths = resolveRunPaths({ runsDir, taskId, runId });
    const stamp = stampOf(paths.statePath);
    const cached = records.get(`${taskId}/${runId}`);
    if (cached !== undefined && cached.stamp === stamp) return cached.run;
    const reader = openRun(paths, { clock });
    const run = { paths, meta: reader.meta(), state: reader.state() };
    records.delete(`${taskId}/${runId}`);
    records.set(`${taskId}/${runId}`, { stamp, run });
    const [oldest] = records.keys();
    if (records.size > MAX_RECORDS && oldest !== undefined) records.delete(oldest);
    return run;
  }

  /** What has ended stays as it ended: no look is needed to leave it out. */
  function endedOtherwise(taskId: string, runId: string, status: RunStatus): boolean {
    const known = records.get(`${taskId}/${runId}`)?.run.state.status;
    return known !== undefined && known !== status && isTerminalStatus(known);
  }

  async function newestOf(tasks: Iterable<Task>): Promise<RunSummary | undefined> {
    for (const { taskId } of tasks) {
      const [runId] = await runIds(taskId);
      if (runId !== undefined) return read(taskId, runId);
    }
    return undefined;
  }

  /** A task is older than its runs, and hardly ever by much: the search begins at the run's own time and goes back. */
  async function findById(runId: string): Promise<RunSummary | undefined> {
    const tasks = await allTasks();
    const runTimeMs = decodeTime(runId);
    const older = tasks.filter((task) => task.timeMs <= runTimeMs);
    // Only a clock that was set back leaves a run in a younger task.
    const younger = tasks.slice(0, tasks.length - older.length);
    let looked = 0;
    for (const { taskId } of [...older, ...younger.toReversed()]) {
      if (existsSync(path.join(runsDir, taskId, runId))) return read(taskId, runId);
      looked += 1;
      if (looked % LOOKS_PER_TURN === 0) await nextTurn();
    }
    return undefined;
  }

  return {
    async page({ job, status, limit, cursor }) {
      const after = cursor === undefined ? undefined : parseCursor(cursor);
      const runs: RunSummary[] = [];
      const unreadable: UnreadableRun[] = [];
      let looked = 0;
      let last: string | undefined;
      for (const task of await allTasks()) {
        if (job !== undefined && jobOfTask(task.taskId) !== job) continue;
        if (after !== undefined && newestFirst(task, after) < 0) continue;
        for (const runId of await runIds(task.taskId)) {
          if (after?.taskId === task.taskId && runId >= after.runId) continue;
          if (runs.length >= limit || looked >= MAX_LOOKS) return { runs, unreadable, nextCursor: last };
          looked += 1;
          if (looked % LOOKS_PER_TURN === 0) await nextTurn();
          last = `${task.timeMs}~${task.taskId}~${runId}`;
          if (status !== undefined && endedOtherwise(task.taskId, runId, status)) continue;
          try {
            const run = read(task.taskId, runId);
            if (status === undefined || run.state.status === status) runs.push(run);
          } catch (error) {
            if (!(error instanceof LoggingError)) throw error;
            // A run that was removed since its directory was read is not unreadable.
            if (existsSync(path.join(runsDir, task.taskId, runId))) {
              unreadable.push({ taskId: task.taskId, runId, error });
            }
          }
        }
      }
      return { runs, unreadable, nextCursor: undefined };
    },
    async find(selector) {
      const tasks = await allTasks();
      if (selector === 'last') return newestOf(tasks);
      const byId = ULID.test(selector) ? await findById(selector) : undefined;
      return (
        byId ?? newestOf(tasks.filter(({ taskId }) => taskId === selector || jobOfTask(taskId) === selector))
      );
    },
    async ofTask(taskId) {
      return (await runIds(taskId)).map((runId) => read(taskId, runId)).toReversed();
    },
    async allRunIds() {
      const ids: string[] = [];
      for (const { taskId } of await allTasks()) ids.push(...(await runIds(taskId)));
      return ids;
    },
  };
}

interface Task {
  readonly taskId: string;
  /** When it was made, UTC ms. */
  readonly timeMs: number;
}

/** Names of directories, read again only when the directory above them has changed. */
function createListings(clock: Clock): { names(directory: string): Promise<readonly string[]> } {
  const listings = new Map<string, Listing>();
  const reading = new Map<string, Promise<Listing>>();

  const read = async (directory: string, stamp: string): Promise<Listing> => {
    const readAtMs = clock.nowMs();
    const entries = await readdir(directory, { withFileTypes: true });
    const names = entries.filter((entry) => entry.isDirectory() && NAME.test(entry.name));
    // A change within the same tick of the file system's clock would leave the stamp as it is.
    const isSettled = readAtMs - Number(stamp.split(' ', 1)[0]) > SETTLED_MS;
    return { stamp, readAtMs, isSettled, names: names.map((entry) => entry.name).sort() };
  };
  return {
    async names(directory) {
      const stamp = stampOf(directory);
      if (stamp === ABSENT) return [];
      const cached = listings.get(directory);
      if (cached?.stamp === stamp) {
        const ageMs = clock.nowMs() - cached.readAtMs;
        if (cached.isSettled || (ageMs >= 0 && ageMs < SETTLED_MS)) return cached.names;
      }
      // Whoever asks while it is read waits for the same answer: ten thousand names are a lot to read ten times.
      const key = `${stamp} ${directory}`;
      const pending = reading.get(key) ?? read(directory, stamp);
      reading.set(key, pending);
      try {
        const listing = await pending;
        listings.delete(directory);
        listings.set(directory, listing);
        const [oldest] = listings.keys();
        if (listings.size > MAX_RECORDS && oldest !== undefined) listings.delete(oldest);
        return listing.names;
      } finally {
        reading.delete(key);
      }
    },
  };
}

interface Listing {
  /** Of the directory, before it was read. */
  readonly stamp: string;
  readonly readAtMs: number;
  /** Whether the stamp tells every later change; without it the listing is good for `SETTLED_MS`. */
  readonly isSettled: boolean;
  readonly names: readonly string[];
}

/** Tells two states of a file or a directory apart. */
function stampOf(file: string): string {
  const entry = statSync(file, { throwIfNoEntry: false });
  return entry === undefined ? ABSENT : `${entry.mtimeMs} ${entry.ino} ${entry.size}`;
}

/** From the name where it carries a time, else from the directory. */
function timeOf(runsDir: string, taskId: string): number {
  const suffix = taskId.slice(-ULID_LENGTH);
  if (ULID.test(suffix)) return decodeTime(suffix);
  return Math.floor(statSync(path.join(runsDir, taskId), { throwIfNoEntry: false })?.birthtimeMs ?? 0);
}

function newestFirst(one: Task, other: Task): number {
  if (one.timeMs !== other.timeMs) return other.timeMs - one.timeMs;
  if (one.taskId === other.taskId) return 0;
  return one.taskId < other.taskId ? 1 : -1;
}

function parseCursor(cursor: string): Task & { readonly runId: string } {
  const [, timeMs, taskId, runId] = /^(\d{1,15})~([\w.-]{1,128})~([\w.-]{1,128})$/.exec(cursor) ?? [];
  if (timeMs !== undefined && taskId !== undefined && runId !== undefined) {
    return { timeMs: Number(timeMs), taskId, runId };
  }
  throw new ConductorError('usage', `Cannot go on at cursor "${cursor}": expected one that a page gave`);
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

const ABSENT = 'absent';
/** As `logging` has it for the ids of tasks and runs. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;
const ULID_LENGTH = 26;
/** Records and listings that are remembered, some kilobytes each. */
const MAX_RECORDS = 4_096;
/** Runs a page looks at. */
const MAX_LOOKS = 512;
const LOOKS_PER_TURN = 64;
/** Longer than a tick of any file system's clock; how old, at most, a page may be for that. */
const SETTLED_MS = 100;
