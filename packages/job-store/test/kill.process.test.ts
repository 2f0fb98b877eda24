/** Real processes that are killed and stopped at any instant. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ChildProcess } from 'node:child_process';
import { createRealClock } from '@conductor-run/clock';
import { openJobStore, type Lease, type SqliteJobStore } from '@conductor-run/job-store';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { exitCode, kill, startActor, startFixture } from './fixtures/processes.ts';
import { tempDir, until } from './fixtures/stores.ts';

const clock = createRealClock();

async function openReal(path: string): Promise<SqliteJobStore> {
  const store = await openJobStore({ path });
  onTestFinished(() => store.close());
  return store;
}

/** Claims as soon as the owner's lease has run out. */
async function claimAfterExpiry(store: SqliteJobStore): Promise<Lease> {
  let taken: Lease | undefined;
  await until(clock, 'the stopped owner loses its lease', async () => {
    [taken] = await store.claimNext({ workerId: 'parent', leaseMs: 60_000 });
    return taken !== undefined;
  });
  if (taken === undefined) throw new Error('Nothing was claimed');
  return taken;
}

interface Ended {
  readonly key: string;
  readonly outcome: string;
  readonly count: number;
}

describe('kill -9', () => {
  test('given workers that are killed at any instant, when all jobs are done, none is lost and none was completed twice', async () => {
    const [processes, jobs, everyMs] = inject('soak') ? [8, 50_000, 100] : [3, 2000, 250];
    const path = join(tempDir(), 'jobs.db');
    const store = await openReal(path);
    await store.enqueueMany(
      Array.from({ length: jobs }, (_, i) => ({ kind: 'noop', key: `job-${i}`, retries: 1_000_000 })),
    );
    const workers: ChildProcess[] = [];
    const startWorker = (slot: number): void => {
      workers[slot] = startFixture('worker.ts', [path, `worker-${slot}`, '1000']);
    };
    for (let slot = 0; slot < processes; slot += 1) startWorker(slot);

    const isDone = async (): Promise<boolean> => (await store.stats()).kinds[0]?.done === jobs;
    let kills = 0;
    let seed = 1;
    while (!(await isDone())) {
      await clock.sleep(everyMs);
      seed = (seed * 16_807) % 2_147_483_647;
      const victim = workers[seed % processes];
      if (victim === undefined || victim.exitCode === 0) continue;
      await kill(victim);
      kills += 1;
      startWorker(seed % processes);
    }
    await Promise.all(workers.map((worker) => exitCode(worker)));

    const ended = await store.transaction((tx) =>
      tx.query(`
        select j.key, a.outcome, count(*) as count
        from jobs j join attempts a on a.job_id = j.job_id
        group by j.key, a.outcome`),
    );
    const succeeded = (ended as Ended[]).filter(({ outcome }) => outcome === 'succeeded');
    expect(kills).toBeGreaterThan(0);
    expect(succeeded).toHaveLength(jobs);
    expect(succeeded.filter(({ count }) => count !== 1)).toEqual([]);
    // Every claim has its record: what did not succeed was lost with its owner and spent a retry.
    const [attempts] = (await store.transaction((tx) =>
      tx.query(`select sum(attempt) as claims, (select count(*) from attempts) as records from jobs`),
    )) as { claims: number; records: number }[];
    expect(attempts?.records).toBe(attempts?.claims);
    const notes = readdirSync(join(path, '..'))
      .filter((name) => name.endsWith('.journal'))
      .flatMap((name) =>
        readFileSync(join(path, '..', name), 'utf8')
          .split('\n')
          .slice(0, -1),
      );
    const keys = notes.map((line) => line.split(' ')[0]);
    expect(new Set(keys).size).toBe(keys.length);
  }, 900_000);

  test('given an enqueue that was answered, when its process is killed, the job is there', async () => {
    const path = join(tempDir(), 'jobs.db');
    const actor = await startActor(path);
    await actor.call('enqueue', { kind: 'build', key: 'app', watermark: 42 });

    await kill(actor.child);

    const store = await openReal(path);
    const [lease] = await store.claimNext({ workerId: 'w', leaseMs: 1000 });
    expect(lease?.watermark).toBe(42);
  });

  test('given several processes, when they create the same store at once, all of them open it', async () => {
    const path = join(tempDir(), 'jobs.db');

    const actors = await Promise.all(Array.from({ length: 4 }, () => startActor(path)));

    const results = await Promise.all(actors.map((actor) => actor.call('enqueue', { kind: 'a', key: 'b' })));
    const watermarks = results.map((result) => (result as { watermark: number }).watermark);
    expect(watermarks.sort((a, b) => a - b)).toEqual([1, 2, 3, 4]);
  });
});

describe('SIGSTOP', () => {
  test('given an owner stopped past its lease, when it wakes up, its late writes change nothing', async () => {
    const path = join(tempDir(), 'jobs.db');
    const store = await openReal(path);
    await store.enqueue({ kind: 'build', key: 'app' });
    const actor = await startActor(path);
    const [old] = (await actor.call('claimNext', { workerId: 'child', leaseMs: 300 })) as Lease[];
    actor.child.kill('SIGSTOP');
    const taken = await claimAfterExpiry(store);
    const before = await store.get('build', 'app');

    actor.child.kill('SIGCONT');
    const answers = [
      await actor.call('heartbeat', old, 60_000),
      await actor.call('setAttemptRun', old, { runDir: '/late' }),
      await actor.call('succeed', old, { result: 'late' }),
      await actor.call('fail', old, { error: 'late' }),
      await actor.call('release', old),
    ];

    expect(answers).toEqual(Array.from({ length: 5 }, () => ({ outcome: 'lease-lost' })));
    expect(await store.get('build', 'app')).toEqual(before);
    expect(taken.token).toBeGreaterThan(old?.token ?? Infinity);
    expect((await store.attempts('build', 'app')).map(({ outcome }) => outcome)).toEqual(['lost', 'running']);
  });

  test('given a leader stopped past its ttl, when it wakes up, its late decisions change nothing', async () => {
    const path = join(tempDir(), 'jobs.db');
    const store = await openReal(path);
    const actor = await startActor(path);
    const lead = { name: 'leader', host: 'h', ttlMs: 300 };
    await actor.call('acquireLeadership', { ...lead, holderId: 'child' });
    actor.child.kill('SIGSTOP');
    await until(clock, 'leadership moves', async () => {
      const { isLeader } = await store.acquireLeadership({ ...lead, holderId: 'parent' });
      return isLeader;
    });

    actor.child.kill('SIGCONT');
    const late = { schedule: 's', slotMs: 1000, term: 1, decision: 'run', effect: [{ kind: 'a', key: 'b' }] };

    expect(await actor.call('decideSlot', late)).toEqual({ outcome: 'stale-term', currentTerm: 2 });
    expect(await actor.call('acquireLeadership', { ...lead, holderId: 'child' })).toMatchObject({
      isLeader: false,
      term: 2,
    });
    expect(await store.get('a', 'b')).toBeUndefined();
  });
});

describe('bell', () => {
  test('given a process that waits for work, when another enqueues, the bell wakes it long before its next look', async () => {
    const path = join(tempDir(), 'jobs.db');
    const store = await openReal(path);
    const actor = await startActor(path);
    await actor.call('claimNext', { workerId: 'child', leaseMs: 1000 });
    actor.send('waitForDue', { maxWaitMs: 55_000 });

    const woken = actor.answer();
    // The child may not listen yet; what it missed would be found by its slow look alone, so ring until it answers.
    let isWoken = false;
    void woken.then(() => {
      isWoken = true;
    });
    await until(clock, 'the child wakes up', async () => {
      await store.enqueue({ kind: 'build', key: 'app' });
      return isWoken;
    });

    expect(await woken).toBe(true);
  });
});
