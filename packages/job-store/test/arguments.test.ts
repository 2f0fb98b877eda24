/** Bad arguments change nothing, and all three ways to make a call are the same call. */
import {
  JobStoreError,
  type Lease,
  type SlotRequest,
  type SqliteJobStore,
  type SyncJobStore,
} from '@conductor-run/job-store';
import { describe, expect, test } from 'vitest';
import { setup } from './fixtures/stores.ts';

const BUILD = { kind: 'build', key: 'app' };
const CLAIM = { workerId: 'w', leaseMs: 1000 };
const LEASE: Lease = {
  ...BUILD,
  jobId: 1,
  token: 1,
  workerId: 'w',
  attempt: 1,
  watermark: 1,
  leaseUntilMs: 1,
  startedAtMs: 1,
};
const SLOT: SlotRequest = { schedule: 's', slotMs: 1, term: 1, decision: 'run' };

/** A value as callers without types pass it. */
function untyped(value: unknown): never {
  return value as never;
}

type Attempted = readonly [name: string, call: (store: SqliteJobStore) => Promise<unknown>];

const badCalls: readonly Attempted[] = [
  ['an empty kind', (store) => store.enqueue({ kind: '', key: 'a' })],
  ['a long key', (store) => store.enqueue({ kind: 'a', key: 'x'.repeat(1001) })],
  ['a key that is no text', (store) => store.enqueue({ kind: 'a', key: untyped(7) })],
  ['a zero watermark', (store) => store.enqueue({ ...BUILD, watermark: 0 })],
  ['a payload JSON cannot hold', (store) => store.enqueue({ ...BUILD, payload: untyped(() => 1) })],
  ['negative retries', (store) => store.enqueue({ ...BUILD, retries: -1 })],
  ['one bad request of many', (store) => store.enqueueMany([BUILD, { ...BUILD, priority: 0.5 }])],
  ['a lease of no time', (store) => store.claim({ ...BUILD, ...CLAIM, leaseMs: 0 })],
  ['a claim of too many', (store) => store.claimNext({ ...CLAIM, limit: 1001 })],
  ['a negative limit', (store) => store.claimNext({ ...CLAIM, limits: { kinds: { a: -1 } } })],
  ['a fractional key limit', (store) => store.claimNext({ ...CLAIM, limits: { perConcurrencyKey: 0.5 } })],
  ['a lease without token', (store) => store.heartbeat({ ...LEASE, token: 0 }, 1000)],
  ['an error that is no text', (store) => store.fail(LEASE, { error: untyped(undefined) })],
  [
    'a negative backoff',
    (store) => store.fail(LEASE, { error: 'x', retry: { policy: 'fixed', delayMs: -1 } }),
  ],
  ['a due time of no number', (store) => store.release(LEASE, { dueAtMs: Number.NaN })],
  ['an empty run directory', (store) => store.setAttemptRun(LEASE, { runDir: '' })],
  ['a zero term', (store) => store.decideSlot({ ...SLOT, term: 0 })],
  ['a made-up cursor', (store) => store.list({ cursor: 'nonsense' })],
  ['an endless page', (store) => store.list({ limit: 1001 })],
  ['attempts without end', (store) => store.attempts('build', 'app', { limit: 1001 })],
  ['attempts after nothing', (store) => store.attempts('build', 'app', { afterToken: -1 })],
  ['a negative wait', (store) => store.waitForDue({ maxWaitMs: -1 })],
  [
    'a leadership of no time',
    (store) => store.acquireLeadership({ name: 'a', holderId: 'b', host: 'c', ttlMs: 0 }),
  ],
  ['a prune before nothing', (store) => store.prune({ finishedBeforeMs: -1 })],
];

describe('bad arguments', () => {
  test.for(badCalls)(
    'given %s, when the call is made, it is refused and nothing changes',
    async ([, call]) => {
      const { store } = await setup();
      await store.claimNext(CLAIM);

      const error: unknown = await call(store).catch((error: unknown) => error);

      expect(error instanceof TypeError || error instanceof RangeError).toBe(true);
      expect((await store.list()).jobs).toEqual([]);
    },
  );
});

/** Every writing call, made the same way whoever runs it. */
function makeEveryCall(calls: SyncJobStore): unknown[] {
  const take = (key: string): Lease => {
    calls.enqueue({ kind: 'build', key });
    const claimed = calls.claim({ kind: 'build', key, ...CLAIM });
    if (claimed.outcome === 'refused') throw new Error(claimed.reason);
    return claimed.lease;
  };
  const lease = take('a');
  return [
    calls.enqueueMany([{ kind: 'build', key: 'many' }]),
    calls.heartbeat(lease, 5000),
    calls.heartbeatMany([lease], 6000),
    calls.setAttemptRun(lease, { runDir: '/r', node: 'n' }),
    calls.succeed(lease, { result: 1 }),
    calls.fail(take('b'), { error: 'no' }),
    calls.retry('build', 'b'),
    calls.release(take('c')),
    calls.cancel('build', 'c'),
    calls.remove('build', 'c'),
    calls.completeAndClaim(take('d'), {}, { ...CLAIM, limit: 5 }).leases.map(({ key }) => key),
    calls.pause('build'),
    calls.claimNext(CLAIM),
    calls.resume('build'),
    calls.decideSlot(SLOT),
    calls.get('build', 'a')?.result,
    calls.list({ status: 'running' }).jobs.map(({ key, node }) => [key, node]),
    calls.attempts('build', 'a').map(({ outcome, runDir, node }) => [outcome, runDir, node]),
    calls.stats().kinds.map(({ done, running }) => [done, running]),
    calls.slotCursor('s'),
    calls.slots('s').map(({ decision }) => decision),
  ];
}

describe('ways to call', () => {
  test('given the synchronous twin and a transaction, when every call is made through each, the answers are the same', async () => {
    const { store: first, clock } = await setup();
    const { store: second } = await setup({ clock });

    const one = makeEveryCall(first.sync);
    const other = await second.transaction(makeEveryCall);

    expect(one).toEqual(other);
    expect(one.slice(4, 10)).toEqual([
      { outcome: 'succeeded', status: 'done' },
      { outcome: 'failed', status: 'error', retryAtMs: clock.nowMs() + 1000, isExhausted: false },
      'due',
      { outcome: 'released', status: 'pending' },
      'cancelled',
      'removed',
    ]);
  });
});

describe('import', () => {
  test.for([
    ['no header', ['{"table":"jobs","row":{}}']],
    ['missing columns', ['header', '{"table":"paused_kinds","row":{"kind":"a"}}']],
    ['an unknown table', ['header', '{"table":"users","row":{}}']],
    ['a contradiction', ['header', '{"table":"paused_kinds","row":{"kind":null,"paused_at_ms":1}}']],
  ] as const)('given %s, when it is imported, it is refused with its line', async ([, lines]) => {
    const { store } = await setup();
    const header = '{"format":"conductor-job-store","version":1,"exportedAtMs":1}';

    const importing = store.importLines(lines.map((line) => (line === 'header' ? header : line)));

    await expect(importing).rejects.toThrow(`line ${lines.length}`);
    await expect(importing).rejects.toBeInstanceOf(JobStoreError);
  });
});
