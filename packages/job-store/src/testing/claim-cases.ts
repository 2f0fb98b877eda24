/** Contract: who gets which job, in which order, and under which limits. */
import assert from 'node:assert/strict';
import type { ClaimRefusal } from '../results.ts';
import {
  BUILD,
  BY_ALICE,
  claimOnly,
  contractCase,
  enqueueAndClaim,
  jobOf,
  keysOf,
  LEASE_MS,
  type Bundle,
  type ContractCase,
  type ContractSetup,
} from './contract-case.ts';

/** @internal */
export function claimCases(setup: ContractSetup): readonly ContractCase[] {
  return [
    ...refusalCases(setup),
    contractCase(
      setup,
      'given no such job, when it is claimed by name, it is created running',
      async ({ store }) => {
        const claimed = await store.claim({ ...BUILD, ...BY_ALICE, node: 'n1', runDir: '/runs/1' });

        assert.ok(claimed.outcome === 'claimed');
        assert.deepEqual([claimed.lease.attempt, claimed.lease.watermark], [1, 1]);
        const job = await jobOf(store);
        assert.deepEqual([job.status, job.node, job.runDir], ['running', 'n1', '/runs/1']);
      },
    ),
    contractCase(
      setup,
      'given due jobs, when they are claimed, priority, due time and key decide',
      async ({ store, clock }) => {
        const nowMs = clock.nowMs();
        await store.enqueueMany([
          { ...BUILD, key: 'late', dueAtMs: nowMs - 1 },
          { ...BUILD, key: 'b', dueAtMs: nowMs - 5 },
          { ...BUILD, key: 'a', dueAtMs: nowMs - 5 },
          { ...BUILD, key: 'urgent', priority: 1 },
        ]);

        const leases = await store.claimNext({ ...BY_ALICE, limit: 10 });

        assert.deepEqual(keysOf(leases), ['urgent', 'a', 'b', 'late']);
      },
    ),
    contractCase(
      setup,
      'given a flood in one kind, when workers claim, the other kinds get their turns',
      async ({ store }) => {
        await store.enqueueMany(
          Array.from({ length: 50 }, (_, i) => ({ kind: 'flood', key: `${i}`, priority: 5 })),
        );
        await store.enqueueMany([
          { kind: 'rare', key: '1' },
          { kind: 'other', key: '1' },
        ]);

        const together = await store.claimNext({ ...BY_ALICE, limit: 6 });
        const oneByOne = await store.claimNext(BY_ALICE);

        assert.deepEqual(together.map(({ kind }) => kind).sort(), [
          'flood',
          'flood',
          'flood',
          'flood',
          'other',
          'rare',
        ]);
        assert.equal(oneByOne.length, 1);
      },
    ),
    contractCase(
      setup,
      'given two kinds, when jobs are claimed one by one, the kinds alternate',
      async ({ store }) => {
        await store.enqueueMany(['a', 'b'].flatMap((kind) => ['1', '2', '3'].map((key) => ({ kind, key }))));
        const kinds: string[] = [];

        for (let i = 0; i < 4; i += 1)
          for (const lease of await store.claimNext(BY_ALICE)) kinds.push(lease.kind);

        assert.deepEqual(kinds, ['a', 'b', 'a', 'b']);
      },
    ),
    contractCase(setup, 'given asked kinds, when jobs are claimed, others stay', async ({ store }) => {
      await store.enqueueMany([
        { kind: 'a', key: '1' },
        { kind: 'b', key: '1' },
        { kind: 'c', key: '1' },
      ]);

      const leases = await store.claimNext({ ...BY_ALICE, limit: 10, kinds: ['c', 'a', 'nothing'] });

      assert.deepEqual(leases.map(({ kind }) => kind).sort(), ['a', 'c']);
    }),
    contractCase(
      setup,
      'given a limit per kind, when two workers claim, it holds over both',
      async ({ store, another }) => {
        const other = await another();
        await store.enqueueMany(Array.from({ length: 9 }, (_, i) => ({ ...BUILD, key: `${i}` })));
        await store.enqueue({ kind: 'free', key: '1' });
        const request = { ...BY_ALICE, limit: 10, limits: { kinds: { build: 3 } } };

        const first = await store.claimNext({ ...request, limit: 2 });
        const second = await other.claimNext(request);

        assert.equal([...first, ...second].filter(({ kind }) => kind === 'build').length, 3);
        assert.equal([...first, ...second].filter(({ kind }) => kind === 'free').length, 1);
        assert.deepEqual(await store.claimNext(request), []);
        await store.succeed(first[0] ?? assert.fail());
        assert.equal((await store.claimNext(request)).length, 1);
      },
    ),
    contractCase(
      setup,
      'given a limit per concurrency key, when jobs of several kinds share it, it holds over all',
      async ({ store }) => {
        await store.enqueueMany([
          { kind: 'a', key: '1', concurrencyKey: 'repo' },
          { kind: 'a', key: '2', concurrencyKey: 'repo' },
          { kind: 'a', key: '3' },
          { kind: 'b', key: '1', concurrencyKey: 'repo' },
          { kind: 'b', key: '2', concurrencyKey: 'wide' },
          { kind: 'b', key: '3', concurrencyKey: 'wide' },
        ]);
        const request = {
          ...BY_ALICE,
          limit: 10,
          limits: { perConcurrencyKey: 1, concurrencyKeys: { wide: 2 } },
        };

        const leases = await store.claimNext(request);

        assert.deepEqual(leases.map(({ kind, key }) => kind + key).sort(), ['a1', 'a3', 'b2', 'b3']);
        assert.deepEqual(await store.claimNext(request), []);
      },
    ),
    contractCase(
      setup,
      'given an expired lease that held the last place, when another claims, the late owner cannot exceed the limit',
      async ({ store, clock }) => {
        const limits = { perKind: 1 };
        const late = await enqueueAndClaim(store);
        await store.enqueue({ ...BUILD, key: 'next' });
        await clock.advance(LEASE_MS);

        const leases = await store.claimNext({ ...BY_ALICE, limit: 5, limits });

        assert.equal(leases.length, 1);
        assert.deepEqual(await store.heartbeat(late, LEASE_MS), { outcome: 'lease-lost' });
      },
    ),
    contractCase(
      setup,
      'given a paused kind, when it is resumed, its jobs are handed out',
      async ({ store }) => {
        await store.enqueue(BUILD);
        await store.enqueue({ kind: 'other', key: '1' });
        assert.equal(await store.pause('build'), true);
        assert.equal(await store.pause('build'), false);
        assert.deepEqual(keysOf(await store.claimNext({ ...BY_ALICE, limit: 5 })), ['1']);

        assert.equal(await store.resume('build'), true);

        assert.deepEqual(keysOf(await store.claimNext({ ...BY_ALICE, limit: 5 })), ['app']);
      },
    ),
    contractCase(
      setup,
      'given a paused store, when it is resumed, jobs are handed out',
      async ({ store }) => {
        await store.enqueue(BUILD);
        await store.pause();
        assert.deepEqual(await store.claimNext(BY_ALICE), []);
        assert.equal((await store.stats()).isPaused, true);

        await store.resume();

        await claimOnly(store);
      },
    ),
    contractCase(
      setup,
      'given claims of several workers, when time goes on, tokens only grow',
      async ({ store, another, clock }) => {
        const other = await another();
        const tokens: number[] = [];
        for (let i = 0; i < 12; i += 1) {
          await store.enqueue({ ...BUILD, key: `${i}` });
          for (const lease of await (i % 3 === 0 ? other : store).claimNext(BY_ALICE))
            tokens.push(lease.token);
          await clock.advance(1);
        }

        assert.equal(tokens.length, 12);
        assert.deepEqual(
          tokens,
          [...new Set(tokens)].sort((a, b) => a - b),
        );
      },
    ),
  ];
}

function refusalCases(setup: ContractSetup): readonly ContractCase[] {
  const refused = (
    given: string,
    reason: ClaimRefusal,
    arrange: (bundle: Bundle) => Promise<object>,
  ): ContractCase =>
    contractCase(
      setup,
      `given ${given}, when the job is claimed by name, it says ${reason}`,
      async (bundle) => {
        const request = await arrange(bundle);

        const result = await bundle.store.claim({ ...BUILD, ...BY_ALICE, ...request });

        assert.ok(result.outcome === 'refused');
        assert.equal(result.reason, reason);
      },
    );
  return [
    refused('an owner', 'already_running', async ({ store }) => enqueueAndClaim(store).then(() => ({}))),
    refused('no newer input', 'up_to_date', async ({ store }) => {
      await store.succeed(await enqueueAndClaim(store));
      return {};
    }),
    refused('a failure a moment ago', 'retry_pending', async ({ store }) => {
      await store.fail(await enqueueAndClaim(store), { error: 'no' });
      return {};
    }),
    refused('no retries left', 'retry_exhausted', async ({ store }) => {
      await store.fail(await enqueueAndClaim(store, { retries: 0 }), { error: 'no' });
      return {};
    }),
    refused('the last place taken', 'concurrency_limit', async ({ store }) => {
      await store.claim({ ...BUILD, key: 'other', ...BY_ALICE });
      await store.enqueue(BUILD);
      return { maxConcurrent: 1 };
    }),
    refused('a due time ahead', 'not_due', async ({ store, clock }) => {
      await store.enqueue({ ...BUILD, dueAtMs: clock.nowMs() + 1 });
      return {};
    }),
    refused('a pause', 'paused', async ({ store }) => {
      await store.enqueue(BUILD);
      await store.pause('build');
      return {};
    }),
    refused('a cancellation', 'cancelled', async ({ store }) => {
      await store.enqueue(BUILD);
      await store.cancel('build', 'app');
      return {};
    }),
    refused('no such job and no wish to create it', 'not_found', async () => ({ create: false })),
  ];
}
