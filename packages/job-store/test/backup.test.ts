/** Copies of a store in use: whole, sound, and never in the place of a store. */
import { linkSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createRealClock } from '@conductor-run/clock';
import { openJobStore } from '@conductor-run/job-store';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { kill, startActor, startFixture } from './fixtures/processes.ts';
import { setup, tempDir, until } from './fixtures/stores.ts';

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

  test('given a copy that somebody opened and was killed with, when it is to be replaced, that is refused until it is closed', async () => {
    const { dir, store } = await setup();
    const target = join(dir, 'nightly.db');
    await store.enqueue({ kind: 'k', key: 'day 1' });
    await store.backup(target);
    const actor = await startActor(target);
    await actor.call('enqueue', { kind: 'k', key: 'tried out in the copy' });
    await kill(actor.child);
    await store.enqueueMany(Array.from({ length: 2000 }, (_, i) => ({ kind: 'k', key: `day 2 ${i}` })));

    await expect(store.backup(target)).rejects.toMatchObject({ code: 'io' });

    expect(await keysIn(target)).toEqual(['day 1', 'tried out in the copy']);
    await store.backup(target);
    expect(await keysIn(target)).toHaveLength(1000);
    expect(readdirSync(dir).filter((name) => name.includes('.part'))).toEqual([]);
  });

  test('given a path of the store itself, when it is to be copied there, that is refused and the store goes on', async () => {
    const { dir, path, store, open } = await setup();
    await store.enqueue({ kind: 'k', key: 'a' });
    await store.nodes();
    linkSync(path, join(dir, 'hard.db'));
    symlinkSync(path, join(dir, 'soft.db'));
    // The second copy would go where the leadership file is.
    const alias = join(dir, 'alias.db');
    linkSync(`${path}-leadership`, `${alias}-leadership`);
    const targets = [
      path,
      `${path}-leadership`,
      `${path}-wal`,
      `${path}-bell`,
      join(dir, 'hard.db'),
      join(dir, 'soft.db'),
      alias,
    ];

    const refused = await Promise.all(
      targets.map((target) => store.backup(target).catch((error: unknown) => error)),
    );

    expect(refused.map((error) => error instanceof RangeError)).toEqual(targets.map(() => true));
    await store.enqueue({ kind: 'k', key: 'b' });
    const again = await open();
    expect((await again.list()).jobs.map(({ key }) => key)).toEqual(['a', 'b']);
  });

  test('given a damaged store, when it is copied, the last good copy stays', async () => {
    const { dir, path, store } = await setup();
    await store.enqueueMany(
      Array.from({ length: 200 }, (_, i) => ({ kind: 'k', key: `${i}`, payload: 'p'.repeat(300) })),
    );
    const target = join(dir, 'copy.db');
    await store.backup(target);
    await store.close();
    const bytes = readFileSync(path);
    bytes.fill(7, 2048 * 30);
    writeFileSync(path, bytes);
    const damaged = await openJobStore({ path });
    onTestFinished(() => damaged.close());

    await expect(damaged.backup(target)).rejects.toMatchObject({ code: 'corrupt' });

    expect(await keysIn(target)).toHaveLength(200);
  });
});

async function keysIn(path: string): Promise<readonly string[]> {
  const copy = await openJobStore({ path });
  const { jobs } = await copy.list({ limit: 1000 });
  await copy.close();
  return jobs.map(({ key }) => key);
}
