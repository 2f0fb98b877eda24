/** Enqueueing in batches of 1,000 beside a bare prepared INSERT into the same table, chunks of both interleaved. */
import { join } from 'node:path';
import { openJobStore } from '@conductor-run/job-store';
import Database from 'better-sqlite3';
import { median, printTable, withDir } from './fixtures.ts';

const CHUNK = 1000;
const CHUNKS = 100;

await withDir(async (dir) => {
  const ours = await openJobStore({ path: join(dir, 'ours.db') });
  await (await openJobStore({ path: join(dir, 'raw.db') })).close();
  const raw = new Database(join(dir, 'raw.db'));
  raw.pragma('synchronous = normal');
  raw.pragma('wal_autocheckpoint = 4000');
  const insert = raw.prepare<[Record<string, string | number | null>]>(`
insert into jobs (kind, key, queue, priority, concurrency_key, input_watermark, due_at_ms, max_retries, payload,
                  large_values, created_at_ms, updated_at_ms)
values (@kind, @key, 1, 0, null, 1, @nowMs, 3, null, 0, @nowMs, @nowMs)`);
  const insertChunk = raw.transaction((keys: readonly string[]) => {
    const nowMs = Date.now();
    for (const key of keys) insert.run({ kind: 'noop', key, nowMs });
  });
  const rates = { raw: [] as number[], ours: [] as number[] };
  for (let chunk = 0; chunk < CHUNKS; chunk += 1) {
    const keys = Array.from({ length: CHUNK }, (_, i) => `job-${chunk * CHUNK + i}`);
    let startedAtMs = performance.now();
    insertChunk.immediate(keys);
    rates.raw.push((CHUNK / (performance.now() - startedAtMs)) * 1000);
    startedAtMs = performance.now();
    await ours.enqueueMany(keys.map((key) => ({ kind: 'noop', key })));
    rates.ours.push((CHUNK / (performance.now() - startedAtMs)) * 1000);
  }
  raw.close();
  await ours.close();
  const base = median(rates.raw);
  printTable(
    (['raw', 'ours'] as const).map((name) => ({
      'batches of 1,000': name === 'raw' ? 'bare INSERT' : 'enqueueMany',
      'jobs/s': Math.round(median(rates[name])),
      ratio: (median(rates[name]) / base).toFixed(2),
    })),
  );
});
