/**
 * Enqueueing in batches of 1,000 beside a bare prepared INSERT into the same table, chunks of all interleaved. The bare
 * INSERT once takes the same nine values as an enqueue does, and once only the key, with all else written in the SQL.
 */
import { join } from 'node:path';
import { openJobStore } from '@conductor-run/job-store';
import Database from 'better-sqlite3';
import { median, printTable, withDir } from './fixtures.ts';

const CHUNK = 1000;
const CHUNKS = 100;
const VALUES = `@kind, @key, 1, @priority, @concurrencyKey, @watermark, @dueAtMs, @retries, @payload, @nowMs, @nowMs`;
const KEY_ONLY = `@kind, @key, 1, 0, null, 1, @nowMs, 3, null, @nowMs, @nowMs`;

type AddChunk = (keys: readonly string[]) => unknown;
interface Contender {
  readonly name: string;
  readonly add: AddChunk;
  readonly close: () => unknown;
  readonly rates: number[];
}

async function bareInsert(dir: string, name: string, values: string, more: object): Promise<Contender> {
  const path = join(dir, `${name}.db`);
  await (await openJobStore({ path })).close();
  const db = new Database(path);
  db.pragma('synchronous = normal');
  db.pragma('wal_autocheckpoint = 2000');
  const insert = db.prepare<[object]>(`
insert into jobs (kind, key, queue, priority, concurrency_key, input_watermark, due_at_ms, max_retries, payload,
                  created_at_ms, updated_at_ms)
values (${values})`);
  const add = db.transaction((keys: readonly string[]) => {
    const nowMs = Date.now();
    for (const key of keys) insert.run({ kind: 'noop', key, nowMs, ...more });
  });
  return { name, add: (keys) => add.immediate(keys), close: () => db.close(), rates: [] };
}

await withDir(async (dir) => {
  const store = await openJobStore({ path: join(dir, 'ours.db') });
  const rest = {
    priority: 0,
    concurrencyKey: null,
    watermark: 1,
    dueAtMs: Date.now(),
    retries: 3,
    payload: null,
  };
  const contenders: readonly Contender[] = [
    await bareInsert(dir, 'bare INSERT of the same values', VALUES, rest),
    await bareInsert(dir, 'bare INSERT of the key', KEY_ONLY, {}),
    {
      name: 'enqueueMany',
      add: (keys) => store.enqueueMany(keys.map((key) => ({ kind: 'noop', key }))),
      close: () => store.close(),
      rates: [],
    },
  ];
  for (let chunk = 0; chunk < CHUNKS; chunk += 1) {
    const keys = Array.from({ length: CHUNK }, (_, i) => `job-${chunk * CHUNK + i}`);
    for (const { add, rates } of contenders) {
      const startedAtMs = performance.now();
      await add(keys);
      rates.push((CHUNK / (performance.now() - startedAtMs)) * 1000);
    }
  }
  for (const { close } of contenders) await close();
  const ours = median(contenders.at(-1)?.rates ?? []);
  printTable(
    contenders.map(({ name, rates }) => ({
      'batches of 1,000': name,
      'jobs/s': Math.round(median(rates)),
      'enqueueMany has': (ours / median(rates)).toFixed(2),
    })),
  );
});
