/** Reading jobs. Never waits for writers: in WAL mode a reader sees the last commit. */
import type { Database } from 'better-sqlite3';
import { z } from 'zod';
import type { AttemptPage, JobReads } from './job-store.ts';
import type { Attempt } from './jobs.ts';
import { requireInteger, requireText } from './options.ts';
import type { ReadStatements } from './read-statements.ts';
import type { ListRequest } from './requests.ts';
import type { JobPage, KindStats, StoreStats } from './results.ts';
import {
  parseAttemptRow,
  parseInteger,
  parseJobRow,
  parseText,
  rowToAttempt,
  rowToJob,
  rowToSlot,
  type ReadLargeValue,
} from './rows.ts';
import type { SlotStatements } from './slot-statements.ts';
import type { Prepared } from './statements.ts';

/** @internal What reading needs of its connection. */
export interface ReadContext {
  readonly db: Database;
  readonly reads: ReadStatements;
  readonly slots: SlotStatements;
  readonly readLargeValue: ReadLargeValue;
}

/** @internal */
export function createReads(context: ReadContext): JobReads {
  const { db, reads, slots, readLargeValue } = context;
  return {
    get(kind, key) {
      const row = reads.job.get({ kind, key });
      return row === undefined ? undefined : rowToJob(parseJobRow(row), readLargeValue);
    },
    list: (request = {}) => listJobs(context, request),
    attempts: (kind, key, page = {}) => listAttempts(reads, kind, key, page),
    stats: rememberUnchanged(
      db,
      reads,
      db.transaction(() => countJobs(reads)),
    ),
    slotCursor(schedule) {
      const cursor = slots.cursor.get({ schedule });
      return cursor === undefined ? undefined : parseInteger(cursor);
    },
    slots(schedule, { limit = DEFAULT_LIMIT, beforeMs = Number.MAX_SAFE_INTEGER } = {}) {
      requireText('schedule', schedule);
      requireInteger('limit', limit, 1, MAX_LIMIT);
      requireInteger('beforeMs', beforeMs, 0);
      return slots.slots.all({ schedule, limit, beforeMs }).map(rowToSlot);
    },
  };
}

/** @internal The same reads, each after a check that may throw; `toError` makes of a failure what callers get. */
export function guardReads(
  reads: JobReads,
  check: () => void,
  toError: (error: unknown) => unknown,
): JobReads {
  const guarded =
    <Args extends unknown[], Result>(read: (...args: Args) => Result) =>
    (...args: Args): Result => {
      check();
      try {
        return read(...args);
      } catch (error) {
        throw toError(error);
      }
    };
  return {
    get: guarded((kind, key) => reads.get(kind, key)),
    list: guarded((request) => reads.list(request)),
    attempts: guarded((kind, key, page) => reads.attempts(kind, key, page)),
    stats: guarded(() => reads.stats()),
    slotCursor: guarded((schedule) => reads.slotCursor(schedule)),
    slots: guarded((schedule, page) => reads.slots(schedule, page)),
  };
}

function listAttempts(reads: ReadStatements, kind: string, key: string, page: AttemptPage): Attempt[] {
  const { limit, afterToken } = page;
  if (limit !== undefined) requireInteger('limit', limit, 1, MAX_LIMIT);
  if (afterToken !== undefined) requireInteger('afterToken', afterToken, 0);
  const rows =
    limit !== undefined && afterToken === undefined
      ? reads.latestAttempts.all({ kind, key, limit }).toReversed()
      : reads.attemptsAfter.all({ kind, key, afterToken: afterToken ?? 0, limit: limit ?? UNLIMITED });
  return rows.map(parseAttemptRow).map(rowToAttempt);
}

function listJobs(context: ReadContext, request: ListRequest): JobPage {
  const { kind, status, isDirty, keyPrefix } = request;
  const limit = requireInteger('limit', request.limit ?? DEFAULT_LIMIT, 1, MAX_LIMIT);
  const [afterKind, afterKey] = request.cursor === undefined ? ['', ''] : parseCursor(request.cursor);
  const jobs = listStatement(context.reads, status)
    .all({
      afterKind,
      afterKey,
      limit: limit + 1,
      kind: kind ?? null,
      status: status ?? null,
      isDirty: isDirty === undefined ? null : Number(isDirty),
      prefix: keyPrefix ?? null,
    })
    .map((row) => rowToJob(parseJobRow(row), context.readLargeValue));
  const page = jobs.slice(0, limit);
  const last = page.at(-1);
  const hasMore = jobs.length > limit && last !== undefined;
  return { jobs: page, nextCursor: hasMore ? JSON.stringify([last.kind, last.key]) : undefined };
}

/** Few jobs run or are unwell among many finished ones; their partial indexes find them without reading the rest. */
function listStatement(reads: ReadStatements, status: ListRequest['status']): Prepared {
  switch (status) {
    case 'running':
      return reads.listRunning;
    case 'error':
    case 'cancelled':
      return reads.listUnwell;
    case 'pending':
    case 'done':
    case undefined:
      break;
  }
  return reads.list;
}

function parseCursor(cursor: string): [string, string] {
  try {
    return cursorSchema.parse(JSON.parse(cursor));
  } catch (error) {
    throw new RangeError(`Cannot list jobs after "${cursor}": no cursor, expected a page's nextCursor`, {
      cause: error,
    });
  }
}

/** Counts again only when somebody has changed the file since. */
function rememberUnchanged(db: Database, reads: ReadStatements, count: () => StoreStats): () => StoreStats {
  let known: { readonly stamp: string; readonly stats: StoreStats } | undefined;
  return () => {
    // What is counted in a transaction may be rolled back, and no stamp tells.
    if (db.inTransaction) return count();
    // Taken before counting: what is committed meanwhile makes the next caller count.
    const stamp = `${parseInteger(reads.foreignChanges.get({}))} ${parseInteger(reads.ownChanges.get({}))}`;
    if (known?.stamp !== stamp) known = { stamp, stats: count() };
    return known.stats;
  };
}

function countJobs(reads: ReadStatements): StoreStats {
  const paused = new Set(reads.pausedKinds.all({}).map(parseText));
  const rows = reads.counts.all({}).map((row) => countRow.parse(row));
  const names = [...new Set([...rows.map(({ kind }) => kind), ...paused])]
    .filter((kind) => kind !== '')
    .sort();
  const kinds = names.map((kind): KindStats => {
    const count = (what: z.output<typeof countRow>['what']): number =>
      rows.find((row) => row.kind === kind && row.what === what)?.count ?? 0;
    const counts = {
      ready: count('ready'),
      waiting: count('waiting'),
      running: count('running'),
      exhausted: count('exhausted'),
      cancelled: count('cancelled'),
    };
    const notDone = Object.values(counts).reduce((sum, each) => sum + each, 0);
    const oldest = reads.oldestReady.get({ kind });
    return {
      kind,
      ...counts,
      done: count('total') - notDone,
      oldestReadyDueAtMs: oldest === null || oldest === undefined ? undefined : parseInteger(oldest),
      isPaused: paused.has(kind),
    };
  });
  return { kinds, isPaused: paused.has('') };
}

const cursorSchema = z.tuple([z.string(), z.string()]);
const countRow = z.strictObject({
  kind: z.string(),
  what: z.enum(['total', 'ready', 'waiting', 'running', 'exhausted', 'cancelled']),
  count: z.int(),
});
/** To SQLite. */
const UNLIMITED = -1;
const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1000;
