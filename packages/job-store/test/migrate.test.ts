/** Files of earlier versions: what they hold is kept, and who wrote them does not write them again. */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { createManualClock } from '@conductor-run/clock';
import { openJobStore, type SqliteJobStore } from '@conductor-run/job-store';
import { describe, expect, onTestFinished, test } from 'vitest';
import { migrate } from '../src/migrate.ts';
import { JOBS_0001 } from '../src/migrations/0001-jobs.ts';
import { contractOptions, tempDir } from './fixtures/stores.ts';

const VERSION_1 = [{ name: 'jobs', sql: JOBS_0001 }];

/** A file as the first version wrote it: a job that succeeded after a failure, and one that runs for the second time. */
function writeVersion1(path: string): void {
  const db = new Database(path);
  migrate(db, path, VERSION_1, 0);
  db.exec(`
insert into jobs (job_id, kind, key, status, queue, priority, input_watermark, claimed_watermark,
                  last_success_watermark, due_at_ms, max_retries, attempt, token, worker_id, lease_until_ms,
                  started_at_ms, finished_at_ms, created_at_ms, updated_at_ms)
values (1, 'build', 'app', 'done', 0, 0, 1, 1, 1, 0, 2, 2, null, null, null, 20, 30, 0, 30),
       (2, 'build', 'web', 'running', 0, 0, 1, 1, 0, 0, 2, 2, 4, 'alice', 10_000_000_000_000, 40, null, 0, 40);
insert into job_attempts (job_id, token, attempt, worker_id, node, run_dir, watermark, started_at_ms, finished_at_ms,
                          outcome, error)
values (1, 1, 1, 'alice', 'n1', '/runs/1', 1, 0, 10, 'failed', 'no'),
       (1, 3, 2, 'bob', null, null, 1, 20, 30, 'succeeded', null),
       (2, 2, 1, 'bob', null, null, 1, 10, 15, 'released', null);
update job_tokens set value = 4`);
  db.close();
}

async function openVersion1(): Promise<{ readonly path: string; readonly store: SqliteJobStore }> {
  const path = join(tempDir(), 'jobs.db');
  writeVersion1(path);
  const store = await openJobStore({ path, clock: createManualClock(), ...contractOptions });
  onTestFinished(() => store.close());
  return { path, store };
}

async function historyOf(store: SqliteJobStore, key: string): Promise<readonly unknown[]> {
  const attempts = await store.attempts('build', key);
  return attempts.map(({ attempt, token, outcome, error }) => [attempt, token, outcome, error]);
}

describe('a file of version 1', () => {
  test('given its history, when it is opened, every attempt is there', async () => {
    const { store } = await openVersion1();

    expect(await historyOf(store, 'app')).toEqual([
      [1, 1, 'failed', 'no'],
      [2, 3, 'succeeded', undefined],
    ]);
    expect(await historyOf(store, 'web')).toEqual([
      [1, 2, 'released', undefined],
      [2, 4, 'running', undefined],
    ]);
  });

  test('given its owners, when they go on, their attempts follow the old ones', async () => {
    const { store } = await openVersion1();
    const web = { jobId: 2, kind: 'build', key: 'web', token: 4, workerId: 'alice', attempt: 2 };
    const lease = { ...web, watermark: 1, leaseUntilMs: 0, startedAtMs: 40 };

    expect(await store.succeed(lease)).toEqual({ outcome: 'succeeded', status: 'done' });
    await store.enqueue({ kind: 'build', key: 'web' });
    const [next] = await store.claimNext({ workerId: 'bob', leaseMs: 1000 });

    expect(next?.token).toBeGreaterThan(4);
    expect(await historyOf(store, 'web')).toEqual([
      [1, 2, 'released', undefined],
      [2, 4, 'succeeded', undefined],
      [3, next?.token, 'running', undefined],
    ]);
  });

  test('given a file that was brought up to date, when the first version opens it, it is refused', async () => {
    const { path, store } = await openVersion1();
    await store.close();
    const db = new Database(path);
    onTestFinished(() => {
      db.close();
    });

    expect(() => migrate(db, path, VERSION_1, 0)).toThrow(
      expect.objectContaining({ code: 'schema-too-new' }) as Error,
    );
  });

  test('given the first version at work in it, when it is brought up to date, a claim that would lose a record is refused', async () => {
    const { path, store } = await openVersion1();
    const old = new Database(path);
    onTestFinished(() => {
      old.close();
    });
    await store.enqueue({ kind: 'build', key: 'app' });
    const [lease] = await store.claimNext({ workerId: 'bob', leaseMs: 1000 });
    if (lease === undefined) throw new Error('Nothing was claimed');
    await store.release(lease);

    const claim = old.prepare(
      `update jobs set status = 'running', queue = 0, token = 9, worker_id = 'old', lease_until_ms = 1, started_at_ms = 1
       where job_id = 1`,
    );

    expect(() => claim.run()).toThrow(/CHECK constraint/);
  });
});
