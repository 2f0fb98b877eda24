/** Opening: files, schemas, file systems, options. */
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { JobStoreError, openJobStore, type JobStoreErrorCode } from '@conductor-run/job-store';
import { describe, expect, onTestFinished, test } from 'vitest';
import { networkFileSystemName } from '../src/connection.ts';
import { setup, tempDir } from './fixtures/stores.ts';

async function codeOf(opening: Promise<unknown>): Promise<JobStoreErrorCode | undefined> {
  return opening.then(
    () => undefined,
    (error: unknown) => (error instanceof JobStoreError ? error.code : undefined),
  );
}

describe('openJobStore', () => {
  test('given a file with a newer schema, when it is opened, it is refused with its own code', async () => {
    const { path, store } = await setup();
    await store.close();
    const db = new Database(path);
    db.exec(`insert into job_store_migrations values (4, 'future', 'abc', 0)`);
    db.close();

    expect(await codeOf(openJobStore({ path }))).toBe('schema-too-new');
  });

  test('given a file whose migration differs, when it is opened, it is refused with its own code', async () => {
    const { path, store } = await setup();
    await store.close();
    const db = new Database(path);
    db.exec(`update job_store_migrations set checksum = 'abc'`);
    db.close();

    expect(await codeOf(openJobStore({ path }))).toBe('schema-mismatch');
  });

  test('given a file that is no database, when it is opened, it is refused and left alone', async () => {
    const path = join(tempDir(), 'jobs.db');
    writeFileSync(path, 'this is not a database, however long you look at it'.repeat(20));

    expect(await codeOf(openJobStore({ path }))).toBe('corrupt');
  });

  test('given no directory, when a store is opened in it, it says so', async () => {
    expect(await codeOf(openJobStore({ path: join(tempDir(), 'missing', 'jobs.db') }))).toBe('io');
  });

  test('given a directory in its place, when a store is opened, it says so', async () => {
    const path = join(tempDir(), 'jobs.db');
    mkdirSync(path);

    expect(await codeOf(openJobStore({ path }))).toBe('io');
  });

  test.for([
    [0x6969, 'NFS'],
    [0xff534d42, 'CIFS'],
    [-0x00acb2be, 'CIFS'],
    [0xef53, undefined],
    [0x01021994, undefined],
  ] as const)('given a file system of type %s, when it is judged, its name is %s', ([type, name]) => {
    expect(networkFileSystemName(type)).toBe(name);
  });

  test.for([
    { path: ':memory:' },
    { path: ' jobs.db' },
    { retries: -1 },
    { pollMs: 0 },
    { busyTimeoutMs: 0.5 },
    { retry: { policy: 'fixed', delayMs: -1 } },
    { retry: { policy: 'exponential', baseMs: 1, maxMs: Number.NaN } },
    { retry: { policy: 'linear', delayMs: 1 } as never },
    { durability: 'Power' as never },
  ] as const)(
    'given bad options %j, when a store is opened, it throws before it creates anything',
    async (options) => {
      const path = join(tempDir(), 'jobs.db');

      await expect(openJobStore({ path, ...options })).rejects.toThrow(RangeError);
    },
  );

  test('given a database of another program, when it is opened, it is refused and left as it was', async () => {
    const path = join(tempDir(), 'cookies.db');
    const db = new Database(path);
    db.exec('create table cookies (name text)');
    db.close();
    const before = readFileSync(path);

    expect(await codeOf(openJobStore({ path }))).toBe('schema-mismatch');

    expect(readFileSync(path)).toEqual(before);
    expect(readdirSync(join(path, '..'))).toEqual(['cookies.db']);
  });

  test('given a new store, when others look, they may not read any file of it', async () => {
    const { dir, store } = await setup();
    await store.enqueue({ kind: 'k', key: 'a' });
    await store.nodes();
    await store.backup(join(dir, 'copy.db'));

    const modes = readdirSync(dir).map((name) => [
      name,
      (statSync(join(dir, name)).mode & 0o777).toString(8),
    ]);

    expect(modes.length).toBeGreaterThan(6);
    expect(modes.filter(([, mode]) => mode !== '600')).toEqual([]);
  });

  test('given a link to a store, when it is opened through both, there is one leader', async () => {
    const { dir, path, store, open } = await setup();
    symlinkSync(path, join(dir, 'link.db'));
    const linked = await open({ path: join(dir, 'link.db') });
    const ask = { name: 'leader', host: 'h', ttlMs: 1000 };

    const first = await store.acquireLeadership({ ...ask, holderId: 'a' });
    const second = await linked.acquireLeadership({ ...ask, holderId: 'b' });

    expect([first.isLeader, second.isLeader]).toEqual([true, false]);
    expect(readdirSync(dir).filter((name) => name.startsWith('link'))).toEqual(['link.db']);
  });

  test('given a relative path, when the directory of the process changes, the store stays the same', async () => {
    const before = process.cwd();
    onTestFinished(() => process.chdir(before));
    process.chdir(tempDir());
    const store = await openJobStore({ path: 'jobs.db' });
    onTestFinished(() => store.close());
    await store.enqueue({ kind: 'k', key: 'a' });
    const elsewhere = tempDir();

    process.chdir(elsewhere);

    const lines: string[] = [];
    for await (const line of store.exportLines()) lines.push(line);
    expect(lines.filter((line) => line.includes('"jobs"'))).toHaveLength(1);
    expect(readdirSync(elsewhere)).toEqual([]);
  });

  test('given a durability, when a store is opened, SQLite is told so', async () => {
    const synchronous = async (durability: 'process' | 'power'): Promise<unknown> => {
      const { store } = await setup({ durability });
      return store.transaction((tx) => tx.query('pragma synchronous'));
    };

    expect(await synchronous('process')).toEqual([{ synchronous: 1 }]);
    expect(await synchronous('power')).toEqual([{ synchronous: 2 }]);
  });
});
