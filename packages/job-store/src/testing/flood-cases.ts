/** Contract: however much waits in one kind, others get their turn, and no wait misses what becomes due. */
import assert from 'node:assert/strict';
import {
  BY_ALICE,
  contractCase,
  enqueueAndClaim,
  BUILD,
  LEASE_MS,
  type ContractCase,
  type ContractSetup,
} from './contract-case.ts';

/** More than an engine sweeps up in one claim. */
const FLOOD = 1200;

/** @internal */
export function floodCases(setup: ContractSetup): readonly ContractCase[] {
  const flood = (dueAtMs: number): readonly { kind: string; key: string; dueAtMs: number }[] =>
    Array.from({ length: FLOOD }, (_, i) => ({ kind: 'flood', key: `${i}`, dueAtMs }));
  return [
    contractCase(
      setup,
      'given a flood of one kind that falls due, when another kind is asked for, its job comes with the first claim',
      async ({ store, clock }) => {
        const dueAtMs = clock.nowMs() + 300;
        await store.enqueueMany(flood(dueAtMs));
        await store.enqueue({ kind: 'x', key: '1', dueAtMs: dueAtMs + 1 });
        await store.enqueue({ kind: 'y', key: '1', dueAtMs: dueAtMs + 1 });
        await clock.advance(301);

        const named = await store.claimNext({ ...BY_ALICE, kinds: ['x'] });
        const any = await store.claimNext({ ...BY_ALICE, limit: 4 });

        assert.deepEqual(
          named.map(({ kind }) => kind),
          ['x'],
        );
        assert.deepEqual(any.map(({ kind }) => kind).sort(), ['flood', 'flood', 'flood', 'y']);
      },
    ),
    contractCase(
      setup,
      'given more due jobs than one claim sweeps up, when a loop claims and waits, it gets all of them at once',
      async ({ store, clock }) => {
        await store.enqueueMany(flood(clock.nowMs() + 300));
        await clock.advance(300);
        const nowMs = clock.nowMs();
        let claimed = 0;

        for (let turn = 0; turn < 20 && claimed < FLOOD; turn += 1) {
          claimed += (await store.claimNext({ ...BY_ALICE, limit: 1000, kinds: ['flood'] })).length;
          if (claimed < FLOOD) assert.equal(await store.waitForDue({ kinds: ['flood'] }), true);
        }

        assert.deepEqual([claimed, clock.nowMs()], [FLOOD, nowMs]);
      },
    ),
    contractCase(
      setup,
      'given a flood of expired leases, when a job of one of them is claimed by name, it is not said to be running',
      async ({ store, clock }) => {
        await store.enqueueMany(flood(clock.nowMs()));
        await store.claimNext({ ...BY_ALICE, limit: 1000 });
        await store.claimNext({ ...BY_ALICE, limit: 1000 });
        await clock.advance(1);
        await enqueueAndClaim(store);
        await clock.advance(LEASE_MS);

        const claimed = await store.claim({ ...BUILD, ...BY_ALICE });

        assert.equal(claimed.outcome, 'claimed');
      },
    ),
    contractCase(
      setup,
      'given claimers that live for one claim, when they come one after the other, the kinds take turns',
      async ({ store, another }) => {
        await store.enqueueMany(
          ['a', 'b', 'c'].flatMap((kind) => ['1', '2', '3'].map((key) => ({ kind, key }))),
        );
        const kinds: string[] = [];

        for (let i = 0; i < 6; i += 1) {
          const claimer = await another();
          kinds.push(...(await claimer.claimNext(BY_ALICE)).map(({ kind }) => kind));
          await claimer.close();
        }

        assert.deepEqual(kinds, ['a', 'b', 'c', 'a', 'b', 'c']);
      },
    ),
    contractCase(
      setup,
      'given a job that was raised for later while it ran, when it has ended, a wait ends at that instant',
      async ({ store, clock }) => {
        const lease = await enqueueAndClaim(store);
        const dueAtMs = clock.nowMs() + 600;
        await store.enqueue({ ...BUILD, dueAtMs });
        let claimedAtMs = 0;
        const loop = async (): Promise<void> => {
          while ((await store.claimNext(BY_ALICE)).length === 0) await store.waitForDue();
          claimedAtMs = clock.nowMs();
        };
        const looping = loop();
        await clock.advance(10);
        await store.succeed(lease);

        for (let turn = 0; turn < 200 && claimedAtMs === 0; turn += 1) await clock.advance(10);

        await looping;
        assert.equal(claimedAtMs, dueAtMs);
      },
    ),
    contractCase(
      setup,
      'given an instant that has passed, when a job ends that was raised for a later one, a wait ends at that one too',
      async ({ store, clock }) => {
        const first = await enqueueAndClaim(store);
        await store.enqueue({ kind: 'x', key: '1' });
        const [second] = await store.claimNext({ ...BY_ALICE, kinds: ['x'] });
        assert.ok(second !== undefined);
        const soonMs = clock.nowMs() + 600;
        const laterMs = soonMs + 800;
        await store.enqueue({ ...BUILD, dueAtMs: soonMs });
        await store.enqueue({ kind: 'x', key: '1', dueAtMs: laterMs });
        const claimedAtMs: number[] = [];
        const loop = async (): Promise<void> => {
          while (claimedAtMs.length < 2) {
            const leases = await store.claimNext(BY_ALICE);
            claimedAtMs.push(...leases.map(() => clock.nowMs()));
            if (leases.length === 0) await store.waitForDue();
          }
        };
        const looping = loop();
        await store.succeed(first);

        for (let turn = 0; turn < 70; turn += 1) await clock.advance(10);
        await store.succeed(second);
        for (let turn = 0; turn < 200 && claimedAtMs.length < 2; turn += 1) await clock.advance(10);

        await looping;
        assert.deepEqual(claimedAtMs, [soonMs, laterMs]);
      },
    ),
    contractCase(
      setup,
      'given two loops on one store, when one claims its kind, the other still hears of its own',
      async ({ store, clock }) => {
        const y = { ...BY_ALICE, kinds: ['y'] };
        await store.claimNext(y);
        await store.enqueue({ kind: 'y', key: '1' });

        await store.claimNext({ ...BY_ALICE, kinds: ['x'] });
        const idle = store.waitForDue({ kinds: ['x'], maxWaitMs: 5 });
        await clock.advance(5);
        await idle;

        const wait = store.waitForDue({ kinds: ['y'], maxWaitMs: 10 });
        await clock.advance(10);
        assert.equal(await wait, true);
        assert.equal((await store.claimNext(y)).length, 1);
      },
    ),
  ];
}
