/** Contract: at most one leader per term, terms that only grow, slots that are decided once. */
import assert from 'node:assert/strict';
import type { AcquireLeadershipResult } from '../leadership.ts';
import type { JobStore } from '../job-store.ts';
import { contractCase, type ContractCase, type ContractSetup } from './contract-case.ts';

const TTL_MS = 1000;
const ask = (
  store: JobStore,
  holderId: string,
  preferredHolderId?: string,
): Promise<AcquireLeadershipResult> =>
  store.acquireLeadership({
    name: 'leader',
    holderId,
    host: holderId,
    ttlMs: TTL_MS,
    ...(preferredHolderId === undefined ? {} : { preferredHolderId }),
  });
const slot = (term: number, slotMs: number, key = 'nightly'): Parameters<JobStore['decideSlot']>[0] => ({
  schedule: 'nightly',
  slotMs,
  term,
  decision: 'run',
  reason: 'due',
  effect: [{ kind: 'job', key, watermark: slotMs }],
});

/** @internal */
export function leadershipCases(setup: ContractSetup): readonly ContractCase[] {
  return [
    contractCase(
      setup,
      'given nobody leads, when two ask, one leads and renews',
      async ({ store, another }) => {
        const other = await another();

        const first = await ask(store, 'a');
        const second = await ask(other, 'b');
        const renewed = await ask(store, 'a');

        assert.deepEqual([first.isLeader, first.term, first.operation], [true, 1, 'acquire']);
        assert.deepEqual([second.isLeader, second.holderId, second.operation], [false, 'a', 'rejected']);
        assert.deepEqual([renewed.isLeader, renewed.term, renewed.operation], [true, 1, 'renew']);
      },
    ),
    contractCase(
      setup,
      'given a leader that stopped renewing, when it was watched for its ttl, another takes over with a higher term',
      async ({ store, another, clock }) => {
        const other = await another();
        await ask(store, 'a');
        assert.equal((await ask(other, 'b')).isLeader, false);
        await clock.advance(TTL_MS - 1);
        assert.equal((await ask(other, 'b')).isLeader, false);

        await clock.advance(1);

        const taken = await ask(other, 'b');
        assert.deepEqual([taken.isLeader, taken.term, taken.operation], [true, 2, 'acquire']);
        assert.deepEqual((await ask(store, 'a')).operation, 'rejected');
        const terms = await store.leadershipTerms('leader');
        assert.deepEqual(
          terms.map(({ term, holderId, endedBy }) => [term, holderId, endedBy]),
          [
            [2, 'b', undefined],
            [1, 'a', 'superseded'],
          ],
        );
      },
    ),
    contractCase(
      setup,
      'given a wall clock that jumps, when others ask, the leader stays',
      async ({ store, another, clock }) => {
        const other = await another();
        await ask(store, 'a');
        await ask(other, 'b');

        clock.setWallTime(clock.nowMs() + 3_600_000);
        assert.equal((await ask(other, 'b')).isLeader, false);
        clock.setWallTime(clock.nowMs() - 7_200_000);

        assert.equal((await ask(other, 'b')).isLeader, false);
      },
    ),
    contractCase(
      setup,
      'given a holder whose term others have passed, when it asks, it stops leading and waits for a ttl',
      async ({ store, clock }) => {
        const ask = { name: 'leader', holderId: 'a', host: 'a', ttlMs: 1000 };
        await store.acquireLeadership(ask);
        await store.decideSlot({ schedule: 's', slotMs: 1, term: 5, decision: 'run' });

        const asked = await store.acquireLeadership(ask);
        await clock.advance(999);
        const early = await store.acquireLeadership(ask);
        await clock.advance(1);
        const again = await store.acquireLeadership(ask);

        assert.deepEqual([asked.isLeader, early.isLeader], [false, false]);
        assert.deepEqual([again.isLeader, again.term], [true, 6]);
      },
    ),
    contractCase(
      setup,
      'given a resignation, when another asks, it leads at once with a higher term',
      async ({ store, another }) => {
        const other = await another();
        await ask(store, 'a');
        assert.equal(await other.resignLeadership('leader', 'b'), false);

        assert.equal(await store.resignLeadership('leader', 'a'), true);

        assert.equal((await store.leadership('leader'))?.holderId, undefined);
        assert.equal((await ask(other, 'b')).term, 2);
        assert.equal((await ask(store, 'a')).isLeader, false);
      },
    ),
    contractCase(
      setup,
      'given a preferred holder, when the leadership is free, others wait one ttl longer',
      async ({ store, another, clock }) => {
        const other = await another();
        assert.equal((await ask(store, 'a', 'b')).isLeader, false);
        await clock.advance(TTL_MS - 1);
        assert.equal((await ask(store, 'a', 'b')).isLeader, false);

        assert.equal((await ask(other, 'b', 'b')).isLeader, true);
      },
    ),
    contractCase(
      setup,
      'given a slot, when it is decided, record, cursor and watermark move together and only once',
      async ({ store }) => {
        const { term } = await ask(store, 'a');

        assert.deepEqual(await store.decideSlot(slot(term, 5000)), { outcome: 'decided' });
        assert.deepEqual(await store.decideSlot({ ...slot(term, 5000, 'twice'), decision: 'skip' }), {
          outcome: 'already-decided',
          decision: 'run',
        });

        assert.equal(await store.slotCursor('nightly'), 5000);
        assert.equal((await store.get('job', 'nightly'))?.inputWatermark, 5000);
        assert.equal(await store.get('job', 'twice'), undefined);
        assert.deepEqual(
          (await store.slots('nightly')).map(({ slotMs, decision, reason }) => [slotMs, decision, reason]),
          [[5000, 'run', 'due']],
        );
      },
    ),
    contractCase(
      setup,
      'given a new leader that has decided nothing yet, when the old one decides, it is refused',
      async ({ store, another }) => {
        const other = await another();
        const old = await ask(store, 'a');
        await store.decideSlot(slot(old.term, 1000));
        await store.resignLeadership('leader', 'a');
        const { term } = await ask(other, 'b');

        const late = await store.decideSlot(slot(old.term, 2000, 'late'));

        assert.deepEqual(late, { outcome: 'stale-term', currentTerm: term });
        assert.equal(await store.get('job', 'late'), undefined);
        assert.equal(await store.slotCursor('nightly'), 1000);
      },
    ),
    contractCase(
      setup,
      'given a decided slot, when an earlier one is decided, it is refused and has no effect, and pages go back from an instant',
      async ({ store }) => {
        const { term } = await ask(store, 'a');
        for (const slotMs of [1000, 2000, 3000]) await store.decideSlot(slot(term, slotMs));

        const late = { ...slot(term, 1500), effect: [{ kind: 'late', key: 'k' }] };
        assert.deepEqual(await store.decideSlot(late), { outcome: 'already-decided', decision: undefined });

        assert.equal(await store.get('late', 'k'), undefined);
        const page = await store.slots('nightly', { beforeMs: 3000, limit: 1 });
        assert.deepEqual(
          page.map(({ slotMs }) => slotMs),
          [2000],
        );
      },
    ),
    contractCase(
      setup,
      'given slots of any number, when they are pruned, those decided before the instant go, and still are decided',
      async ({ store, clock }) => {
        const { term } = await ask(store, 'a');
        await store.decideSlot(slot(term, 1000));
        await clock.advance(10);
        const beforeMs = clock.nowMs();
        await store.decideSlot(slot(term, 2000));

        assert.equal(await store.pruneSlots(beforeMs), 1);

        assert.deepEqual(await store.decideSlot(slot(term, 1000)), {
          outcome: 'already-decided',
          decision: undefined,
        });
        assert.deepEqual(
          (await store.slots('nightly')).map(({ slotMs }) => slotMs),
          [2000],
        );
      },
    ),
    contractCase(
      setup,
      'given signs of life, when they stop, the node is dead after its ttl and live again with the next',
      async ({ store, clock, another }) => {
        const watcher = await another();
        const beat = { nodeId: 'n1', host: 'h', ttlMs: 100, state: { running: 2 } };
        await store.nodeHeartbeat(beat);
        const isLive = async (): Promise<boolean | undefined> => (await watcher.nodes())[0]?.isLive;
        assert.equal(await isLive(), true);
        await clock.advance(100);
        assert.equal(await isLive(), false);

        await store.nodeHeartbeat(beat);

        assert.equal(await isLive(), true);
        assert.deepEqual((await watcher.nodes())[0]?.state, { running: 2 });
        assert.equal(await store.removeNode('n1'), true);
        assert.deepEqual(await watcher.nodes(), []);
      },
    ),
  ];
}
