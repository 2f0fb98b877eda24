/**
 * A power cut at any byte: the write-ahead log is cut and garbled at every frame of it, and what opens must be exactly what
 * the last whole commit before that place answered; then the store goes on by the rules.
 */
import { copyFileSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openJobStore, type Lease, type SqliteJobStore } from '@conductor-run/job-store';
import { describe, expect, test } from 'vitest';
import { contractOptions, setup } from './fixtures/stores.ts';

const CLAIM = { workerId: 'w', leaseMs: 1000 };
const TABLES = [
  'jobs',
  'job_large_values',
  'attempts',
  'job_tokens',
  'paused_kinds',
  'leadership_fences',
  'schedule_cursors',
  'schedule_slots',
];
const LOG_HEADER_BYTES = 32;
const FRAME_BYTES = 24 + 2048;

/** What was true when the log was this long. */
interface Answered {
  readonly logBytes: number;
  readonly records: string;
  readonly lastToken: number;
}

/** Every row of the main file but those of its schema. */
async function recordsOf(store: SqliteJobStore): Promise<string> {
  const rows = await store.transaction((tx) =>
    TABLES.map((table) => tx.query(`select * from ${table} order by 1, 2`)),
  );
  return JSON.stringify(rows);
}

/** Every verb that writes, the ones of several statements above all. */
function makeCalls(store: SqliteJobStore): readonly (() => Promise<unknown>)[] {
  const leases: Lease[] = [];
  const take = async (limit: number): Promise<void> => {
    leases.push(...(await store.claimNext({ ...CLAIM, limit })));
  };
  const lease = (index: number): Lease => {
    const found = leases[index];
    if (found === undefined) throw new Error(`Nobody took lease ${index}`);
    return found;
  };
  const large = 'x'.repeat(5000);
  const job = (key: string): { kind: string; key: string } => ({ kind: 'k', key });
  return [
    () => store.enqueueMany(['a', 'b', 'c', 'd'].map((key) => ({ ...job(key), concurrencyKey: 'one' }))),
    () => store.enqueue({ ...job('large'), payload: large, retries: 1 }),
    () => take(3),
    () => store.enqueue({ ...job('a'), payload: large }),
    () => Promise.all([0, 1].map((index) => store.succeed(lease(index), { result: large }))),
    () => store.fail(lease(2), { error: 'no', retry: { policy: 'fixed', delayMs: 0 } }),
    () => take(1),
    () => store.completeAndClaim(lease(3), { result: 1 }, { ...CLAIM, limit: 2 }),
    () =>
      store.decideSlot({ schedule: 's', slotMs: 1, term: 3, decision: 'run', effect: [job('a'), job('e')] }),
    () => store.transaction((tx) => [tx.enqueue(job('f')), tx.cancel('k', 'b'), tx.pause('other')]),
    () => take(2),
    () => Promise.all([store.release(lease(4)), store.cancel('k', 'c'), store.enqueue(job('g'))]),
    () => store.remove('k', 'g'),
    () => store.retry('k', 'c'),
  ];
}

describe('a torn log', () => {
  test('given every verb, when the log is cut or garbled at any frame, what opens is what the last whole commit answered', async () => {
    const { dir, path, store, clock } = await setup({ durability: 'power' });
    const answered: Answered[] = [];
    const note = async (): Promise<void> => {
      const records = await recordsOf(store);
      const tokens = [...records.matchAll(/"token":(\d+)/g)].map(([, token]) => Number(token));
      answered.push({
        logBytes: statSync(`${path}-wal`).size,
        records,
        lastToken: Math.max(0, ...tokens),
      });
    };
    await note();
    for (const call of makeCalls(store)) {
      await call();
      await note();
    }
    const log = readFileSync(`${path}-wal`);
    const first = answered[0]?.logBytes ?? 0;
    const places: (readonly [at: number, logOf: (at: number) => Buffer])[] = [];
    for (let frame = LOG_HEADER_BYTES; frame < log.length; frame += FRAME_BYTES) {
      if (frame < first) continue;
      for (const offset of [0, 24, FRAME_BYTES - 1])
        places.push([frame + offset, (at) => log.subarray(0, at)]);
      places.push([frame + 500, (at) => garbled(log, at)]);
    }
    let count = 0;

    for (const [at, logOf] of places) {
      const copy = join(dir, `torn-${(count += 1)}.db`);
      copyFileSync(path, copy);
      writeFileSync(`${copy}-wal`, logOf(at));
      const reopened = await openJobStore({ path: copy, clock, ...contractOptions });
      try {
        const expected = answered.findLast(({ logBytes }) => logBytes <= at);
        expect((await recordsOf(reopened)) === expected?.records, `damaged at ${at}`).toBe(true);
        if (count % 7 === 0) await requireRules(reopened, expected?.lastToken ?? 0);
      } finally {
        await reopened.close();
      }
    }

    expect(places.length).toBeGreaterThan(200);
  }, 120_000);
});

function garbled(log: Buffer, at: number): Buffer {
  const copy = Buffer.from(log);
  copy[at] = (copy[at] ?? 0) ^ 0xff;
  return copy;
}

/** The store goes on: stale leases change nothing, tokens and watermarks grow, slots and terms do not come again. */
async function requireRules(store: SqliteJobStore, lastToken: number): Promise<void> {
  await store.resume('other');
  const before = (await store.list()).jobs;
  const raised = await store.enqueue({ kind: 'k', key: 'a' });
  const known = before.find(({ key }) => key === 'a');
  expect(raised.watermark).toBe((known?.inputWatermark ?? 0) + 1);
  await store.enqueue({ kind: 'k', key: 'z' });
  const [lease] = await store.claimNext({ ...CLAIM, kinds: ['k'] });
  if (lease === undefined) throw new Error('The raised job is not handed out');
  expect(lease.token).toBeGreaterThan(lastToken);
  const stale = { ...lease, token: lease.token + 1000 };
  expect(await store.succeed(stale)).toEqual({ outcome: 'lease-lost' });
  expect((await store.succeed(lease)).outcome).toBe('succeeded');
  const cursor = await store.slotCursor('s');
  const slot = { schedule: 's', slotMs: cursor ?? 1, term: 3, decision: 'run' };
  expect((await store.decideSlot(slot)).outcome).toBe(cursor === undefined ? 'decided' : 'already-decided');
  expect((await store.decideSlot({ ...slot, slotMs: 9, term: 2 })).outcome).toBe('stale-term');
}
