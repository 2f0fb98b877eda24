/** Claim + complete, 64 in flight, with no finished jobs kept and with a million, rounds interleaved. */
import { join } from 'node:path';
import { openJobStore, type SqliteJobStore } from '@conductor-run/job-store';
import { measurePace, median, printTable, rounds, withDir } from './fixtures.ts';

const BACKLOG = 20_000;
const FINISHED = 1_000_000;
const claim = { workerId: 'worker', leaseMs: 60_000 };

async function runBacklog(store: SqliteJobStore, round: number): Promise<number> {
  for (let from = 0; from < BACKLOG; from += 1000) {
    await store.enqueueMany(
      Array.from({ length: 1000 }, (_, i) => ({ kind: 'noop', key: `round-${round}-${from + i}` })),
    );
  }
  const { perSecond } = await measurePace(async () => {
    let done = 0;
    const worker = async (): Promise<void> => {
      for (let leases = await store.claimNext(claim); ; leases = await store.claimNext(claim)) {
        const [lease] = leases;
        if (lease === undefined) return;
        await store.succeed(lease);
        done += 1;
      }
    };
    await Promise.all(Array.from({ length: 64 }, worker));
    return done;
  });
  return perSecond;
}

await withDir(async (dir) => {
  const empty = await openJobStore({ path: join(dir, 'empty.db') });
  const full = await openJobStore({ path: join(dir, 'full.db') });
  await full.transaction((tx) => {
    tx.execute(
      `
with recursive n (i) as (select 1 union all select i + 1 from n where i < @finished)
insert into jobs (kind, key, status, queue, priority, input_watermark, claimed_watermark, last_success_watermark,
                  due_at_ms, max_retries, attempt, started_at_ms, finished_at_ms, created_at_ms, updated_at_ms,
                  worker_id, ended_token, ended_outcome)
select 'noop', 'finished-' || i, 'done', 0, 0, 1, 1, 1, 1, 3, 2, 1, 1, 1, 1, 'worker', @finished + i, 'succeeded' from n`,
      { finished: FINISHED },
    );
    tx.execute(`
insert into job_attempts (job_id, token, attempt, worker_id, watermark, started_at_ms, finished_at_ms, outcome)
select job_id, job_id, 1, 'worker', 1, 1, 1, 'succeeded' from jobs`);
    tx.execute('update job_tokens set value = @last', { last: 2 * FINISHED });
  });
  const rates: Record<'empty' | 'full', number[]> = { empty: [], full: [] };
  for (let round = 0; round < rounds; round += 1) {
    rates.empty.push(await runBacklog(empty, round));
    rates.full.push(await runBacklog(full, round));
  }
  await empty.close();
  await full.close();
  printTable([
    { 'finished jobs kept': 'none', 'jobs/s': median(rates.empty), ratio: '1.00' },
    {
      'finished jobs kept': FINISHED,
      'jobs/s': median(rates.full),
      ratio: (median(rates.full) / median(rates.empty)).toFixed(2),
    },
  ]);
});
