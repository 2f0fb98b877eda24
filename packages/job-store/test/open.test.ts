/** Opening: files, schemas, file systems, options. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { JobStoreError, openJobStore, type JobStoreErrorCode } from '@conductor-run/job-store';
import { describe, expect, test } from 'vitest';
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
    db.exec(`insert into job_store_migrations values (3, 'future', 'abc', 0)`);
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

  test('given a durability, when a store is opened, SQLite is told so', async () => {
    const synchronous = async (durability: 'process' | 'power'): Promise<unknown> => {
      const { store } = await setup({ durability });
      return store.transaction((tx) => tx.query('pragma synchronous'));
    };

    expect(await synchronous('process')).toEqual([{ synchronous: 1 }]);
    expect(await synchronous('power')).toEqual([{ synchronous: 2 }]);
  });
});
