import { createHook, executionAsyncId } from 'node:async_hooks';
import { once } from 'node:events';
import path from 'node:path';

import { createRealClock } from '@conductor-run/clock';
import { openJobStore, type SqliteJobStore } from '@conductor-run/job-store';
import { describe, expect, onTestFinished, test } from 'vitest';

import { type Dispatcher, startDispatcher } from '../src/daemon/dispatcher.ts';
import { createScratch, until } from './fixtures/scratch.ts';

/** A dispatcher whose `long` jobs run until `endLong`, and whose `short` ones end at once. */
async function setup(maxParallel: number): Promise<{
  readonly store: SqliteJobStore;
  readonly dispatcher: Dispatcher;
  readonly endLong: () => void;
}> {
  const { dir } = createScratch();
  const clock = createRealClock();
  const store = await openJobStore({ path: path.join(dir, 'store.db'), clock });
  const long = new AbortController();
  const ended = once(long.signal, 'abort');
  const dispatcher = startDispatcher({
    store,
    workerId: 'n',
    node: 'n',
    terms: () => ({
      jobs: new Map([
        ['long', { concurrency: 100, concurrencyKey: undefined, priority: 0 }],
        ['short', { concurrency: 100, concurrencyKey: undefined, priority: 0 }],
      ]),
      maxParallel,
      async runTask(lease) {
        if (lease.kind === 'long') await ended;
        await store.succeed(lease);
      },
    }),
    jobLeaseMs: 60_000,
    clock,
    onError: (error) => {
      throw error;
    },
  });
  onTestFinished(async () => {
    long.abort();
    await dispatcher.stop();
    await store.close();
  });
  return { store, dispatcher, endLong: () => long.abort() };
}

/** Counts the promises that wait for one and the same promise, until the test ends; gives the most. */
function countWaits(): () => number {
  const counts = new Map<number, number>();
  const hook = createHook({
    init(_id, type, waitedForId) {
      // Without one it waits for, a promise belongs to the code that made it.
      if (type !== 'PROMISE' || waitedForId === executionAsyncId()) return;
      counts.set(waitedForId, (counts.get(waitedForId) ?? 0) + 1);
    },
  }).enable();
  onTestFinished(() => void hook.disable());
  return () => Math.max(0, ...counts.values());
}

describe('startDispatcher', () => {
  test('given a task that runs long, looking for work again and again leaves nothing behind on it', async () => {
    const { store, dispatcher } = await setup(2);
    await store.enqueue({ kind: 'long', key: 'k' });
    await until('it runs', () => dispatcher.runningCount() === 1);
    const most = countWaits();

    for (let round = 1; round <= 20; round += 1) {
      await store.enqueue({ kind: 'short', key: `k${round}` });
      await until('it is done', async () => (await store.get('short', `k${round}`))?.status === 'done');
    }

    expect(most()).toBeGreaterThan(0);
    expect(most()).toBeLessThan(10);
  });

  test('given no free place, a task that ends is a reason to look again', async () => {
    const { store, dispatcher, endLong } = await setup(1);
    await store.enqueue({ kind: 'long', key: 'k' });
    await until('it runs', () => dispatcher.runningCount() === 1);
    await store.enqueue({ kind: 'short', key: 'k' });

    endLong();
    await dispatcher.drained();

    expect(await store.get('short', 'k')).toMatchObject({ status: 'done' });
  });
});
