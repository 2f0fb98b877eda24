/** Waiting without a bell: the slow look goes on, and nothing is left behind. */
import { getEventListeners } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { expect, describe, test } from 'vitest';
import { setup } from './fixtures/stores.ts';

describe('a bell that cannot be watched', () => {
  test('given its file is gone, when a loop waits, the slow look ends the wait and the failure is logged once', async () => {
    const failures: string[] = [];
    const logger = {
      info: () => undefined,
      warn: (_fields: object, message: string) => void failures.push(message),
    };
    const { path, store, clock } = await setup({ logger, pollMs: 1000 });
    await store.claimNext({ workerId: 'w', leaseMs: 1000 });
    rmSync(`${path}-bell`);
    const stop = new AbortController();

    for (let wait = 0; wait < 3; wait += 1) {
      const due = store.waitForDue({ signal: stop.signal });
      await clock.advance(1000);
      expect(await due).toBe(true);
      await store.claimNext({ workerId: 'w', leaseMs: 1000 });
    }

    expect(failures).toEqual(['bell.failed']);
    expect(getEventListeners(stop.signal, 'abort')).toEqual([]);
  });

  test('given it can be watched again, when the next look comes, it is', async () => {
    const { path, store, open, clock } = await setup({ pollMs: 1000 });
    rmSync(`${path}-bell`);
    const heard: number[] = [];
    store.onDue(() => heard.push(clock.nowMs()));
    writeFileSync(`${path}-bell`, '');
    await clock.advance(1000);
    const rings = heard.length;
    const other = await open();

    await other.enqueue({ kind: 'k', key: 'a' });

    await expect.poll(() => heard.length).toBeGreaterThan(rings);
  });

  test('given a row no version writes, when others wait and listen, they go on', async () => {
    const { store, open, clock } = await setup({ pollMs: 1000 });
    const other = await open();
    other.onDue(() => undefined);
    await other.claimNext({ workerId: 'w', leaseMs: 1000 });
    await store.enqueue({ kind: 'k', key: 'a', dueAtMs: clock.nowMs() + 10 });
    await store.transaction((tx) => tx.execute('update jobs set due_at_ms = 9007199254740993'));
    await clock.advance(1000);
    await other.claimNext({ workerId: 'w', leaseMs: 1000 });

    const wait = other.waitForDue();
    await clock.advance(1000);

    expect(await wait).toBe(true);
  });
});
