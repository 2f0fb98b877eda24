/** What is on disk when a call has been answered. */
import { copyFileSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createRealClock } from '@conductor-run/clock';
import { openJobStore } from '@conductor-run/job-store';
import { describe, expect, inject, test } from 'vitest';
import { kill, startFixture } from './fixtures/processes.ts';
import { setup, tempDir, until } from './fixtures/stores.ts';

describe('power', () => {
  test('given enqueues that were answered, when the log is cut where it ended at each answer, all of them are there', async () => {
    const { dir, path, store } = await setup({ durability: 'power' });
    // The main file stays as it is until a checkpoint; each commit is what the log holds up to its end.
    const ends: number[] = [];
    for (let i = 0; i < 20; i += 1) {
      await store.enqueue({ kind: 'build', key: `${i}` });
      ends.push(statSync(`${path}-wal`).size);
    }
    const log = readFileSync(`${path}-wal`);

    for (const [index, end] of ends.entries()) {
      for (const [cut, expected] of [
        [end, index + 1],
        [end - 1, index],
      ] as const) {
        const copy = join(dir, `copy-${index}-${expected}.db`);
        copyFileSync(path, copy);
        writeFileSync(`${copy}-wal`, log.subarray(0, cut));
        const reopened = await openJobStore({ path: copy });
        const { jobs } = await reopened.list();
        await reopened.close();
        expect(jobs).toHaveLength(expected);
      }
    }
  });
});

describe('backup', () => {
  test('given another process that writes all the time, when the store is copied, the copy is whole', async () => {
    const clock = createRealClock();
    const dir = tempDir();
    const path = join(dir, 'jobs.db');
    const store = await openJobStore({ path });
    await store.enqueueMany(
      Array.from({ length: inject('soak') ? 100_000 : 5000 }, (_, i) => ({ kind: 'noop', key: `${i}` })),
    );
    const { term } = await store.acquireLeadership({ name: 'leader', holderId: 'a', host: 'a', ttlMs: 1000 });
    const child = startFixture('worker.ts', [path, 'writer', '1000']);
    await until(clock, 'the writer writes', async () => ((await store.stats()).kinds[0]?.done ?? 0) > 0);

    await store.backup(join(dir, 'copy.db'));

    await kill(child);
    await store.close();
    const copy = await openJobStore({ path: join(dir, 'copy.db') });
    const { kinds } = await copy.stats();
    const [check] = await copy.transaction((tx) => tx.query('pragma integrity_check'));
    const leadership = await copy.leadership('leader');
    await copy.close();
    expect(check).toEqual({ integrity_check: 'ok' });
    expect(kinds[0]?.done).toBeGreaterThan(0);
    expect(leadership?.term).toBe(term);
  });
});
