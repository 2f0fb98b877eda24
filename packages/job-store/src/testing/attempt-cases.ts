/** Contract: what owners may do, what late owners may not, and how attempts end. */
import assert from 'node:assert/strict';
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

/** @internal */
export function attemptCases(setup: ContractSetup): readonly ContractCase[] {
  return [
    contractCase(
      setup,
      'given a lease that went through JSON, when another connection ends it, it counts',
      async ({ store, another }) => {
        const lease = JSON.parse(JSON.stringify(await enqueueAndClaim(store))) as Lease;
        const supervisor = await another();

        assert.equal((await supervisor.heartbeat(lease, LEASE_MS)).outcome, 'extended');
        assert.deepEqual(await supervisor.setAttemptRun(lease, { runDir: '/runs/9' }), { outcome: 'noted' });
        assert.deepEqual(await supervisor.succeed(lease), { outcome: 'succeeded', status: 'done' });

        assert.equal((await store.attempts('build', 'app'))[0]?.runDir, '/runs/9');
      },
    ),
    contractCase(
      setup,
      'given a renewal, when the first lease would have ended, the job is still owned',
      async ({ store, clock }) => {
        const lease = await enqueueAndClaim(store);
        await clock.advance(LEASE_MS - 1);
        const [renewed, lost] = await store.heartbeatMany([lease, { ...lease, token: 999 }], LEASE_MS);
        assert.deepEqual(renewed, {
          outcome: 'extended',
          leaseUntilMs: clock.nowMs() + LEASE_MS,
          isCancelRequested: false,
        });
        assert.deepEqual(lost, { outcome: 'lease-lost' });

        await clock.advance(LEASE_MS - 1);

        assert.deepEqual(await store.claimNext(BY_ALICE), []);
      },
    ),
    contractCase(
      setup,
      'given an expired lease, when another worker claims, a retry is spent and the old owner changes nothing',
      async ({ store, clock, another }) => {
        const bob = await another();
        const old = await enqueueAndClaim(store);
        await clock.advance(LEASE_MS);

        const [lease] = await bob.claimNext({ workerId: 'bob', leaseMs: LEASE_MS });

        assert.ok(lease !== undefined && lease.token > old.token && lease.attempt === 2);
        const before = await jobOf(store);
        assert.equal(before.failedAttempts, 1);
        assert.deepEqual(await store.heartbeat(old, LEASE_MS), { outcome: 'lease-lost' });
        assert.deepEqual(await store.succeed(old, { result: 'late' }), { outcome: 'lease-lost' });
        assert.deepEqual(await store.fail(old, { error: 'late' }), { outcome: 'lease-lost' });
        assert.deepEqual(await store.release(old), { outcome: 'lease-lost' });
        assert.deepEqual(await store.setAttemptRun(old, { runDir: '/late' }), { outcome: 'lease-lost' });
        assert.deepEqual(await jobOf(store), before);
        const outcomes = (await store.attempts('build', 'app')).map(({ outcome, workerId }) => [
          outcome,
          workerId,
        ]);
        assert.deepEqual(outcomes, [
          ['lost', 'alice'],
          ['running', 'bob'],
        ]);
      },
    ),
    contractCase(
      setup,
      'given a job that loses every owner, when its retries are spent, it is exhausted',
      async ({ store, clock }) => {
        await store.enqueue(BUILD);
        for (let attempt = 1; attempt <= 3; attempt += 1) {
          await claimOnly(store);
          await clock.advance(LEASE_MS);
        }

        assert.deepEqual(await store.claimNext(BY_ALICE), []);

        const job = await jobOf(store);
        assert.deepEqual([job.status, job.isExhausted, job.failedAttempts], ['error', true, 3]);
      },
    ),
    contractCase(
      setup,
      'given a failure, when its retry comes, the job is claimed again until no retry is left',
      async ({ store, clock }) => {
        const first = await store.fail(await enqueueAndClaim(store), { error: 'one' });
        assert.deepEqual(first, {
          outcome: 'failed',
          status: 'error',
          retryAtMs: clock.nowMs() + 1000,
          isExhausted: false,
        });
        assert.deepEqual(await store.claimNext(BY_ALICE), []);
        await clock.advance(1000);
        await store.fail(await claimOnly(store), { error: 'two', retry: { policy: 'fixed', delayMs: 0 } });

        const last = await store.fail(await claimOnly(store), { error: 'three' });

        assert.deepEqual(last, {
          outcome: 'failed',
          status: 'error',
          retryAtMs: undefined,
          isExhausted: true,
        });
        assert.equal((await jobOf(store)).lastError, 'three');
        assert.deepEqual(
          (await store.attempts('build', 'app')).map(({ error }) => error),
          ['one', 'two', 'three'],
        );
      },
    ),
    contractCase(
      setup,
      'given a failure that rules out retries, when retries are left, the job is exhausted anyway',
      async ({ store }) => {
        const result = await store.fail(await enqueueAndClaim(store), { error: 'no', retry: false });

        assert.ok(result.outcome === 'failed' && result.isExhausted);
      },
    ),
    contractCase(
      setup,
      'given newer input during a failing run, when it fails, the job is due with fresh retries',
      async ({ store }) => {
        const lease = await enqueueAndClaim(store, { retries: 0 });
        await store.enqueue(BUILD);

        assert.deepEqual(await store.fail(lease, { error: 'no' }), {
          outcome: 'failed',
          status: 'pending',
          retryAtMs: undefined,
          isExhausted: false,
        });

        assert.equal((await claimOnly(store)).watermark, 2);
      },
    ),
    contractCase(setup, 'given an exhausted job, when a retry is asked for, it is due', async ({ store }) => {
      await store.fail(await enqueueAndClaim(store, { retries: 0 }), { error: 'no' });

      assert.equal(await store.retry('build', 'app'), 'due');

      const lease = await claimOnly(store);
      assert.equal(await store.retry('build', 'app'), 'already_running');
      await store.succeed(lease);
      assert.equal(await store.retry('build', 'app'), 'up_to_date');
      assert.equal(await store.retry('build', 'nothing'), 'not_found');
    }),
    contractCase(
      setup,
      'given a released lease, when it is due, it is claimed with no retry spent',
      async ({ store, clock }) => {
        const lease = await enqueueAndClaim(store);

        const released = await store.release(lease, { dueAtMs: clock.nowMs() + 100 });

        assert.deepEqual(released, { outcome: 'released', status: 'pending' });
        assert.deepEqual(await store.claimNext(BY_ALICE), []);
        await clock.advance(100);
        assert.equal((await claimOnly(store)).attempt, 2);
        assert.equal((await jobOf(store)).failedAttempts, 0);
      },
    ),
    contractCase(
      setup,
      'given newer input during a run that failed before, when it is released, the newer input has all its retries',
      async ({ store }) => {
        const policy = { policy: 'fixed', delayMs: 0 } as const;
        await store.fail(await enqueueAndClaim(store, { retries: 1 }), { error: 'no', retry: policy });
        const last = await claimOnly(store);
        await store.enqueue(BUILD);

        await store.release(last);

        assert.equal((await jobOf(store)).retriesLeft, 1);
        const failed = await store.fail(await claimOnly(store), { error: 'no', retry: policy });
        assert.ok(failed.outcome === 'failed' && !failed.isExhausted);
      },
    ),
    contractCase(
      setup,
      'given a success with a watermark of its own, when it is lower than the input, the job stays dirty',
      async ({ store }) => {
        const lease = await enqueueAndClaim(store, { watermark: 10 });

        assert.deepEqual(await store.succeed(lease, { watermark: 4 }), {
          outcome: 'succeeded',
          status: 'pending',
        });
        assert.equal((await jobOf(store)).lastSuccessWatermark, 4);
        await store.succeed(await claimOnly(store), { watermark: 12 });

        const job = await jobOf(store);
        assert.deepEqual([job.status, job.inputWatermark, job.lastSuccessWatermark], ['done', 12, 12]);
      },
    ),
    contractCase(
      setup,
      'given one lease ended twice in one turn, when both are answered, the second is refused',
      async ({ store }) => {
        const lease = await enqueueAndClaim(store);

        const results = await Promise.all([store.succeed(lease), store.succeed(lease)]);

        assert.deepEqual(results, [{ outcome: 'succeeded', status: 'done' }, { outcome: 'lease-lost' }]);
      },
    ),
    contractCase(
      setup,
      'given a running job, when it is cancelled, its owner learns it and new input still runs',
      async ({ store }) => {
        const lease = await enqueueAndClaim(store);
        assert.equal(await store.cancel('build', 'app'), 'requested');
        const beat = await store.heartbeat(lease, LEASE_MS);
        assert.ok(beat.outcome === 'extended' && beat.isCancelRequested);
        assert.ok((await jobOf(store)).isCancelRequested);

        const failed = await store.fail(lease, { error: 'stopped' });

        assert.ok(failed.outcome === 'failed' && failed.status === 'cancelled');
        await store.enqueue(BUILD);
        assert.equal((await store.heartbeat(await claimOnly(store), LEASE_MS)).outcome, 'extended');
        assert.equal((await jobOf(store)).isCancelRequested, false);
      },
    ),
    contractCase(
      setup,
      'given waiting, finished and unknown jobs, when they are cancelled, each says what it came to',
      async ({ store }) => {
        await store.succeed(await enqueueAndClaim(store));
        await store.enqueue({ ...BUILD, key: 'waiting' });

        assert.equal(await store.cancel('build', 'app'), 'up_to_date');
        assert.equal(await store.cancel('build', 'waiting'), 'cancelled');
        assert.equal(await store.cancel('build', 'nothing'), 'not_found');

        assert.deepEqual(await store.claimNext(BY_ALICE), []);
      },
    ),
    contractCase(
      setup,
      'given an owner that vanished after a cancellation, when its lease expires, the job is cancelled',
      async ({ store, clock }) => {
        await enqueueAndClaim(store);
        await store.cancel('build', 'app');
        await clock.advance(LEASE_MS);

        assert.deepEqual(await store.claimNext(BY_ALICE), []);

        assert.equal((await jobOf(store)).status, 'cancelled');
      },
    ),
    contractCase(
      setup,
      'given the end of one job, when the next is claimed with it, both happen',
      async ({ store }) => {
        const lease = await enqueueAndClaim(store);
        await store.enqueue({ ...BUILD, key: 'next' });

        const { completed, leases } = await store.completeAndClaim(lease, { result: 1 }, BY_ALICE);

        assert.deepEqual(completed, { outcome: 'succeeded', status: 'done' });
        assert.equal(leases[0]?.key, 'next');
      },
    ),
  ];
}
