/** Contract: looking, waiting, forgetting and moving. */
import assert from 'node:assert/strict';
import type { JobStore } from '../job-store.ts';
import {
  BUILD,
  BY_ALICE,
  claimOnly,
  contractCase,
  enqueueAndClaim,
  type ContractCase,
  type ContractSetup,
} from './contract-case.ts';

/** @internal */
export function upkeepCases(setup: ContractSetup): readonly ContractCase[] {
  return [
    contractCase(
      setup,
      'given many jobs, when they are listed page by page, each appears once and in order',
      async ({ store }) => {
        const keys = Array.from({ length: 25 }, (_, i) => `k${String(i).padStart(2, '0')}`);
        await store.enqueueMany(keys.map((key) => ({ ...BUILD, key })));
        const seen: string[] = [];

        let cursor: string | undefined;
        do {
          const page = await store.list({
            kind: 'build',
            limit: 10,
            ...(cursor === undefined ? {} : { cursor }),
          });
          seen.push(...page.jobs.map(({ key }) => key));
          cursor = page.nextCursor;
        } while (cursor !== undefined);

        assert.deepEqual(seen, keys);
      },
    ),
    contractCase(
      setup,
      'given filters, when jobs are listed, only those that fit appear',
      async ({ store }) => {
        await store.succeed(await enqueueAndClaim(store, { key: 'done' }));
        await enqueueAndClaim(store, { key: 'running' });
        await store.enqueue({ ...BUILD, key: 'pending' });
        await store.enqueue({ ...BUILD, key: 'cancelled' });
        await store.cancel('build', 'cancelled');
        const keys = async (request: Parameters<JobStore['list']>[0]): Promise<readonly string[]> =>
          (await store.list(request)).jobs.map(({ key }) => key);

        assert.deepEqual(await keys({ status: 'done' }), ['done']);
        assert.deepEqual(await keys({ status: 'running' }), ['running']);
        assert.deepEqual(await keys({ status: 'cancelled' }), ['cancelled']);
        assert.deepEqual(await keys({ isDirty: false }), ['done']);
        assert.deepEqual(await keys({ keyPrefix: 'p' }), ['pending']);
        assert.deepEqual(await keys({ kind: 'other' }), []);
      },
    ),
    contractCase(
      setup,
      'given jobs in every state, when they are counted, each is counted once',
      async ({ store, clock }) => {
        await store.succeed(await enqueueAndClaim(store, { key: 'done' }));
        await store.fail(await enqueueAndClaim(store, { key: 'exhausted', retries: 0 }), { error: 'no' });
        await store.fail(await enqueueAndClaim(store, { key: 'retrying', retries: 1 }), {
          error: 'no',
          retry: { policy: 'fixed', delayMs: 1 },
        });
        await enqueueAndClaim(store, { key: 'running' });
        await store.enqueue({ ...BUILD, key: 'cancelled' });
        await store.cancel('build', 'cancelled');
        await store.enqueue({ ...BUILD, key: 'ready' });
        await store.enqueue({ ...BUILD, key: 'waiting', dueAtMs: clock.nowMs() + 1 });

        const { kinds } = await store.stats();

        assert.deepEqual(kinds, [
          {
            kind: 'build',
            ready: 1,
            waiting: 2,
            running: 1,
            done: 1,
            exhausted: 1,
            cancelled: 1,
            oldestReadyDueAtMs: clock.nowMs(),
            isPaused: false,
          },
        ]);
      },
    ),
    contractCase(
      setup,
      'given an empty claim, when a job is enqueued through another connection, the wait ends',
      async ({ store, another, clock }) => {
        const other = await another();
        await store.claimNext(BY_ALICE);
        const wait = store.waitForDue({ maxWaitMs: 60_000 });

        await other.enqueue(BUILD);
        await advanceUntilSettled(clock, wait);

        assert.equal(await wait, true);
        await claimOnly(store);
      },
    ),
    contractCase(
      setup,
      'given a job that falls due later, when its time comes, the wait ends',
      async ({ store, clock }) => {
        await store.enqueue({ ...BUILD, dueAtMs: clock.nowMs() + 700 });
        await store.claimNext(BY_ALICE);
        const wait = store.waitForDue();

        await clock.advance(700);

        assert.equal(await wait, true);
        await claimOnly(store);
      },
    ),
    contractCase(
      setup,
      'given nothing to do, when the longest wait is over, it says so, and an abort ends it with its reason',
      async ({ store, clock }) => {
        await store.claimNext(BY_ALICE);
        const wait = store.waitForDue({ maxWaitMs: 10 });
        await clock.advance(10);
        assert.equal(await wait, false);
        const stop = new AbortController();
        const aborted = store.waitForDue({ signal: stop.signal });

        stop.abort(new Error('enough'));

        await assert.rejects(aborted, /enough/);
      },
    ),
    contractCase(
      setup,
      'given a listener, when work becomes due, it hears of it until it stops listening',
      async ({ store }) => {
        let heard = 0;
        const stop = store.onDue(() => {
          heard += 1;
        });
        await store.enqueue(BUILD);
        const heardBefore = heard;

        stop();
        await store.enqueue(BUILD);

        assert.ok(heardBefore > 0);
        assert.equal(heard, heardBefore);
      },
    ),
    contractCase(
      setup,
      'given ended and open jobs, when what ended before is pruned, only that is gone',
      async ({ store, clock }) => {
        await store.succeed(await enqueueAndClaim(store, { key: 'old' }));
        await store.fail(await enqueueAndClaim(store, { key: 'retrying' }), { error: 'no' });
        await clock.advance(100);
        await store.succeed(await enqueueAndClaim(store, { key: 'new' }));
        await store.enqueue({ ...BUILD, key: 'open' });

        const pruned = await store.prune({ finishedBeforeMs: clock.nowMs() });

        assert.deepEqual(pruned, { jobs: 1, attempts: 2 });
        assert.deepEqual(
          (await store.list()).jobs.map(({ key }) => key),
          ['new', 'open', 'retrying'],
        );
      },
    ),
    contractCase(
      setup,
      'given a job, when it is removed, it is gone with its attempts unless it runs',
      async ({ store }) => {
        const lease = await enqueueAndClaim(store);
        assert.equal(await store.remove('build', 'app'), 'already_running');
        await store.succeed(lease);

        assert.equal(await store.remove('build', 'app'), 'removed');

        assert.equal(await store.remove('build', 'app'), 'not_found');
        assert.deepEqual(await store.attempts('build', 'app'), []);
      },
    ),
    contractCase(
      setup,
      'given a closed store, when it is used, it says so, and closing again is fine',
      async ({ store }) => {
        const pending = store.enqueue(BUILD);
        await store.close();
        await store.close();

        assert.equal((await pending).isRaised, true);
        await assert.rejects(store.enqueue(BUILD), { code: 'closed' });
        await assert.rejects(store.get('build', 'app'), { code: 'closed' });
        await assert.rejects(store.leadership('leader'), { code: 'closed' });
      },
    ),
  ];
}

async function advanceUntilSettled(
  clock: { advance(ms: number): Promise<void> },
  wait: Promise<unknown>,
): Promise<void> {
  const settled = { wait: false };
  void wait.finally(() => {
    settled.wait = true;
  });
  // The bell or, at the latest, the slow look: both within a minute of the manual clock.
  for (let turn = 0; turn < 600 && !settled.wait; turn += 1) await clock.advance(100);
}
