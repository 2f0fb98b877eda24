/**
 * Runs commands against an engine and the reference side by side, with several workers, expiries and crashes.
 * Invariants checked after every command: the store says what the reference says, of every attempt too; tokens only
 * grow; watermarks never go down; live leases never exceed a limit; a stale lease changes nothing.
 */
import assert from 'node:assert/strict';
import type { ManualClock } from '@conductor-run/clock';
import type { JobStore } from '../job-store.ts';
import type { Job, Lease } from '../jobs.ts';
import {
  breakDown,
  callOff,
  finish,
  freshJob,
  giveBack,
  isClaimable,
  raise,
  start,
  tryAgain,
  type ReferenceJob,
} from './reference-job.ts';

/** One step of a run. Plain data, so that a failing run can be written down. */
export type ModelCommand =
  | {
      readonly type: 'enqueue';
      readonly worker: number;
      readonly key: number;
      readonly watermark?: number;
      readonly retries?: number;
    }
  | { readonly type: 'claimNext'; readonly worker: number; readonly limit: number; readonly perKind?: number }
  | { readonly type: 'claim'; readonly worker: number; readonly key: number }
  | {
      readonly type: 'heartbeat' | 'succeed' | 'fail' | 'release';
      readonly worker: number;
      /** Which of all leases ever given out, stale ones included. */
      readonly lease: number;
    }
  | { readonly type: 'cancel' | 'retry'; readonly worker: number; readonly key: number }
  | { readonly type: 'advance'; readonly ms: number }
  | { readonly type: 'reopen'; readonly worker: number }
  | { readonly type: 'crash'; readonly worker: number; readonly statements: number };

/** Where a run happens. */
export interface ModelRun {
  /** Moves only by the commands. */
  readonly clock: ManualClock;
  /** Opens the store once more; default retry fixed at 1,000 ms, 2 retries. */
  open(): Promise<JobStore>;
  /**
   * Ends every process at once while `victim` is in the middle of a transaction, `statements` statements in. What `open`
   * gives afterwards is what is left.
   */
  crash(victim: JobStore, statements: number): Promise<void>;
}

/**
 * Runs the commands.
 *
 * @param run - the engine
 * @param commands - what to do
 * @throws AssertionError when an invariant does not hold
 */
export async function runModel(run: ModelRun, commands: readonly ModelCommand[]): Promise<void> {
  const model = new Model(run);
  try {
    for (const command of commands) {
      await model.apply(command);
      await model.compare();
    }
  } finally {
    await model.close();
  }
}

const KIND = 'k';
const LEASE_MS = 3000;
const RETRY_MS = 1000;

class Model {
  readonly #run: ModelRun;
  readonly #jobs = new Map<string, ReferenceJob>();
  readonly #leases: Lease[] = [];
  readonly #stores = new Map<number, JobStore>();
  #lastToken = 0;

  constructor(run: ModelRun) {
    this.#run = run;
  }

  async close(): Promise<void> {
    for (const store of this.#stores.values()) await store.close();
    this.#stores.clear();
  }

  async apply(command: ModelCommand): Promise<void> {
    switch (command.type) {
      case 'enqueue':
        return this.#enqueue(command);
      case 'claimNext':
        return this.#claimNext(command);
      case 'claim':
        return this.#claim(command);
      case 'heartbeat':
      case 'succeed':
      case 'fail':
      case 'release':
        return this.#useLease(command);
      case 'cancel':
        await (await this.#store(command.worker)).cancel(KIND, `${command.key}`);
        return this.#change(`${command.key}`, callOff);
      case 'retry':
        await (await this.#store(command.worker)).retry(KIND, `${command.key}`);
        return this.#change(`${command.key}`, (job) => tryAgain(job, this.#nowMs()));
      case 'advance':
        return this.#run.clock.advance(command.ms);
      case 'reopen':
        await this.#stores.get(command.worker)?.close();
        this.#stores.delete(command.worker);
        return undefined;
      case 'crash':
        await this.#run.crash(await this.#store(command.worker), command.statements);
        return this.close();
    }
    return undefined;
  }

  async compare(): Promise<void> {
    const store = [...this.#stores.values()][0] ?? (await this.#store(0));
    const { jobs } = await store.list();
    const expected = [...this.#jobs]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, job]) => expectedView(key, job));
    assert.deepEqual(jobs.map(actualView), expected);
    for (const job of jobs) {
      assert.ok(job.lastSuccessWatermark <= job.inputWatermark);
      const attempts = await store.attempts(job.kind, job.key);
      assert.deepEqual(
        attempts.map(({ attempt, token, outcome }) => ({ attempt, token, outcome })),
        this.#jobs.get(job.key)?.attempts.map((attempt, index) => ({ attempt: index + 1, ...attempt })),
      );
    }
  }

  async #enqueue(command: Extract<ModelCommand, { type: 'enqueue' }>): Promise<void> {
    const { key, watermark, retries } = command;
    const request = {
      ...(watermark === undefined ? {} : { watermark }),
      ...(retries === undefined ? {} : { retries }),
    };
    const before = this.#jobs.get(`${key}`);
    const result = await (
      await this.#store(command.worker)
    ).enqueue({ kind: KIND, key: `${key}`, ...request });
    const after = raise(before, { watermark, retries }, this.#nowMs());
    this.#jobs.set(`${key}`, after);
    assert.deepEqual([result.watermark, result.isRaised], [after.input, after !== before]);
  }

  async #claimNext(command: Extract<ModelCommand, { type: 'claimNext' }>): Promise<void> {
    const { worker, limit, perKind } = command;
    const store = await this.#store(worker);
    const limits = perKind === undefined ? {} : { limits: { perKind } };
    const leases = await store.claimNext({ workerId: `w${worker}`, leaseMs: LEASE_MS, limit, ...limits });
    this.#expire();
    const room = Math.max(0, (perKind ?? Infinity) - this.#running());
    const expected = [...this.#jobs]
      .filter(([, job]) => isClaimable(job, this.#nowMs()))
      .sort(([a, x], [b, y]) => x.dueAtMs - y.dueAtMs || (a < b ? -1 : 1))
      .slice(0, Math.min(limit, room))
      .map(([key]) => key);
    assert.deepEqual(
      leases.map(({ key }) => key),
      expected,
    );
    for (const lease of leases) this.#take(lease);
    if (perKind !== undefined && leases.length > 0) assert.ok(this.#running() <= perKind);
  }

  async #claim(command: Extract<ModelCommand, { type: 'claim' }>): Promise<void> {
    const key = `${command.key}`;
    const store = await this.#store(command.worker);
    const result = await store.claim({ kind: KIND, key, workerId: `w${command.worker}`, leaseMs: LEASE_MS });
    this.#expire();
    const job = this.#jobs.get(key) ?? freshJob(1, undefined, this.#nowMs());
    assert.equal(result.outcome, isClaimable(job, this.#nowMs()) ? 'claimed' : 'refused');
    if (result.outcome === 'refused') return;
    this.#jobs.set(key, job);
    this.#take(result.lease);
  }

  async #useLease(command: Extract<ModelCommand, { readonly lease: number }>): Promise<void> {
    const lease = this.#leases[command.lease % Math.max(1, this.#leases.length)];
    if (lease === undefined) return;
    const store = await this.#store(command.worker);
    const isCurrent = this.#jobs.get(lease.key)?.token === lease.token;
    const { outcome } = await useLease(store, command.type, lease);
    assert.equal(outcome !== 'lease-lost', isCurrent);
    if (!isCurrent) return;
    this.#change(lease.key, (job) => {
      switch (command.type) {
        case 'heartbeat':
          return { ...job, leaseUntilMs: this.#nowMs() + LEASE_MS };
        case 'succeed':
          return finish(job);
        case 'fail':
          return breakDown(job, 'failed', this.#nowMs() + RETRY_MS);
        case 'release':
          break;
      }
      return giveBack(job);
    });
  }

  #take(lease: Lease): void {
    assert.ok(lease.token > this.#lastToken, 'tokens only grow');
    this.#lastToken = lease.token;
    this.#leases.push(lease);
    this.#change(lease.key, (job) => start(job, lease.token, lease.leaseUntilMs));
    assert.equal(lease.watermark, this.#jobs.get(lease.key)?.input);
  }

  #expire(): void {
    for (const [key, job] of this.#jobs) {
      if (job.status === 'running' && job.leaseUntilMs <= this.#nowMs()) {
        this.#jobs.set(key, breakDown(job, 'lost', this.#nowMs()));
      }
    }
  }

  #change(key: string, change: (job: ReferenceJob) => ReferenceJob): void {
    const job = this.#jobs.get(key);
    if (job !== undefined) this.#jobs.set(key, change(job));
  }

  #running(): number {
    return [...this.#jobs.values()].filter(({ status }) => status === 'running').length;
  }

  #nowMs(): number {
    return this.#run.clock.nowMs();
  }

  async #store(worker: number): Promise<JobStore> {
    const open = this.#stores.get(worker) ?? (await this.#run.open());
    this.#stores.set(worker, open);
    return open;
  }
}

function useLease(
  store: JobStore,
  type: 'heartbeat' | 'succeed' | 'fail' | 'release',
  lease: Lease,
): Promise<{ readonly outcome: string }> {
  switch (type) {
    case 'heartbeat':
      return store.heartbeat(lease, LEASE_MS);
    case 'succeed':
      return store.succeed(lease);
    case 'fail':
      return store.fail(lease, { error: 'broken' });
    case 'release':
      break;
  }
  return store.release(lease);
}

function actualView(job: Job): object {
  return {
    key: job.key,
    status: job.status,
    input: job.inputWatermark,
    success: job.lastSuccessWatermark,
    isDirty: job.isDirty,
    retryAtMs: job.retryAtMs,
    failed: job.failedAttempts,
    attempt: job.attempt,
    token: job.token,
  };
}

function expectedView(key: string, job: ReferenceJob): object {
  return {
    key,
    status: job.status,
    input: job.input,
    success: job.success,
    isDirty: job.input > job.success,
    retryAtMs: job.retryAtMs,
    failed: job.failed,
    attempt: job.attempt,
    token: job.token,
  };
}
