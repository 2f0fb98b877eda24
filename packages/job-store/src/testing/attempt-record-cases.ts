/** Contract: the record of every claim of a job, read, and forgotten by its age. */
import assert from 'node:assert/strict';
import type { AttemptPage } from '../job-store.ts';
import type { PruneResult } from '../results.ts';
import {
  BUILD,
  claimOnly,
  contractCase,
  enqueueAndClaim,
  jobOf,
  LEASE_MS,
  type ContractCase,
  type ContractSetup,
} from './contract-case.ts';

/** @internal */
export function attemptRecordCases(setup: ContractSetup): readonly ContractCase[] {
  return [
    contractCase(
      setup,
      'given attempts that ended in every way, when they are read, each has kept what was true of it',
      async ({ store, clock }) => {
        const lost = await enqueueAndClaim(store);
        await clock.advance(LEASE_MS);
        const failed = await claimOnly(store);
        await store.setAttemptRun(failed, { runDir: '/runs/2', node: 'n2' });
        await store.fail(failed, { error: 'no', retry: { policy: 'fixed', delayMs: 0 } });
        const released = await claimOnly(store);
        await store.release(released);
        await store.enqueue(BUILD);
        const succeeded = await claimOnly(store);
        await clock.advance(10);
        await store.succeed(succeeded);
        const known = await store.attempts('build', 'app');
        await store.enqueue(BUILD);
        const running = await claimOnly(store);

        const attempts = await store.attempts('build', 'app');

        const leases = [lost, failed, released, succeeded, running];
        const nowMs = clock.nowMs();
        assert.deepEqual(
          attempts.map(({ finishedAtMs, outcome, error, node, runDir, ...rest }) => ({
            end: [finishedAtMs, outcome, error, node, runDir],
            ...rest,
          })),
          [
            [nowMs - 10, 'lost', undefined, undefined, undefined],
            [nowMs - 10, 'failed', 'no', 'n2', '/runs/2'],
            [nowMs - 10, 'released', undefined, undefined, undefined],
            [nowMs, 'succeeded', undefined, undefined, undefined],
            [undefined, 'running', undefined, undefined, undefined],
          ].map((end, index) => {
            const { attempt, token, workerId, watermark, startedAtMs } = leases[index] ?? lost;
            return { end, attempt, token, workerId, watermark, startedAtMs };
          }),
        );
        assert.deepEqual(attempts.slice(0, -1), known);
        await store.succeed(running);
        assert.equal((await jobOf(store)).workerId, undefined);
      },
    ),
    contractCase(
      setup,
      'given many attempts, when they are read page by page, each appears once, and the latest can be had alone',
      async ({ store }) => {
        for (let run = 1; run <= 6; run += 1) await store.succeed(await enqueueAndClaim(store));
        await enqueueAndClaim(store);
        await enqueueAndClaim(store, { key: 'other' });
        const numbers = async (page?: AttemptPage): Promise<readonly number[]> =>
          (await store.attempts('build', 'app', page)).map(({ attempt }) => attempt);
        const seen: number[] = [];

        for (let afterToken = 0, left = true; left;) {
          const page = await store.attempts('build', 'app', { limit: 3, afterToken });
          seen.push(...page.map(({ attempt }) => attempt));
          left = page.length > 0;
          afterToken = page.at(-1)?.token ?? afterToken;
        }

        assert.deepEqual(seen, [1, 2, 3, 4, 5, 6, 7]);
        assert.deepEqual(await numbers(), seen);
        assert.deepEqual(await numbers({ afterToken: 0 }), seen);
        assert.deepEqual(await numbers({ limit: 2 }), [6, 7]);
        assert.deepEqual(await numbers({ limit: 1000 }), seen);
        assert.deepEqual(await store.attempts('build', 'nothing', { limit: 2 }), []);
      },
    ),
    contractCase(
      setup,
      'given cancelled jobs, when what ended before is pruned, the time of their cancellation counts',
      async ({ store, clock }) => {
        await store.enqueue({ ...BUILD, key: 'never ran' });
        await store.cancel('build', 'never ran');
        await store.succeed(await enqueueAndClaim(store, { key: 'ran' }));
        await clock.advance(100);
        await store.enqueue({ ...BUILD, key: 'ran' });
        await store.cancel('build', 'ran');

        const pruned = await store.prune({ finishedBeforeMs: clock.nowMs() });

        assert.deepEqual(pruned, { jobs: 1, attempts: 1 });
        const { jobs } = await store.list();
        assert.deepEqual(
          jobs.map(({ key, status }) => [key, status]),
          [['ran', 'cancelled']],
        );
      },
    ),
    contractCase(
      setup,
      'given a job that ran often, when its attempts are pruned, those that ended later are left and the job goes on',
      async ({ store, clock }) => {
        for (let run = 1; run <= 2; run += 1) {
          await store.succeed(await enqueueAndClaim(store));
          await clock.advance(100);
        }
        const outcomes = async (): Promise<readonly string[]> =>
          (await store.attempts('build', 'app')).map(({ attempt, outcome }) => `${attempt} ${outcome}`);
        const prune = (finishedBeforeMs: number): Promise<PruneResult> =>
          store.prune({ finishedBeforeMs, jobs: false });

        assert.deepEqual(await prune(clock.nowMs() - 100), { jobs: 0, attempts: 1 });
        assert.deepEqual(await outcomes(), ['2 succeeded']);
        assert.deepEqual(await prune(clock.nowMs()), { jobs: 0, attempts: 1 });
        assert.deepEqual(await outcomes(), []);
        assert.deepEqual(await prune(clock.nowMs()), { jobs: 0, attempts: 0 });

        const lease = await enqueueAndClaim(store);
        assert.deepEqual(await prune(clock.nowMs() + 1), { jobs: 0, attempts: 0 });
        await store.fail(lease, { error: 'no' });
        assert.deepEqual(await outcomes(), ['3 failed']);
      },
    ),
  ];
}
