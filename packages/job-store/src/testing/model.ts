/**
 * Runs commands against an engine and the reference side by side, with several workers, expiries and crashes.
 * Invariants checked after every command: the store says what the reference says, of every attempt too; tokens only
 * grow; watermarks never go down; live leases never exceed a limit; nobody is passed over who could have had a job; a stale
 * lease changes nothing; values come back as they were given.
 */
import assert from 'node:assert/strict';
import type { ManualClock } from '@conductor-run/clock';
import type { JobStore } from '../job-store.ts';
import type { Lease } from '../jobs.ts';
import {
  actualView,
  claimRequest,
  expectedView,
  kindName,
  kindOf,
  LEASE_MS,
  nameOf,
  useLease,
  type LeaseUse,
} from './model-calls.ts';
import type { ModelClaim, ModelCommand } from './model-command.ts';
import {
  breakDown,
  callOff,
  finish,
  freshJob,
  giveBack,
  isClaimable,
  prune,
  raise,
  start,
  tryAgain,
  type ReferenceJob,
} from './reference-job.ts';

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

const RETRY_MS = 1000;
/** Longer than any engine keeps in a row. */
const LARGE = 'x'.repeat(3000);

class Model {
  readonly #run: ModelRun;
  /** By kind and key, `k0/1`. */
  readonly #jobs = new Map<string, ReferenceJob>();
  readonly #leases: Lease[] = [];
  readonly #stores = new Map<number, JobStore>();
  /** The kinds that are paused; '' stands for all of them. */
  readonly #paused = new Set<string>();
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
      case 'enqueueMany': {
        const store = await this.#store(command.worker);
        const kind = kindName(command.kind);
        const { raised } = await store.enqueueMany(command.keys.map((key) => ({ kind, key: `${key}` })));
        assert.equal(raised, command.keys.length);
        for (const key of command.keys) this.#raise(`${kind}/${key}`, {});
        return undefined;
      }
      case 'claimNext': {
        const store = await this.#store(command.worker);
        const leases = await store.claimNext(claimRequest(command.worker, command));
        this.#expire();
        return this.#takeNext(command, leases);
      }
      case 'completeAndClaim':
        return this.#completeAndClaim(command);
      case 'claim':
        return this.#claim(command);
      case 'heartbeat':
      case 'succeed':
      case 'fail':
      case 'release':
        return this.#useLease(command);
      case 'cancel':
      case 'retry':
      case 'remove':
        return this.#usePerson(command);
      case 'pause':
      case 'resume':
        return this.#pause(command);
      case 'prune':
        return this.#prune(command);
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
      .map(([name, job]) => expectedView(name, job));
    assert.deepEqual(jobs.map(actualView), expected);
    for (const job of jobs) {
      assert.ok(job.lastSuccessWatermark <= job.inputWatermark);
      const attempts = await store.attempts(job.kind, job.key);
      assert.deepEqual(
        attempts.map(({ attempt, token, outcome }) => ({ attempt, token, outcome })),
        this.#jobs
          .get(nameOf(job))
          ?.attempts.map(({ token, outcome }, index) => ({ attempt: index + 1, token, outcome }))
          .filter(({ token }) => token > 0),
      );
    }
  }

  async #enqueue(command: Extract<ModelCommand, { type: 'enqueue' }>): Promise<void> {
    const { key, watermark, retries, dueInMs, concurrencyKey, isLarge } = command;
    const dueAtMs = dueInMs === undefined ? undefined : this.#nowMs() + dueInMs;
    const payload = isLarge === undefined ? undefined : isLarge ? LARGE : 'small';
    const group = concurrencyKey === undefined ? undefined : `c${concurrencyKey}`;
    const request = {
      ...(watermark === undefined ? {} : { watermark }),
      ...(retries === undefined ? {} : { retries }),
      ...(dueAtMs === undefined ? {} : { dueAtMs }),
      ...(payload === undefined ? {} : { payload }),
      ...(group === undefined ? {} : { concurrencyKey: group }),
    };
    const kind = kindName(command.kind);
    const before = this.#jobs.get(`${kind}/${key}`);
    const store = await this.#store(command.worker);
    const result = await store.enqueue({ kind, key: `${key}`, ...request });
    const after = this.#raise(`${kind}/${key}`, request);
    assert.deepEqual([result.watermark, result.isRaised], [after.input, after !== before]);
  }

  /** The choice between kinds is the engine's; within a kind it is by due time and key. */
  #takeNext(claim: ModelClaim, leases: readonly Lease[]): void {
    const { limit, perKind = Infinity, perConcurrencyKey = Infinity } = claim;
    const kinds = claim.kinds?.map(kindName);
    assert.ok(leases.length <= limit);
    const open = new Set(
      [...this.#jobs]
        .filter(([name, job]) => isClaimable(job, this.#nowMs()) && this.#isOpen(kindOf(name), kinds))
        .sort(([a, x], [b, y]) => x.dueAtMs - y.dueAtMs || (a < b ? -1 : 1))
        .map(([name]) => name),
    );
    const hasRoom = (name: string): boolean => {
      const group = this.#jobs.get(name)?.concurrencyKey;
      const inGroup = group === undefined ? 0 : this.#running((_, job) => job.concurrencyKey === group);
      return (
        this.#running((other) => kindOf(other) === kindOf(name)) < perKind && inGroup < perConcurrencyKey
      );
    };
    for (const lease of leases) {
      const name = nameOf(lease);
      assert.ok(open.has(name) && hasRoom(name), `${name} may not start`);
      // Whoever waits before it in its kind was held back by a limit of its concurrency key.
      for (const before of open) {
        if (before === name) break;
        if (kindOf(before) === kindOf(name)) assert.ok(!hasRoom(before), `${before} was passed over`);
      }
      open.delete(name);
      this.#take(lease);
    }
    if (leases.length === limit) return;
    for (const name of open) assert.ok(!hasRoom(name), `${name} was left`);
  }

  async #completeAndClaim(command: Extract<ModelCommand, { type: 'completeAndClaim' }>): Promise<void> {
    const lease = this.#leases[command.lease % Math.max(1, this.#leases.length)];
    if (lease === undefined) return;
    const store = await this.#store(command.worker);
    const isCurrent = this.#jobs.get(nameOf(lease))?.token === lease.token;
    const request = claimRequest(command.worker, command);
    const { completed, leases } = await store.completeAndClaim(lease, {}, request);
    assert.equal(completed.outcome !== 'lease-lost', isCurrent);
    if (isCurrent) this.#change(nameOf(lease), (job) => finish(job, undefined, this.#nowMs()));
    this.#expire();
    this.#takeNext(command, leases);
  }

  async #claim(command: Extract<ModelCommand, { type: 'claim' }>): Promise<void> {
    const [kind, key] = [kindName(command.kind), `${command.key}`];
    const name = `${kind}/${key}`;
    const store = await this.#store(command.worker);
    const result = await store.claim({ kind, key, workerId: `w${command.worker}`, leaseMs: LEASE_MS });
    if (!this.#isOpen(kind, undefined)) {
      assert.ok(result.outcome === 'refused' && result.reason === 'paused');
      return;
    }
    this.#expire();
    const job = this.#jobs.get(name) ?? freshJob(1, undefined, this.#nowMs());
    assert.equal(result.outcome, isClaimable(job, this.#nowMs()) ? 'claimed' : 'refused');
    if (result.outcome === 'refused') return;
    this.#jobs.set(name, job);
    this.#take(result.lease);
  }

  async #useLease(command: Extract<ModelCommand, { type: LeaseUse }>): Promise<void> {
    const lease = this.#leases[command.lease % Math.max(1, this.#leases.length)];
    if (lease === undefined) return;
    const store = await this.#store(command.worker);
    const result = command.isLarge === undefined ? undefined : command.isLarge ? LARGE : 'small';
    const isCurrent = this.#jobs.get(nameOf(lease))?.token === lease.token;
    const { outcome } = await useLease(store, command.type, lease, result);
    assert.equal(outcome !== 'lease-lost', isCurrent);
    if (!isCurrent) return;
    this.#change(nameOf(lease), (job) => {
      switch (command.type) {
        case 'heartbeat':
          return { ...job, leaseUntilMs: this.#nowMs() + LEASE_MS };
        case 'succeed':
          return finish(job, result, this.#nowMs());
        case 'fail':
          return breakDown(job, 'failed', this.#nowMs() + RETRY_MS, this.#nowMs());
        case 'release':
          break;
      }
      return giveBack(job, this.#nowMs());
    });
  }

  async #usePerson(command: Extract<ModelCommand, { type: 'cancel' | 'retry' | 'remove' }>): Promise<void> {
    const [kind, key] = [kindName(command.kind), `${command.key}`];
    const store = await this.#store(command.worker);
    await store[command.type](kind, key);
    if (command.type === 'cancel') this.#change(`${kind}/${key}`, (job) => callOff(job, this.#nowMs()));
    else if (command.type === 'retry') this.#change(`${kind}/${key}`, (job) => tryAgain(job, this.#nowMs()));
    else if (this.#jobs.get(`${kind}/${key}`)?.status !== 'running') this.#jobs.delete(`${kind}/${key}`);
  }

  async #pause({ type, worker, kind }: Extract<ModelCommand, { type: 'pause' | 'resume' }>): Promise<void> {
    const store = await this.#store(worker);
    const name = kind === undefined ? undefined : kindName(kind);
    const isChanged = await store[type](name);
    const was = this.#paused.has(name ?? '');
    assert.equal(isChanged, was === (type === 'resume'));
    if (type === 'pause') this.#paused.add(name ?? '');
    else this.#paused.delete(name ?? '');
  }

  async #prune({ worker, ageMs }: Extract<ModelCommand, { type: 'prune' }>): Promise<void> {
    const beforeMs = this.#nowMs() - ageMs;
    await (await this.#store(worker)).prune({ finishedBeforeMs: beforeMs });
    for (const [name, job] of this.#jobs) {
      const left = prune(job, beforeMs);
      if (left === undefined) this.#jobs.delete(name);
      else this.#jobs.set(name, left);
    }
  }

  #raise(name: string, request: Parameters<typeof raise>[1]): ReferenceJob {
    const after = raise(this.#jobs.get(name), request, this.#nowMs());
    this.#jobs.set(name, after);
    return after;
  }

  #take(lease: Lease): void {
    assert.ok(lease.token > this.#lastToken, 'tokens only grow');
    this.#lastToken = lease.token;
    this.#leases.push(lease);
    this.#change(nameOf(lease), (job) => start(job, lease.token, lease.leaseUntilMs));
    const job = this.#jobs.get(nameOf(lease));
    assert.deepEqual([lease.watermark, lease.payload], [job?.input, job?.payload]);
  }

  #isOpen(kind: string, kinds: readonly string[] | undefined): boolean {
    return !this.#paused.has('') && !this.#paused.has(kind) && (kinds?.includes(kind) ?? true);
  }

  #expire(): void {
    for (const [name, job] of this.#jobs) {
      if (job.status === 'running' && job.leaseUntilMs <= this.#nowMs()) {
        this.#jobs.set(name, breakDown(job, 'lost', this.#nowMs(), this.#nowMs()));
      }
    }
  }

  #change(name: string, change: (job: ReferenceJob) => ReferenceJob): void {
    const job = this.#jobs.get(name);
    if (job !== undefined) this.#jobs.set(name, change(job));
  }

  #running(isCounted: (name: string, job: ReferenceJob) => boolean): number {
    return [...this.#jobs].filter(([name, job]) => job.status === 'running' && isCounted(name, job)).length;
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
