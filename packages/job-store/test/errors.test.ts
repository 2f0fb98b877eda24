/** What SQLite throws reaches callers as one of our codes, wherever it is thrown; and closing waits for who is inside. */
import { readFileSync, writeFileSync } from 'node:fs';
import Database from 'better-sqlite3';
import { JobStoreError, type SqliteJobStore } from '@conductor-run/job-store';
import { describe, expect, test } from 'vitest';
import { setup } from './fixtures/stores.ts';

const CLAIM = { workerId: 'w', leaseMs: 1000 };

async function codeOf(call: () => unknown): Promise<string> {
  try {
    await call();
    return 'none';
  } catch (error) {
    return error instanceof JobStoreError ? error.code : String(error);
  }
}

async function readAll(store: SqliteJobStore): Promise<void> {
  for await (const line of store.exportLines()) expect(line).not.toBe('');
}

const everyCall: readonly (readonly [string, (store: SqliteJobStore) => unknown])[] = [
  ['get', (store) => store.get('k', '150')],
  ['list', (store) => store.list({ limit: 1000 })],
  ['stats', (store) => store.stats()],
  ['attempts', (store) => store.attempts('k', '150')],
  ['sync.get', (store) => store.sync.get('k', '150')],
  ['claimNext', (store) => store.claimNext(CLAIM)],
  ['transaction', (store) => store.transaction((tx) => tx.list({ limit: 1000 }))],
  ['prune', (store) => store.prune({ finishedBeforeMs: 1e13 })],
  ['exportLines', (store) => readAll(store)],
];

describe('a damaged file', () => {
  test.for(everyCall)(
    'given its pages are overwritten, when %s is called, it says corrupt',
    async ([, call]) => {
      const { path, store, open } = await setup();
      const jobs = Array.from({ length: 200 }, (_, i) => ({
        kind: 'k',
        key: `${i}`,
        payload: 'p'.repeat(300),
      }));
      await store.enqueueMany(jobs);
      await store.close();
      const bytes = readFileSync(path);
      bytes.fill(7, 2048 * 30);
      writeFileSync(path, bytes);
      const damaged = await open();

      expect(await codeOf(() => call(damaged))).toBe('corrupt');
    },
  );

  test('given a row no version writes, when it is read, it says corrupt', async () => {
    const { store } = await setup();
    await store.enqueue({ kind: 'k', key: 'a' });
    await store.transaction((tx) => tx.execute('update jobs set due_at_ms = 9007199254740993'));

    expect(await codeOf(() => store.get('k', 'a'))).toBe('corrupt');
    expect(await codeOf(() => store.transaction((tx) => tx.list()))).toBe('corrupt');
  });
});

describe('a full disk', () => {
  test('given no room, when transactions and leadership calls write, they say disk-full and nothing happened', async () => {
    const { path, store } = await setup();
    await store.nodeHeartbeat({ nodeId: 'n', host: 'h', ttlMs: 1000 });
    await store.transaction((tx) => tx.query('pragma max_page_count = 1'));
    const payload = 'x'.repeat(100_000);

    expect(await codeOf(() => store.enqueue({ kind: 'k', key: 'a', payload }))).toBe('disk-full');
    expect(await codeOf(() => store.transaction((tx) => tx.enqueue({ kind: 'k', key: 'a', payload })))).toBe(
      'disk-full',
    );

    const other = new Database(path, { readonly: true });
    expect(other.prepare('select count(*) from jobs').pluck().get()).toBe(0);
    other.close();
  });
});

describe('close', () => {
  test('given calls under way, when the store is closed, it waits for them; later ones say closed', async () => {
    const { store } = await setup();
    const ask = { name: 'leader', holderId: 'a', host: 'a', ttlMs: 1000 };
    const underWay = [
      store.transaction((tx) => tx.enqueue({ kind: 'k', key: '1' })),
      store.prune({ finishedBeforeMs: 1 }),
      store.pruneSlots(1),
      store.acquireLeadership(ask),
      store.enqueue({ kind: 'k', key: '2' }),
    ];

    await store.close();

    expect((await Promise.allSettled(underWay)).map(({ status }) => status)).toEqual(
      underWay.map(() => 'fulfilled'),
    );
    const later: readonly (() => unknown)[] = [
      () => store.transaction(() => 1),
      () => store.prune({ finishedBeforeMs: 1 }),
      () => store.pruneSlots(1),
      () => store.acquireLeadership(ask),
      () => store.nodes(),
      () => readAll(store),
      () => store.importLines([]),
      () => store.backup('/nowhere'),
      () => store.sync.stats(),
    ];
    expect(await Promise.all(later.map(codeOf))).toEqual(later.map(() => 'closed'));
  });
});

describe('prune', () => {
  test('given one job with many attempts and many slots, when they are pruned, each transaction is small', async () => {
    const { path, store } = await setup();
    await store.enqueue({ kind: 'k', key: 'a' });
    const db = new Database(path);
    db.exec(`
with recursive n (i) as (select 1 union all select i + 1 from n where i < 5000)
insert into job_attempts select 1, 1000 + i, i, 'w', null, null, 1, 1, 2, 'succeeded', null from n`);
    db.exec(`
with recursive n (i) as (select 1 union all select i + 1 from n where i < 5000)
insert into schedule_slots select 's' || (i % 7), i, 'leader', 1, 'run', null, iif(i % 2, 5, 1e12) from n`);
    let turns = 0;
    let isPruned = false;
    const count = (): void => {
      turns += 1;
      if (!isPruned) setImmediate(count);
    };
    setImmediate(count);

    const { attempts } = await store.prune({ finishedBeforeMs: 1000, jobs: false });
    const slots = await store.pruneSlots(1000);

    isPruned = true;
    db.close();
    expect([attempts, slots]).toEqual([5000, 2500]);
    expect(turns).toBeGreaterThan(20);
  });
});
