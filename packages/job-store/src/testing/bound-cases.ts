/** Contract: numbers and texts at the edge are refused or kept, and never make a store that cannot be read. */
import assert from 'node:assert/strict';
import type { JobStore } from '../job-store.ts';
import type { Lease } from '../jobs.ts';
import {
  BUILD,
  BY_ALICE,
  claimOnly,
  contractCase,
  enqueueAndClaim,
  jobOf,
  LEASE_MS,
  type ContractCase,
  type ContractSetup,
} from './contract-case.ts';

/** The highest watermark and term, the last instant and the longest duration. */
const MAX = 8.64e15;

/** @internal */
export function boundCases(setup: ContractSetup): readonly ContractCase[] {
  return [
    contractCase(
      setup,
      'given numbers beyond every bound, when any call is made with them, it is refused and the store can be read',
      async ({ store }) => {
        const lease = await enqueueAndClaim(store);
        for (const call of callsBeyond(Number.MAX_SAFE_INTEGER, lease)) {
          await assert.rejects(call(store), RangeError);
          await assert.rejects(call(store), RangeError);
        }

        await requireReadable(store);
        assert.deepEqual(await store.succeed(lease), { outcome: 'succeeded', status: 'done' });
      },
    ),
    contractCase(
      setup,
      'given a watermark at the edge, when the job is raised again, that is refused and the job still runs',
      async ({ store }) => {
        await store.enqueue({ ...BUILD, watermark: MAX });

        await assert.rejects(store.enqueue(BUILD), RangeError);
        await assert.rejects(store.enqueueMany([{ ...BUILD, key: 'other' }, BUILD]), RangeError);

        assert.equal(await store.get('build', 'other'), undefined);
        assert.equal((await store.enqueue({ ...BUILD, watermark: MAX })).isRaised, false);
        const lease = await claimOnly(store);
        await store.succeed(lease, { watermark: MAX });
        assert.equal((await jobOf(store)).lastSuccessWatermark, MAX);
        await requireReadable(store);
      },
    ),
    contractCase(
      setup,
      'given the longest lease, delay and due time, when they are used, they end with time itself',
      async ({ store }) => {
        await store.enqueue(BUILD);
        const [lease = assert.fail()] = await store.claimNext({ ...BY_ALICE, leaseMs: MAX });
        assert.equal(lease.leaseUntilMs, MAX);
        const beat = await store.heartbeat(lease, MAX);
        assert.ok(beat.outcome === 'extended' && beat.leaseUntilMs === MAX);
        const retry = { policy: 'fixed', delayMs: MAX } as const;
        const failed = await store.fail(lease, { error: 'no', retry });
        assert.ok(failed.outcome === 'failed' && failed.retryAtMs === MAX);
        await store.enqueue({ ...BUILD, key: 'never', dueAtMs: MAX });

        assert.deepEqual(await store.claimNext(BY_ALICE), []);

        await requireReadable(store);
      },
    ),
    contractCase(
      setup,
      'given a term at the edge, when somebody asks to lead, that is refused and slots can still be decided',
      async ({ store }) => {
        const slot = { schedule: 's', slotMs: 1, term: MAX, decision: 'run' };
        const ask = { name: 'leader', holderId: 'a', host: 'a', ttlMs: MAX };
        assert.deepEqual(await store.decideSlot(slot), { outcome: 'decided' });

        await assert.rejects(store.acquireLeadership(ask), RangeError);

        assert.deepEqual(await store.decideSlot({ ...slot, slotMs: 2 }), { outcome: 'decided' });
        const other = await store.acquireLeadership({ ...ask, name: 'other' });
        assert.equal(other.leaseExpiresAtMs, MAX);
        await requireReadable(store);
      },
    ),
    contractCase(
      setup,
      'given texts that no engine gives back as they are, when they are used, they are refused',
      async ({ store }) => {
        for (const text of ['half \ud800', '\udc00 half', 'a\0b']) {
          await assert.rejects(store.enqueue({ ...BUILD, key: text }), TypeError);
          await assert.rejects(store.enqueue({ ...BUILD, kind: text }), TypeError);
          await assert.rejects(store.enqueue({ ...BUILD, concurrencyKey: text }), TypeError);
          await assert.rejects(store.claim({ ...BUILD, ...BY_ALICE, workerId: text }), TypeError);
        }

        assert.deepEqual((await store.list()).jobs, []);
        await store.enqueue({ ...BUILD, key: 'whole \u{1f600}' });
        assert.equal((await claimOnly(store)).key, 'whole \u{1f600}');
      },
    ),
    contractCase(
      setup,
      'given a wall clock that was set back, when an owner renews, its lease ends one lease from now',
      async ({ store, clock }) => {
        const lease = await enqueueAndClaim(store);
        clock.setWallTime(clock.nowMs() - 3_600_000);

        const renewed = await store.heartbeat(lease, LEASE_MS);

        assert.ok(renewed.outcome === 'extended');
        assert.equal(renewed.leaseUntilMs, clock.nowMs() + LEASE_MS);
        await clock.advance(LEASE_MS);
        await claimOnly(store);
      },
    ),
  ];
}

function callsBeyond(edge: number, lease: Lease): readonly ((store: JobStore) => Promise<unknown>)[] {
  const slot = { schedule: 's', slotMs: 1, term: 1, decision: 'run' };
  return [
    (store) => store.enqueue({ ...BUILD, watermark: edge }),
    (store) => store.enqueue({ ...BUILD, dueAtMs: edge }),
    (store) =>
      store.enqueueMany([
        { ...BUILD, key: 'other' },
        { ...BUILD, watermark: edge },
      ]),
    (store) => store.claim({ ...BUILD, ...BY_ALICE, leaseMs: edge }),
    (store) => store.claimNext({ ...BY_ALICE, leaseMs: edge }),
    (store) => store.heartbeat(lease, edge),
    (store) => store.heartbeatMany([lease], edge),
    (store) => store.succeed(lease, { watermark: edge }),
    (store) => store.fail(lease, { error: 'no', retry: { policy: 'fixed', delayMs: edge } }),
    (store) =>
      store.fail(lease, { error: 'no', retry: { policy: 'exponential', baseMs: edge, maxMs: edge } }),
    (store) => store.release(lease, { dueAtMs: edge }),
    (store) => store.completeAndClaim(lease, {}, { ...BY_ALICE, leaseMs: edge }),
    (store) => store.decideSlot({ ...slot, slotMs: edge }),
    (store) => store.decideSlot({ ...slot, term: edge }),
    (store) => store.decideSlot({ ...slot, effect: [{ ...BUILD, watermark: edge }] }),
    (store) => store.acquireLeadership({ name: 'leader', holderId: 'a', host: 'a', ttlMs: edge }),
    (store) => store.nodeHeartbeat({ nodeId: 'n', host: 'h', ttlMs: edge }),
  ];
}

/** Everything can be read, handed out, waited for and exported. */
async function requireReadable(store: JobStore): Promise<void> {
  await store.enqueue({ kind: 'other', key: '1' });
  const [lease = assert.fail()] = await store.claimNext({ ...BY_ALICE, kinds: ['other'] });
  await store.succeed(lease);
  await store.list();
  await store.stats();
  await store.nodes();
  assert.equal(await store.waitForDue(), true);
  let lines = 0;
  for await (const line of store.exportLines()) lines += line === '' ? 0 : 1;
  assert.ok(lines > 2);
}
