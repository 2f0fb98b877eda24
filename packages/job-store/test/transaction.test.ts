/** The caller's own transactions: all of it or nothing, and nothing once they have ended. */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { setup } from './fixtures/stores.ts';

const BUILD = { kind: 'build', key: 'app' };

describe('transaction', () => {
  test('given writes of the caller, when the transaction commits, they and the enqueue happened', async () => {
    const { store } = await setup();

    const id = await store.transaction((tx) => {
      tx.execute('create table orders (id integer primary key, name text) strict');
      tx.execute('insert into orders (name) values (@name)', { name: 'first' });
      return tx.enqueue({ kind: 'ship', key: 'first' }).jobId;
    });

    expect(id).toBe(1);
    expect(await store.transaction((tx) => tx.query('select name from orders'))).toEqual([{ name: 'first' }]);
  });

  test('given a function that throws, when the transaction ends, nothing happened and it is unusable', async () => {
    const { store } = await setup();
    let kept: { enqueue(request: typeof BUILD): unknown } | undefined;

    const failed = store.transaction((tx) => {
      kept = tx;
      tx.enqueue(BUILD);
      throw new Error('no');
    });

    await expect(failed).rejects.toThrow('no');
    expect(await store.get('build', 'app')).toBeUndefined();
    expect(() => kept?.enqueue(BUILD)).toThrow(TypeError);
  });

  test('given a function that throws an error of its own, when it is a parser’s, it passes as it is', async () => {
    const { store } = await setup();

    const failed = store.transaction(() => z.string().parse(7));

    await expect(failed).rejects.toBeInstanceOf(z.ZodError);
  });

  test('given a function that returns a promise, when the transaction ends, it is refused and nothing happened', async () => {
    const { store } = await setup();

    const failed = store.transaction(async (tx) => tx.enqueue(BUILD));

    await expect(failed).rejects.toThrow(TypeError);
    expect(await store.get('build', 'app')).toBeUndefined();
  });

  test('given a function that goes on after an await, when the transaction has been refused, what comes later writes nothing', async () => {
    const { store } = await setup();
    let later: Promise<unknown> | undefined;

    const failed = store.transaction(async (tx) => {
      tx.enqueue(BUILD);
      await Promise.resolve();
      later = Promise.all([
        Promise.resolve().then(() => tx.enqueue({ ...BUILD, key: 'late' })),
        Promise.resolve().then(() => tx.execute('create table late (a)')),
      ]);
      await later;
    });

    await expect(failed).rejects.toThrow(TypeError);
    await expect(later).rejects.toThrow('Cannot use transaction: ended');
    expect((await store.list()).jobs).toEqual([]);
    expect(
      await store.transaction((tx) => tx.query(`select 1 from sqlite_schema where name = 'late'`)),
    ).toEqual([]);
  });

  test('given a function that throws, when a microtask of it goes on, it writes nothing', async () => {
    const { store } = await setup();
    let later: Promise<unknown> | undefined;

    const failed = store.transaction((tx) => {
      later = Promise.resolve().then(() => tx.enqueue(BUILD));
      throw new Error('no');
    });

    await expect(later).rejects.toThrow(TypeError);
    await expect(failed).rejects.toThrow('no');
    expect((await store.list()).jobs).toEqual([]);
  });

  test('given a call that fails half way, when the caller goes on and commits, nothing of that call stays', async () => {
    const { store } = await setup();
    await store.enqueue({ ...BUILD, key: 'edge', watermark: 8.64e15 });
    const slot = { schedule: 's', slotMs: 1, term: 1, decision: 'run' };
    const effect = [
      { ...BUILD, key: 'first' },
      { ...BUILD, key: 'edge' },
    ];

    await store.transaction((tx) => {
      expect(() => tx.decideSlot({ ...slot, effect })).toThrow(RangeError);
      tx.enqueue(BUILD);
    });

    expect((await store.list()).jobs.map(({ key }) => key)).toEqual(['app', 'edge']);
    expect(await store.slotCursor('s')).toBeUndefined();
  });

  test('given counts that were read in a transaction, when it is rolled back, the next ones do not tell of it', async () => {
    const { store } = await setup();
    await store.enqueue(BUILD);

    const failed = store.transaction((tx) => {
      tx.enqueueMany([{ kind: 'ghost', key: '1' }]);
      expect(tx.stats().kinds.map(({ kind }) => kind)).toEqual(['build', 'ghost']);
      throw new Error('no');
    });

    await expect(failed).rejects.toThrow('no');
    expect((await store.stats()).kinds.map(({ kind }) => kind)).toEqual(['build']);
  });
});
