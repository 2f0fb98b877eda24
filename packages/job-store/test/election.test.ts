/** Elections on the manual clock: at most one leader, stopped in time, nothing left behind. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import type { ManualClock } from '@conductor-run/clock';
import {
  createHolderId,
  startElection,
  type Election,
  type ElectionOptions,
  type LeadershipStore,
  type SqliteJobStore,
} from '@conductor-run/job-store';
import * as fc from 'fast-check';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { setup, type Bundle } from './fixtures/stores.ts';

interface Candidate {
  readonly election: Election;
  readonly terms: number[];
  signal(): AbortSignal | undefined;
}

/** Fresh stores whose leadership files are open: opening takes real time, which the manual clock does not wait for. */
async function setupStores(): Promise<Bundle> {
  const bundle = await setup();
  await bundle.store.nodes();
  const open = async (): Promise<SqliteJobStore> => {
    const store = await bundle.open();
    await store.nodes();
    return store;
  };
  return { ...bundle, open };
}

function stand(
  store: LeadershipStore,
  clock: ManualClock,
  options: Partial<ElectionOptions> = {},
): Candidate {
  const terms: number[] = [];
  let last: AbortSignal | undefined;
  const election = startElection({
    store,
    host: 'host',
    clock,
    random: () => 0.5,
    onElected: (term, signal) => {
      terms.push(term);
      last = signal;
    },
    ...options,
  });
  return { election, terms, signal: () => last };
}

describe('startElection', () => {
  test('given two candidates, when the leader stops cleanly, the other leads within half a second', async () => {
    const { store, open, clock } = await setupStores();
    const first = stand(store, clock);
    await clock.advance(1);
    const second = stand(await open(), clock);
    await clock.advance(20_000);
    expect([first.election.term(), second.election.term()]).toEqual([1, undefined]);

    await first.election.stop();
    await clock.advance(500);

    expect(first.signal()?.aborted).toBe(true);
    expect(second.terms).toEqual([2]);
    await second.election.stop();
    expect(clock.pendingTimers()).toBe(0);
  });

  test('given a leader whose renewals hang, when its deadline passes, it stops before anybody else may start', async () => {
    const { store, open, clock } = await setupStores();
    let isHanging = false;
    const hanging: LeadershipStore = {
      ...store,
      acquireLeadership: (request) =>
        isHanging ? new Promise(() => undefined) : store.acquireLeadership(request),
    };
    const first = stand(hanging, clock);
    await clock.advance(1);
    const second = stand(await open(), clock);
    onTestFinished(() => second.election.stop());
    isHanging = true;

    await clock.advance(6000 + 2000);
    expect(first.election.term()).toBeUndefined();
    expect(first.signal()?.aborted).toBe(true);
    expect(second.election.term()).toBeUndefined();
    await clock.advance(20_000);

    expect(second.terms).toEqual([2]);
  });

  test('given a renewal that is answered after the deadline struck, when it says yes, its term is not led again', async () => {
    const { store, clock } = await setupStores();
    const gate: { until: Promise<undefined> } = { until: Promise.resolve(undefined) };
    const slow: LeadershipStore = {
      ...store,
      async acquireLeadership(request) {
        await gate.until;
        return store.acquireLeadership(request);
      },
    };
    const candidate = stand(slow, clock, { random: () => 0 });
    await clock.advance(2000);
    let resolve = (_value: undefined): void => undefined;
    gate.until = new Promise((settle) => {
      resolve = settle;
    });
    await clock.advance(6500);
    assert.equal(candidate.election.term(), undefined);

    resolve(undefined);
    await clock.advance(1);

    assert.equal(candidate.election.term(), undefined);
    await clock.advance(10_000);
    assert.deepEqual(candidate.terms, [1, 2]);
    await candidate.election.stop();
  });

  test('given a store that fails for longer than the deadline, when it works again, the next win has a new term', async () => {
    const { store, clock } = await setupStores();
    let isBroken = false;
    const broken: LeadershipStore = {
      ...store,
      acquireLeadership: (request) =>
        isBroken ? Promise.reject(new Error('disk full')) : store.acquireLeadership(request),
    };
    const candidate = stand(broken, clock);
    await clock.advance(1);
    isBroken = true;
    await clock.advance(7000);
    expect(candidate.election.term()).toBeUndefined();

    isBroken = false;
    await clock.advance(10_000);

    expect(candidate.terms).toEqual([1, 2]);
    await candidate.election.stop();
  });

  test('given a leadership that is lost and won 100 times, when it is over, no timer is left', async () => {
    const { store, clock } = await setupStores();
    const candidate = stand(store, clock);
    await clock.advance(1);

    for (let i = 0; i < 100; i += 1) {
      await store.resignLeadership('leader', candidate.election.holderId);
      await clock.advance(2000);
    }

    expect(candidate.terms).toEqual(Array.from({ length: 101 }, (_, i) => i + 1));
    await candidate.election.stop();
    await candidate.election.stop();
    expect(clock.pendingTimers()).toBe(0);
  });

  test('given twenty candidates at once, when they ask, exactly one leads', async () => {
    const { open, clock } = await setupStores();
    const candidates = await Promise.all(
      Array.from({ length: 20 }, async () => stand(await open(), clock, { random: Math.random })),
    );

    await clock.advance(10_000);

    expect(candidates.flatMap(({ terms }) => terms)).toEqual([1]);
    for (const { election } of candidates) await election.stop();
  });

  test.for([
    { ttlMs: 6000, renewDeadlineMs: 6000, retryMs: 2000 },
    { ttlMs: 10_000, renewDeadlineMs: 2400, retryMs: 2000 },
  ])(
    'given the ratios of %j, when an election starts, it is refused with all three numbers',
    async (timing) => {
      const { store, clock } = await setupStores();

      expect(() => stand(store, clock, timing)).toThrow(
        new RegExp(`${timing.ttlMs}.*${timing.renewDeadlineMs}.*${timing.retryMs}`),
      );
    },
  );

  test('given one host, when two identities are made, they differ', () => {
    expect(createHolderId('host')).not.toBe(createHolderId('host'));
  });
});

type LeadershipAndSlots = Pick<SqliteJobStore, 'acquireLeadership' | 'resignLeadership' | 'decideSlot'>;

const holder = fc.nat({ max: 2 });
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constant('ask' as const), holder }) },
  fc.record({ type: fc.constant('resign' as const), holder }),
  fc.record({ type: fc.constant('restart' as const), holder }),
  {
    weight: 3,
    arbitrary: fc.record({ type: fc.constant('decide' as const), holder, slot: fc.nat({ max: 9 }) }),
  },
  fc.record({ type: fc.constant('advance' as const), ms: fc.nat({ max: 1500 }) }),
  fc.record({ type: fc.constant('jump' as const), ms: fc.integer({ min: -9_000_000, max: 9_000_000 }) }),
);

type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

/** Plays one run against three stores and states the invariants after each step. */
async function playLeadership(
  { clock, stores, name }: { clock: ManualClock; stores: readonly LeadershipAndSlots[]; name: string },
  steps: readonly Step[],
): Promise<void> {
  const holders = stores.map((store, index) => ({ store, id: `${index}/0`, term: 0, starts: 0 }));
  const holderOfTerm = new Map<number, string>();
  const decided = new Set<number>();
  let highest = 0;
  for (const command of steps) {
    if (command.type === 'advance') await clock.advance(command.ms);
    else if (command.type === 'jump') clock.setWallTime(Math.max(0, clock.nowMs() + command.ms));
    else {
      const me = holders[command.holder];
      assert.ok(me !== undefined);
      if (command.type === 'restart') me.id = `${command.holder}/${(me.starts += 1)}`;
      else if (command.type === 'resign') await me.store.resignLeadership(name, me.id);
      else if (command.type === 'ask') {
        const result = await me.store.acquireLeadership({ name, holderId: me.id, host: 'h', ttlMs: 1000 });
        if (!result.isLeader) continue;
        me.term = result.term;
        assert.ok(result.operation === 'acquire' ? result.term > highest : result.term === highest);
        assert.equal(holderOfTerm.get(result.term) ?? me.id, me.id);
        holderOfTerm.set(result.term, me.id);
        highest = result.term;
      } else if (me.term > 0) {
        const slotMs = command.slot;
        const slot = { schedule: name, slotMs, leadership: name, term: me.term, decision: 'run' };
        const { outcome } = await me.store.decideSlot(slot);
        const isBehind = slotMs <= Math.max(-1, ...decided);
        const expected = isBehind ? 'already-decided' : 'decided';
        assert.equal(outcome, me.term < highest ? 'stale-term' : expected);
        if (outcome === 'decided') decided.add(slotMs);
      }
    }
  }
}

describe('leadership model', () => {
  test('given any interleaving of holders, restarts and clock jumps, when it runs, terms only grow, one holder has each, and slots are decided once and never under an old term', async () => {
    const { open, clock } = await setupStores();
    const stores = await Promise.all([open(), open(), open()]);
    let run = 0;
    const property = fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), (steps) =>
      playLeadership({ clock, stores, name: `run-${(run += 1)}` }, steps),
    );

    const result = await fc.check(property, { numRuns: inject('soak') ? 20_000 : 300 });

    expect(fc.defaultReportMessage(result)).toBeUndefined();
  });

  test('given a leadership file that was removed under its leader, when both ask on, at most one leads at any time and one stays', async () => {
    const { path, store, open, clock } = await setupStores();
    const ask = { name: 'leader', host: 'h', ttlMs: 1000 };
    await store.acquireLeadership({ ...ask, holderId: 'a' });
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${path}-leadership${suffix}`, { force: true });
    const other = await open();
    const leaders: string[] = [];

    for (let round = 0; round < 10; round += 1) {
      const b = await other.acquireLeadership({ ...ask, holderId: 'b' });
      const a = await store.acquireLeadership({ ...ask, holderId: 'a' });
      leaders.push(`${a.isLeader ? 'a' : ''}${b.isLeader ? 'b' : ''}`);
      await clock.advance(500);
    }

    assert.deepEqual([...new Set(leaders.slice(1))], ['b']);
  });

  test('given a leadership file that was lost, when somebody leads again, its term is above every one the jobs have seen', async () => {
    const { store, open, clock, path } = await setupStores();
    const lead = { name: 'leader', holderId: 'a', host: 'a', ttlMs: 1000 };
    await store.acquireLeadership(lead);
    await store.resignLeadership('leader', 'a');
    expect((await store.acquireLeadership(lead)).term).toBe(2);
    await store.close();
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${path}-leadership${suffix}`, { force: true });

    const reopened = await open();

    expect((await reopened.acquireLeadership({ ...lead, holderId: 'b' })).term).toBe(3);
    expect(clock.pendingTimers()).toBe(0);
  });
});

describe('where an election stands', () => {
  test('given renewals that fail, it is degraded from the second failure on, and a standby from its deadline on', async () => {
    const { store, clock } = await setupStores();
    let isFailing = false;
    const failing: LeadershipStore = {
      ...store,
      acquireLeadership: (request) =>
        isFailing ? Promise.reject(new Error('disk I/O error')) : store.acquireLeadership(request),
    };
    const { election } = stand(failing, clock);
    await clock.advance(1);
    expect(election.state()).toEqual({ role: 'leader', term: 1, failures: 0 });

    isFailing = true;
    await clock.advance(2 * 2000);
    expect(election.state()).toEqual({ role: 'degraded', term: 1, failures: 2 });
    await clock.advance(2000);

    expect(election.state()).toMatchObject({ role: 'standby', term: undefined });
    isFailing = false;
    await election.stop();
  });

  test('given an event loop that is too late for the deadline’s timer, the clock alone ends the term', async () => {
    const { store, clock } = await setupStores();
    // Monotonic time that runs on while no timer gets its turn.
    let blockedMs = 0;
    const { election } = stand(store, { ...clock, monotonicMs: () => clock.monotonicMs() + blockedMs });
    await clock.advance(1);
    expect(election.term()).toBe(1);

    blockedMs = 6000;

    expect(election.term()).toBeUndefined();
    blockedMs = 0;
    await election.stop();
  });
});
