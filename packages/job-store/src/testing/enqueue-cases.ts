/** Contract: watermarks, and what makes a job due. */
import assert from 'node:assert/strict';
import {
  BUILD,
  BY_ALICE,
  claimOnly,
  contractCase,
  enqueueAndClaim,
  jobOf,
  keysOf,
  type ContractCase,
  type ContractSetup,
} from './contract-case.ts';

/** @internal */
export function enqueueCases(setup: ContractSetup): readonly ContractCase[] {
  return [
    contractCase(setup, 'given no job, when it is enqueued, it is pending and dirty', async ({ store }) => {
      const result = await store.enqueue({ ...BUILD, watermark: 7, payload: { a: [1, 'x', null] } });

      assert.equal(result.watermark, 7);
      assert.equal(result.isRaised, true);
      const job = await jobOf(store);
      assert.equal(job.status, 'pending');
      assert.equal(job.isDirty, true);
      assert.deepEqual(job.payload, { a: [1, 'x', null] });
      assert.equal(job.retriesLeft, 2);
    }),
    contractCase(
      setup,
      'given a watermark, when a lower or equal one is enqueued, nothing changes',
      async ({ store }) => {
        await store.enqueue({ ...BUILD, watermark: 7 });

        const lower = await store.enqueue({ ...BUILD, watermark: 3, priority: 9 });
        const equal = await store.enqueue({ ...BUILD, watermark: 7, priority: 9 });

        assert.deepEqual([lower.watermark, lower.isRaised], [7, false]);
        assert.deepEqual([equal.watermark, equal.isRaised], [7, false]);
        assert.equal((await jobOf(store)).priority, 0);
      },
    ),
    contractCase(
      setup,
      'given a job, when it is enqueued without a watermark, it gets the next one',
      async ({ store }) => {
        const results = await Promise.all([store.enqueue(BUILD), store.enqueue(BUILD), store.enqueue(BUILD)]);

        assert.deepEqual(
          results.map(({ watermark }) => watermark),
          [1, 2, 3],
        );
      },
    ),
    contractCase(
      setup,
      'given a job that is up to date, when its watermark is raised, it is due again',
      async ({ store }) => {
        await store.succeed(await enqueueAndClaim(store));
        assert.equal((await jobOf(store)).isDirty, false);

        await store.enqueue(BUILD);

        assert.equal((await claimOnly(store)).watermark, 2);
      },
    ),
    contractCase(
      setup,
      'given a running job, when it is raised many times, it stays with its owner and runs exactly once more',
      async ({ store }) => {
        const first = await enqueueAndClaim(store);
        await Promise.all(Array.from({ length: 100 }, () => store.enqueue(BUILD)));
        assert.equal((await jobOf(store)).token, first.token);
        assert.deepEqual(await store.claimNext(BY_ALICE), []);

        assert.deepEqual(await store.succeed(first), { outcome: 'succeeded', status: 'pending' });
        assert.equal((await jobOf(store)).lastSuccessWatermark, 1);
        const second = await claimOnly(store);
        assert.equal(second.watermark, 101);
        assert.deepEqual(await store.succeed(second), { outcome: 'succeeded', status: 'done' });

        assert.deepEqual(await store.claimNext(BY_ALICE), []);
      },
    ),
    contractCase(
      setup,
      'given a due time ahead, when it comes, the job is claimed and not before',
      async ({ store, clock }) => {
        await store.enqueue({ ...BUILD, dueAtMs: clock.nowMs() + 500 });
        await clock.advance(499);
        assert.deepEqual(await store.claimNext(BY_ALICE), []);

        await clock.advance(1);

        assert.deepEqual(keysOf(await store.claimNext(BY_ALICE)), ['app']);
      },
    ),
    contractCase(
      setup,
      'given a waiting job, when it is raised with another due time, the earlier one counts',
      async ({ store, clock }) => {
        const nowMs = clock.nowMs();
        await store.enqueue({ ...BUILD, dueAtMs: nowMs + 500 });

        await store.enqueue({ ...BUILD, dueAtMs: nowMs + 900 });
        assert.equal((await jobOf(store)).dueAtMs, nowMs + 500);
        await store.enqueue({ ...BUILD, dueAtMs: nowMs + 100 });

        assert.equal((await jobOf(store)).dueAtMs, nowMs + 100);
      },
    ),
    contractCase(
      setup,
      'given an exhausted job, when it is raised, it is due with its retries reset',
      async ({ store }) => {
        const lease = await enqueueAndClaim(store, { retries: 0 });
        await store.fail(lease, { error: 'no' });
        assert.equal((await jobOf(store)).isExhausted, true);

        await store.enqueue({ ...BUILD, retries: 1 });

        const job = await jobOf(store);
        assert.deepEqual([job.status, job.failedAttempts, job.retriesLeft], ['pending', 0, 1]);
        await claimOnly(store);
      },
    ),
    contractCase(
      setup,
      'given one bad call among several of one turn, when they run, only that one fails',
      async ({ store }) => {
        const good = store.enqueue(BUILD);
        const bad = store.enqueue({ ...BUILD, watermark: 0.5 });
        const alsoGood = store.enqueue({ ...BUILD, key: 'other' });

        await assert.rejects(bad, RangeError);
        assert.equal((await good).isRaised, true);
        assert.equal((await alsoGood).isRaised, true);
      },
    ),
    contractCase(
      setup,
      'given large and small payloads, when they replace each other, the last one is handed out',
      async ({ store }) => {
        const large = 'x'.repeat(5000);
        await store.enqueue({ ...BUILD, payload: 'small' });
        await store.enqueue({ ...BUILD, payload: large });
        assert.equal((await jobOf(store)).payload, large);
        const first = await claimOnly(store);
        assert.equal(first.payload, large);
        await store.succeed(first, { result: { log: large } });
        assert.deepEqual((await jobOf(store)).result, { log: large });

        await store.enqueue({ ...BUILD, payload: 'small again' });
        const second = await claimOnly(store);
        await store.succeed(second, { result: 1 });

        assert.equal(second.payload, 'small again');
        assert.equal((await jobOf(store)).result, 1);
      },
    ),
    contractCase(setup, 'given a batch, when it is enqueued, it counts what it raised', async ({ store }) => {
      await store.enqueue({ ...BUILD, watermark: 5 });

      const result = await store.enqueueMany([
        { ...BUILD, watermark: 4 },
        { ...BUILD, key: 'b' },
        { ...BUILD, key: 'c', payload: 'y'.repeat(5000) },
      ]);

      assert.deepEqual(result, { raised: 2 });
      assert.deepEqual(
        (await store.list()).jobs.map(({ key }) => key),
        ['app', 'b', 'c'],
      );
    }),
  ];
}
