/**
 * Group commit: the calls of one turn of the event loop share one transaction, each with its own result and failure.
 * Invariant: a promise resolves only after the commit of the transaction its call ran in.
 */
import type { Clock, Timer } from '@conductor-run/clock';
import type { Database } from 'better-sqlite3';
import { JobStoreError } from './errors.ts';
import { busyDelayMs, EAGER_TRIES } from './retry-busy.ts';
import { isBusy, toStoreError } from './sqlite-errors.ts';
import { finishTransaction, prepareTransaction } from './transactions.ts';
import { runCall, type AnyVerb, type Call } from './verbs.ts';

/** @internal What the group needs of its store. */
export interface GroupOptions {
  readonly db: Database;
  readonly path: string;
  readonly clock: Clock;
  readonly random: () => number;
  /** How long a call may wait for the write lock, in ms. */
  readonly busyTimeoutMs: number;
  /** Told after each commit which verbs ran. */
  readonly onCommitted: (verbs: ReadonlySet<AnyVerb>) => void;
}

/** @internal Collects calls and commits them together. */
export interface GroupCommit {
  /** Runs the call in the transaction of this turn. */
  submit<Result>(call: Call<Result>): Promise<Result>;
  /** Resolves when nothing is waiting any more; later calls are refused with code `closed`. */
  close(): Promise<void>;
}

/** A call and whom to tell. */
interface Waiting {
  readonly call: Call<unknown>;
  /** Monotonic ms after which a busy file is an error. */
  readonly deadlineMs: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** What became of a call. */
type Outcome = { readonly value: unknown } | { readonly error: unknown };

/** @internal */
export function createGroupCommit(options: GroupOptions): GroupCommit {
  const { db, path, clock, random, busyTimeoutMs, onCommitted } = options;
  const statements = prepareTransaction(db);
  let waiting: Waiting[] = [];
  let isScheduled = false;
  let isClosed = false;
  let refusals = 0;
  let turnDeadlineMs = 0;
  let retryTimer: Timer | undefined;
  let onIdle: (() => void) | undefined;

  const schedule = (): void => {
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(flush);
  };

  const flush = (): void => {
    isScheduled = false;
    retryTimer = undefined;
    const batch = waiting.splice(0, MAX_GROUP);
    try {
      if (batch.length > 0) settle(batch);
    } finally {
      if (waiting.length > 0 && retryTimer === undefined) schedule();
      if (waiting.length === 0 && retryTimer === undefined) onIdle?.();
    }
  };

  const settle = (batch: readonly Waiting[]): void => {
    let outcomes: Outcome[];
    try {
      outcomes = runTogether(batch);
      refusals = 0;
    } catch (error) {
      if (isBusy(error)) {
        waitForWriter(batch, error);
        return;
      }
      const reason = toStoreError('write', path, error);
      for (const { reject } of batch) reject(reason);
      return;
    }
    for (const [index, { resolve, reject }] of batch.entries()) {
      const outcome = outcomes[index];
      if (outcome === undefined || 'error' in outcome) reject(toStoreError('write', path, outcome?.error));
      else resolve(outcome.value);
    }
    onCommitted(new Set(batch.map(({ call }) => call.verb)));
  };

  /** The quick way: no savepoints. When a call fails, everything is rolled back and run again, one by one. */
  const runTogether = (batch: readonly Waiting[]): Outcome[] => {
    const idle = answerIdle(batch, clock.nowMs());
    if (idle !== undefined) return idle;
    try {
      return inTransaction(() => runInSets(batch, clock.nowMs()));
    } catch (error) {
      if (isBusy(error) || batch.length === 1) throw error;
      return inTransaction(() => batch.map(({ call }) => runAlone(call, clock.nowMs())));
    }
  };

  const inTransaction = (work: () => Outcome[]): Outcome[] => {
    statements.begin.run();
    return finishTransaction(db, statements, work);
  };

  const runAlone = (call: Call<unknown>, nowMs: number): Outcome => {
    db.exec('savepoint one_call');
    try {
      const value = runCall(call, nowMs);
      db.exec('release one_call');
      return { value };
    } catch (error) {
      // A full disk or a broken file has ended the whole transaction; there is nothing left to go on with.
      if (!db.inTransaction) throw error;
      db.exec('rollback to one_call; release one_call');
      return { error };
    }
  };

  const waitForWriter = (batch: readonly Waiting[], error: unknown): void => {
    refusals += 1;
    const reason = toStoreError('write', path, error);
    const nowMs = clock.monotonicMs();
    const patient = batch.filter(({ deadlineMs }) => deadlineMs > nowMs);
    for (const { deadlineMs, reject } of batch) if (deadlineMs <= nowMs) reject(reason);
    if (patient.length === 0) return;
    waiting = [...patient, ...waiting];
    if (refusals <= EAGER_TRIES) {
      schedule();
      return;
    }
    isScheduled = true;
    retryTimer = clock.setTimer(busyDelayMs(random), flush);
  };

  return {
    submit: <Result>(call: Call<Result>) =>
      new Promise<Result>((resolve, reject) => {
        if (isClosed) {
          reject(new JobStoreError('closed', `Cannot use job store "${path}": closed, expected an open one`));
          return;
        }
        // One look at the clock serves all calls of the turn.
        if (waiting.length === 0) turnDeadlineMs = clock.monotonicMs() + busyTimeoutMs;
        // The result that comes back for a call is the one its verb made for it.
        waiting.push({
          call,
          deadlineMs: turnDeadlineMs,
          resolve: (value) => resolve(value as Result),
          reject,
        });
        schedule();
      }),
    close() {
      isClosed = true;
      if (waiting.length === 0) return Promise.resolve();
      return new Promise((resolve) => {
        onIdle = resolve;
      });
    },
  };
}

/** The answers, when every call only asks for work and there is none: idle workers then take no write lock. */
function answerIdle(batch: readonly Waiting[], nowMs: number): Outcome[] | undefined {
  const outcomes: Outcome[] = [];
  for (const { call } of batch) {
    const value = call.verb.answerIdle?.(nowMs);
    if (value === undefined) return undefined;
    outcomes.push({ value });
  }
  return outcomes;
}

/** Runs neighbours of the same verb as one set, in the order of the calls. */
function runInSets(batch: readonly Waiting[], nowMs: number): Outcome[] {
  const outcomes: Outcome[] = [];
  let start = 0;
  for (let end = 1; end <= batch.length; end += 1) {
    const verb = batch[start]?.call.verb;
    if (end < batch.length && batch[end]?.call.verb === verb) continue;
    const requests = batch.slice(start, end).map(({ call }) => call.request);
    for (const value of verb?.run(requests, nowMs) ?? []) outcomes.push({ value });
    start = end;
  }
  return outcomes;
}

/** Bounds one transaction, and so how long the event loop and other writers wait for it. */
const MAX_GROUP = 500;
