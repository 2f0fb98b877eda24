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
  const long = Promise.withResolvers<void>();
  const dispatcher = startDispatcher({
    store,
    workerId: 'n',
    node: 'n',
    limits: { long: 100, short: 100 },
    maxParallel,
    jobLeaseMs: 60_000,
    clock,
    async runTask(lease) {
      if (lease.kind === 'long') await long.promise;
      await store.succeed(lease);
    },
    onError: (error) => {
      throw error;
    },
  });
  onTestFinished(async () => {
    long.resolve();
    await dispatcher.stop();
    await store.close();
  });
  return { store, dispatcher, endLong: long.resolve };
}

/** Counts how often each promise is waited for by `then`, until the test ends; gives the most. */
function countWaits(): () => number {
  const original = Promise.prototype.then;
  const counts = new WeakMap<object, number>();
  let most = 0;
  const counting: typeof original = function counting(this: Promise<unknown>, ...callbacks) {
    const count = (counts.get(this) ?? 0) + 1;
    counts.set(this, count);
    most = Math.max(most, count);
    return Reflect.apply(original, this, callbacks);
  };
  Promise.prototype.then = counting;
  onTestFinished(() => {
    Promise.prototype.then = original;
  });
  return () => most;
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
