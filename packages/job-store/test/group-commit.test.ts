/** Calls that share a transaction, other writers, and the caller's own transactions. */
import { createRealClock } from '@conductor-run/clock';
import Database from 'better-sqlite3';
import { describe, expect, onTestFinished, test } from 'vitest';
import { setup } from './fixtures/stores.ts';

const MAX_WATERMARK = 8.64e15;
const BUILD = { kind: 'build', key: 'app' };

describe('group commit', () => {
  test('given calls of one turn of which one breaks inside the transaction, when they run, only that one fails', async () => {
    const { store } = await setup();
    await store.enqueue({ ...BUILD, key: 'full', watermark: MAX_WATERMARK });

    const results = await Promise.allSettled([
      store.enqueue({ ...BUILD, key: 'before' }),
      store.enqueue({ ...BUILD, key: 'full' }),
      store.enqueue({ ...BUILD, key: 'after' }),
    ]);

    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect((await store.list()).jobs.map(({ key, inputWatermark }) => [key, inputWatermark])).toEqual([
      ['after', 1],
      ['before', 1],
      ['full', MAX_WATERMARK],
    ]);
  });

  test('given a burst of 10,000 raises around a run, when the job has run, it runs once more and no more', async () => {
    const { store } = await setup();
    const claim = { workerId: 'w', leaseMs: 1000 };
    await store.enqueue(BUILD);
    const [first] = await store.claimNext(claim);
    await Promise.all(Array.from({ length: 10_000 }, () => store.enqueue(BUILD)));
    let runs = 0;

    for (let lease = first; lease !== undefined; [lease] = await store.claimNext(claim)) {
      runs += 1;
      await store.succeed(lease);
    }

    expect(runs).toBe(2);
    expect((await store.get('build', 'app'))?.lastSuccessWatermark).toBe(10_001);
  });

  test.each([1, 2, 3, 4, 5, 9])(
    'given %i successes of one turn, among them one that is late and one with newer input, when they run, each gets its own answer',
    async (count) => {
      const { store } = await setup();
      const claim = { workerId: 'w', leaseMs: 1000, limit: count };
      const jobs = Array.from({ length: count }, (_, i) => ({ kind: 'build', key: `${i}` }));
      await store.enqueueMany(jobs);
      const leases = await store.claimNext(claim);
      if (leases[0] !== undefined) await store.release(leases[0], { dueAtMs: 1e15 });
      if (leases[1] !== undefined) await store.enqueue(jobs[1] ?? BUILD);
      const large = 'x'.repeat(1000);

      const results = await Promise.all(leases.map((lease) => store.succeed(lease, { result: large })));

      const [late, newer] = [{ outcome: 'lease-lost' }, { outcome: 'succeeded', status: 'pending' }];
      expect(results).toEqual(
        [late, newer, ...leases.slice(2).map(() => ({ outcome: 'succeeded', status: 'done' }))].slice(
          0,
          count,
        ),
      );
      const attempts = await Promise.all(jobs.map(({ kind, key }) => store.attempts(kind, key)));
      expect(attempts.map((list) => list.map(({ outcome }) => outcome))).toEqual(
        leases.map((_, index) => [index === 0 ? 'released' : 'succeeded']),
      );
      const stored = (await store.list()).jobs.map(({ result }) => result);
      expect(stored).toEqual(leases.map((_, index) => (index === 0 ? undefined : large)));
    },
  );

  test('given an answered call, when another connection looks, it sees it', async () => {
    const { path, store } = await setup();
    const other = new Database(path, { readonly: true });
    onTestFinished(() => {
      other.close();
    });

    await Promise.all([store.enqueue(BUILD), store.enqueue({ ...BUILD, key: 'b' })]);

    expect(other.prepare('select count(*) from jobs').pluck().get()).toBe(2);
  });
});

describe('busy', () => {
  test('given another writer, when a call waits for it, the event loop goes on and the call happens', async () => {
    const clock = createRealClock();
    const { path, store } = await setup({ clock });
    const writer = new Database(path);
    writer.exec('begin immediate');

    const call = store.enqueue(BUILD);
    expect(() => store.sync.enqueue(BUILD)).toThrow(expect.objectContaining({ code: 'busy' }));
    await clock.sleep(20);
    expect(await store.get('build', 'app')).toBeUndefined();
    writer.exec('rollback');
    writer.close();

    expect((await call).isRaised).toBe(true);
  });

  test('given another writer that never lets go, when the deadline passes, calls and transactions say busy and nothing happened', async () => {
    const { path, store } = await setup({ clock: createRealClock(), busyTimeoutMs: 50 });
    const writer = new Database(path);
    writer.exec('begin immediate');

    await expect(store.enqueue(BUILD)).rejects.toMatchObject({ code: 'busy' });
    await expect(store.transaction(() => 1)).rejects.toMatchObject({ code: 'busy' });
    writer.exec('rollback');
    writer.close();

    expect(await store.get('build', 'app')).toBeUndefined();
    expect((await store.enqueue(BUILD)).watermark).toBe(1);
  });
});

describe('upkeep', () => {
  test('given an import that finds the leadership file busy, when it has given up, the store can be written', async () => {
    const { path, store } = await setup({ clock: createRealClock(), busyTimeoutMs: 50 });
    await store.nodeHeartbeat({ nodeId: 'n', host: 'h', ttlMs: 1000 });
    const writer = new Database(`${path}-leadership`);
    writer.exec('begin immediate');

    await expect(store.importLines([])).rejects.toMatchObject({ code: 'busy' });
    const later = await store.enqueue(BUILD);
    writer.exec('rollback');
    writer.close();

    expect(later.isRaised).toBe(true);
  });

  test('given many jobs, when they are pruned, the event loop goes on in between', async () => {
    const { store, clock } = await setup();
    await store.enqueueMany(Array.from({ length: 3000 }, (_, i) => ({ kind: 'build', key: `${i}` })));
    let turns = 0;
    const run = { isOver: false };
    const count = (): void => {
      turns += 1;
      if (!run.isOver) setImmediate(count);
    };
    setImmediate(count);

    await store.prune({ finishedBeforeMs: clock.nowMs() });
    run.isOver = true;

    expect(turns).toBeGreaterThan(1);
  });
});

describe('sync', () => {
  test('given the synchronous twin, when jobs are run through it, it does what the calls do', async () => {
    const { store } = await setup();
    store.sync.enqueueMany([BUILD, { ...BUILD, key: 'b' }]);
    const [first] = store.sync.claimNext({ workerId: 'w', leaseMs: 1000 });
    if (first === undefined) throw new Error('Nothing was claimed');

    const { completed, leases } = store.sync.completeAndClaim(first, {}, { workerId: 'w', leaseMs: 1000 });

    expect(completed).toEqual({ outcome: 'succeeded', status: 'done' });
    expect(leases.map(({ key }) => key)).toEqual(['b']);
    expect(store.sync.get('build', 'app')?.status).toBe('done');
  });
});
