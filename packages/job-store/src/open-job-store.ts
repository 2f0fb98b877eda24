/** Opens a job store on SQLite: puts the connection, the verbs and the ways to run them together. */
import { createRealClock } from '@conductor-run/clock';
import type { Database } from 'better-sqlite3';
import { z } from 'zod';
import { openBell } from './bell.ts';
import { openConnection } from './connection.ts';
import { createDueSignals, type DueSignalSource } from './due-signals.ts';
import { createEngine, type Engine } from './engine.ts';
import { createAsyncReads, createGroupedWrites, createImmediateWrites } from './facades.ts';
import { createGate, type Gate } from './gate.ts';
import { createGroupCommit } from './group-commit.ts';
import { guardReads } from './job-reads.ts';
import type { Asynchronous, JobWrites } from './job-store.ts';
import type { Lease } from './jobs.ts';
import { silentLogger } from './logger.ts';
import type { Migration } from './migrate.ts';
import { JOBS_0001 } from './migrations/0001-jobs.ts';
import { LEADERSHIP_0001 } from './migrations/0001-leadership.ts';
import { LAST_ATTEMPTS_0002 } from './migrations/0002-last-attempts.ts';
import { FAIR_SWEEPS_0003 } from './migrations/0003-fair-sweeps.ts';
import { requireInteger, requireText } from './options.ts';
import { systemRandom } from './random.ts';
import { retryBusy } from './retry-busy.ts';
import type { ClaimNextRequest } from './requests.ts';
import { DEFAULT_RETRY_POLICY, requireRetryPolicy } from './retry-policy.ts';
import { parseInteger } from './rows.ts';
import { raiseFence } from './slots.ts';
import type { OpenJobStoreOptions, SqliteJobStore } from './sqlite-job-store.ts';
import { toStoreError } from './sqlite-errors.ts';
import { createSqliteLeadership, type SqliteLeadership } from './sqlite-leadership.ts';
import type { TransferFiles } from './sqlite-transfer.ts';
import { createStoreTransaction } from './store-transaction.ts';
import { createTransactions, type Transactions } from './transactions.ts';
import { createUpkeep } from './upkeep.ts';
import { runCall, type AnyVerb, type Call } from './verbs.ts';

/**
 * Opens a job store on SQLite, creating and migrating its files as needed. The caller closes it.
 * Any number of processes may have the same store open.
 *
 * @param options - where and how
 * @throws JobStoreError with code `network-file-system`, `schema-too-new`, `schema-mismatch`, `busy`, `corrupt`,
 *   `read-only` or `io`; TypeError or RangeError for bad options
 */
export async function openJobStore(options: OpenJobStoreOptions): Promise<SqliteJobStore> {
  const settings = requireOptions(options);
  const db = await openMainFile(settings);
  try {
    // What SQLite calls it: absolute, and the same for every link to it. All names beside it must be the same for all.
    const [{ file: path }] = databaseList.parse(db.pragma('database_list'));
    return createStore(db, { ...settings, path });
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Puts the parts of an open store together. */
function createStore(db: Database, settings: Settings): SqliteJobStore {
  const { path, clock, random, busyTimeoutMs, logger } = settings;
  const engine = createEngine(db, settings);
  const gate = createGate(path);
  const { requireOpen } = gate;
  const transactions = createTransactions({ ...settings, db });
  /** Nobody could catch what fails in a timer; the slow look goes on. */
  const readInTimer = <Value>(read: () => Value): Value | undefined => {
    try {
      return read();
    } catch (error) {
      logger.warn({ err: error, path }, 'due.unknown');
      return undefined;
    }
  };
  const signals = createDueSignals({
    clock,
    bell: openBell(`${path}-bell`, clock, logger),
    pollMs: settings.pollMs,
    nextInstantMs: () => readInTimer(() => toInteger(engine.readStatements.nextInstant.get({}))),
    hasReady: () => readInTimer(() => engine.readStatements.hasReady.get({})) !== undefined,
  });
  const onCommitted = (verbs: ReadonlySet<AnyVerb>): void => wakeFor(verbs, signals);
  const group = createGroupCommit({ ...settings, db, onCommitted });
  const leadership = createLeadership(settings, engine, transactions, gate);
  const upkeep = createUpkeep({
    path,
    db,
    clock,
    gate,
    transactions,
    openFiles: () => openTransferFiles(settings),
    beginWrite: async (files) => {
      for (const file of [files.main, files.leadership])
        await retryBusy(clock, busyTimeoutMs, random, () => file.exec('begin immediate'));
    },
    onImported: () => signals.wake(),
  });
  let closing: Promise<void> | undefined;

  const runNow = <Result>(call: Call<Result>): Result => {
    requireOpen();
    const result = transactions.now(() => runCall(call, clock.nowMs()));
    onCommitted(new Set([call.verb]));
    return result;
  };
  const toReadError = (error: unknown): unknown => toStoreError('read', path, error);
  const reads = guardReads(engine.reads, requireOpen, toReadError);
  const close = async (): Promise<void> => {
    gate.shut();
    await group.close();
    await gate.whenEmpty();
    signals.close();
    await leadership.close();
    db.close();
  };

  return {
    ...hearClaims(
      createGroupedWrites(engine.calls, (call) => group.submit(call)),
      signals,
      engine.isBehind,
    ),
    ...createAsyncReads(reads),
    ...leadership.calls,
    ...upkeep,
    onDue: (listener) => signals.onDue(listener),
    waitForDue: (waitOptions) => signals.waitForDue(waitOptions),
    sync: { ...createImmediateWrites(engine.calls, runNow), ...reads },
    transaction: (work) =>
      gate.run('write', async () => {
        const { tx, verbs, end } = createStoreTransaction(db, engine, clock, toReadError);
        const result = await transactions.whenFree(() => {
          try {
            return work(tx);
          } finally {
            // Before the commit or rollback: whoever kept it would write outside of both.
            end();
          }
        });
        onCommitted(verbs);
        return result;
      }),
    close: () => (closing ??= close()),
    async [Symbol.asyncDispose]() {
      await (closing ??= close());
    },
  };
}

type Settings = Required<OpenJobStoreOptions>;

function requireOptions(options: OpenJobStoreOptions): Settings {
  const settings: Settings = {
    path: requirePath(options.path),
    durability: requireDurability(options.durability ?? 'process'),
    retry: options.retry ?? DEFAULT_RETRY_POLICY,
    retries: requireInteger('retries', options.retries ?? DEFAULT_RETRIES, 0),
    busyTimeoutMs: requireInteger('busyTimeoutMs', options.busyTimeoutMs ?? DEFAULT_BUSY_TIMEOUT_MS, 0),
    pollMs: requireInteger('pollMs', options.pollMs ?? DEFAULT_POLL_MS, 1),
    clock: options.clock ?? createRealClock(),
    random: options.random ?? systemRandom,
    logger: options.logger ?? silentLogger,
  };
  requireRetryPolicy(settings.retry);
  return settings;
}

function requirePath(path: string): string {
  requireText('path', path, MAX_PATH_LENGTH);
  // SQLite takes these for a database without a file, which no other connection could open.
  if (path.trim() === path && path !== ':memory:') return path;
  throw new RangeError(
    `Cannot open job store "${path}": expected the path of a file, without spaces around it`,
  );
}

/** For callers without types: anything else would be taken for the weaker one. */
function requireDurability(durability: string): 'process' | 'power' {
  if (durability === 'process' || durability === 'power') return durability;
  throw new RangeError(`Cannot use durability "${durability}": expected "process" or "power"`);
}

function createLeadership(
  settings: Settings,
  engine: Engine,
  mainTransactions: Transactions,
  gate: Gate,
): SqliteLeadership {
  const { slotStatements } = engine;
  return createSqliteLeadership({
    clock: settings.clock,
    gate,
    async open() {
      const db = await openLeadershipFile(settings);
      return { db, transactions: createTransactions({ ...settings, db }) };
    },
    fencedTerm: (name) => toInteger(slotStatements.fence.get({ leadership: name })) ?? 0,
    raiseFence: async (name, term) => {
      await mainTransactions.whenFree(() => raiseFence(slotStatements, name, term));
    },
  });
}

function openMainFile(settings: Settings): Promise<Database> {
  const synchronous = settings.durability === 'power' ? 'full' : 'normal';
  return openConnection({ ...settings, synchronous, migrations: MAIN_MIGRATIONS });
}

function openLeadershipFile(settings: Settings): Promise<Database> {
  return openConnection({
    ...settings,
    path: `${settings.path}-leadership`,
    // Whatever the durability of jobs: a term that a power cut takes back could be given out twice.
    synchronous: 'full',
    migrations: [{ name: 'leadership', sql: LEADERSHIP_0001 }],
  });
}

async function openTransferFiles(settings: Settings): Promise<TransferFiles> {
  const main = await openMainFile(settings);
  try {
    const leadership = await openLeadershipFile(settings);
    return {
      main,
      leadership,
      [Symbol.dispose]() {
        main.close();
        leadership.close();
      },
    };
  } catch (error) {
    main.close();
    throw error;
  }
}

/** Tells waiting workers, in all processes, what the commit may mean for them. */
function wakeFor(verbs: ReadonlySet<AnyVerb>, signals: DueSignalSource): void {
  let hasRoom = false;
  for (const { wakes } of verbs) {
    if (wakes === 'for-work') {
      signals.wake();
      return;
    }
    if (wakes === 'for-room') hasRoom = true;
  }
  if (hasRoom) signals.wakeSoon();
}

/** Keeps the signals up to date about claims, so that a wait after an empty claim misses nothing. */
function hearClaims(
  writes: Asynchronous<JobWrites>,
  signals: DueSignalSource,
  isBehind: () => boolean,
): Asynchronous<JobWrites> {
  const noteClaimed = ({ limit = 1, kinds }: ClaimNextRequest, leases: readonly Lease[]): void => {
    if (leases.length >= limit || isBehind()) signals.noteMore(kinds);
  };
  return {
    ...writes,
    async claimNext(request) {
      signals.noteClaim(request.kinds);
      const leases = await writes.claimNext(request);
      noteClaimed(request, leases);
      return leases;
    },
    async completeAndClaim(lease, options, next) {
      signals.noteClaim(next.kinds);
      const result = await writes.completeAndClaim(lease, options, next);
      noteClaimed(next, result.leases);
      return result;
    },
  };
}

function toInteger(value: unknown): number | undefined {
  return value === null || value === undefined ? undefined : parseInteger(value);
}

const MAIN_MIGRATIONS: readonly Migration[] = [
  { name: 'jobs', sql: JOBS_0001 },
  { name: 'last-attempts', sql: LAST_ATTEMPTS_0002 },
  { name: 'fair-sweeps', sql: FAIR_SWEEPS_0003 },
];
const databaseList = z.tuple([z.object({ file: z.string().min(1) })]).rest(z.unknown());
const DEFAULT_RETRIES = 3;
const DEFAULT_BUSY_TIMEOUT_MS = 5000;
const DEFAULT_POLL_MS = 1000;
const MAX_PATH_LENGTH = 4096;
