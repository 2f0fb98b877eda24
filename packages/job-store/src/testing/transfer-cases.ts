/** Contract: what one store exports, an empty one imports without loss; anything else is refused as a whole. */
import assert from 'node:assert/strict';
import { createManualClock } from '@conductor-run/clock';
import type { JobStore } from '../job-store.ts';
import type { Lease } from '../jobs.ts';
import {
  BUILD,
  BY_ALICE,
  claimOnly,
  contractCase,
  enqueueAndClaim,
  jobOf,
  type ContractCase,
  type ContractSetup,
} from './contract-case.ts';

/** @internal */
export function transferCases(setup: ContractSetup): readonly ContractCase[] {
  return [
    contractCase(
      setup,
      'given a busy store, when it is exported and imported elsewhere, nothing is lost and owners go on',
      async ({ store }) => {
        const lease = await fill(store);
        const lines = await collect(store.exportLines());
        await withCopy(setup, async (copy) => {
          const count = await copy.importLines(lines);

          assert.deepEqual(JSON.parse(lines.at(-1) ?? ''), { records: count });
          assert.equal(count, lines.length - 2);
          assert.deepEqual((await collect(copy.exportLines())).slice(1), lines.slice(1));
          for (const key of ['done', 'failed', 'running'])
            assert.deepEqual(await copy.attempts('build', key), await store.attempts('build', key));
          assert.deepEqual(await copy.succeed(lease), { outcome: 'succeeded', status: 'done' });
          const next = await claimOnly(copy);
          assert.ok(next.token > lease.token);
          await assert.rejects(copy.importLines(lines), { code: 'not-empty' });
        });
      },
    ),
    contractCase(
      setup,
      'given a torn export, when it is imported, nothing is taken in',
      async ({ store }) => {
        await fill(store);
        const lines = await collect(store.exportLines());
        await withCopy(setup, async (copy) => {
          for (const [index, line] of lines.entries()) {
            const torn = [...lines.slice(0, index), line.slice(0, -5)];
            const withoutOne = [...lines.slice(0, index), ...lines.slice(index + 1)];
            for (const cut of [lines.slice(0, index), torn, withoutOne])
              await assert.rejects(copy.importLines(cut), { code: 'transfer-invalid' });
          }
          await assert.rejects(copy.importLines([...lines, lines[1] ?? '']), { code: 'transfer-invalid' });

          assert.deepEqual((await copy.list()).jobs, []);
          assert.equal(await copy.slotCursor('s'), undefined);
          assert.equal(await copy.importLines([...lines, '']), lines.length - 2);
        });
      },
    ),
    contractCase(
      setup,
      'given an export whose counter is behind its leases, when it is imported, no token is given out again',
      async ({ store }) => {
        const old = await fill(store);
        const lines = (await collect(store.exportLines())).map((line) =>
          line.includes('"job_tokens"') ? '{"table":"job_tokens","row":{"value":0}}' : line,
        );
        await withCopy(setup, async (copy) => {
          await copy.importLines(lines);

          const next = await claimOnly(copy);

          assert.ok(next.token > old.token);
        });
      },
    ),
    contractCase(
      setup,
      'given a store that was led or has decided, when an export is imported, its terms and slots stay',
      async ({ store }) => {
        await fill(store);
        const lines = await collect(store.exportLines());
        const ask = { name: 'leader', holderId: 'b', host: 'b', ttlMs: 1000 };
        await withCopy(setup, async (led) => {
          await led.acquireLeadership(ask);
          await led.resignLeadership('leader', 'b');
          await led.acquireLeadership(ask);

          await assert.rejects(led.importLines(lines), { code: 'not-empty' });

          assert.equal((await led.leadership('leader'))?.term, 2);
        });
        await withCopy(setup, async (decided) => {
          await decided.decideSlot({ schedule: 's', slotMs: 5000, term: 7, decision: 'run' });

          await assert.rejects(decided.importLines(lines), { code: 'not-empty' });

          assert.equal(await decided.slotCursor('s'), 5000);
          const low = { schedule: 's', slotMs: 6000, term: 1, decision: 'run' };
          assert.deepEqual(await decided.decideSlot(low), { outcome: 'stale-term', currentTerm: 7 });
        });
      },
    ),
    contractCase(
      setup,
      'given a store that was paused in advance, when an export is imported, nothing starts',
      async ({ store }) => {
        await fill(store);
        const lines = await collect(store.exportLines());
        await withCopy(setup, async (copy) => {
          await copy.pause();
          await copy.pause('nothing');

          await copy.importLines(lines);

          assert.deepEqual(await copy.claimNext(BY_ALICE), []);
          await copy.resume();
          await claimOnly(copy);
        });
      },
    ),
    ...refusedRowCases(setup),
  ];
}

type Row = Record<string, string | number | null>;

/** Rows no store writes, each made of a good one. */
function refusedRowCases(setup: ContractSetup): readonly ContractCase[] {
  const refused = (given: string, table: string, change: Row): ContractCase =>
    contractCase(
      setup,
      `given ${given}, when it is imported, its line is refused and nothing is taken in`,
      async ({ store }) => {
        await fill(store);
        const lines = await collect(store.exportLines());
        const index = lines.findIndex((line) => line.startsWith(`{"table":"${table}"`));
        const good = JSON.parse(lines[index] ?? '') as { readonly row: Row };
        lines[index] = JSON.stringify({ table, row: { ...good.row, ...change } });
        await withCopy(setup, async (copy) => {
          const importing = copy.importLines(lines);

          await assert.rejects(importing, { code: 'transfer-invalid' });
          assert.deepEqual((await copy.list()).jobs, []);
        });
      },
    );
  return [
    refused('a payload that is no JSON', 'jobs', { payload: 'nope{' }),
    refused('a negative job number', 'jobs', { job_id: -5 }),
    refused('the highest job number', 'jobs', { job_id: Number.MAX_SAFE_INTEGER }),
    refused('a job number that is text', 'jobs', { job_id: 'one' }),
    refused('an empty kind', 'jobs', { kind: '' }),
    refused('a long key', 'jobs', { key: 'x'.repeat(1001) }),
    refused('a key with half a surrogate pair', 'jobs', { key: 'a\ud800' }),
    refused('a key with NUL', 'jobs', { key: 'a\0b' }),
    refused('a job twice', 'jobs', { key: 'failed' }),
    refused('a watermark at the edge', 'jobs', { input_watermark: Number.MAX_SAFE_INTEGER }),
    refused('a success beyond the input', 'jobs', { last_success_watermark: 99 }),
    refused('an instant beyond time', 'jobs', { due_at_ms: Number.MAX_SAFE_INTEGER }),
    refused('an unknown column', 'jobs', { colour: 'red' }),
    refused('a negative attempt', 'job_attempts', { attempt: -7 }),
    refused('an attempt of no job', 'job_attempts', { job_id: 99 }),
    refused('a token two attempts have', 'job_attempts', { token: 2 }),
    refused('a negative counter', 'job_tokens', { value: -1 }),
    refused('a term at the edge', 'leadership_fences', { term: Number.MAX_SAFE_INTEGER }),
    refused('a slot before all time', 'schedule_slots', { slot_ms: -1 }),
    refused('a term above its leadership', 'leadership_terms', { term: 5 }),
  ];
}

async function fill(store: JobStore): Promise<Lease> {
  await store.succeed(await enqueueAndClaim(store, { key: 'done', payload: 'x'.repeat(3000) }), {
    result: [1],
  });
  await store.fail(await enqueueAndClaim(store, { key: 'failed', retries: 0 }), { error: 'no' });
  await store.succeed(await enqueueAndClaim(store, { key: 'done' }));
  const lease = await enqueueAndClaim(store, { key: 'running', payload: { a: 1 } });
  await store.enqueue({ ...BUILD, key: 'waiting' });
  await store.pause('nothing');
  const { term } = await store.acquireLeadership({ name: 'leader', holderId: 'a', host: 'a', ttlMs: 1000 });
  await store.decideSlot({ schedule: 's', slotMs: 1000, term, decision: 'skip', reason: 'paused' });
  assert.ok((await jobOf(store, 'running')).token !== undefined);
  return lease;
}

/** Another empty store, gone after `work`. */
async function withCopy(setup: ContractSetup, work: (copy: JobStore) => Promise<void>): Promise<void> {
  using clock = createManualClock();
  const stores = await setup(clock);
  const copy = await stores.open();
  try {
    await work(copy);
  } finally {
    await copy.close();
    await stores.dispose();
  }
}

async function collect(lines: AsyncIterable<string>): Promise<string[]> {
  const collected: string[] = [];
  for await (const line of lines) collected.push(line);
  return collected;
}
