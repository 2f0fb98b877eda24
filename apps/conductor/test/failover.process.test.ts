/** Two daemons of one store that are killed and stopped. `SOAK=1` does 20 rounds at the default settings and prints the times. */
import { createRealClock } from '@conductor-run/clock';
import { JobStoreError } from '@conductor-run/job-store';
import { describe, expect, inject, test } from 'vitest';

import { type Cluster, createCluster, type Leader } from './fixtures/cluster.ts';
import { linesOf, logOf, STEADY_TIMES } from './fixtures/daemon.ts';
import { until } from './fixtures/scratch.ts';

const isSoak = inject('soak');
const SLOT_MS = 500;
const CAUGHT_UP_SLOTS = 10;
const ROUNDS = isSoak ? 20 : 1;
const CONFIG = `${isSoak ? '' : STEADY_TIMES}jobs:
  tick:
    command: echo "$CONDUCTOR_ATTEMPT" >> ran.log
    schedule: { every: ${SLOT_MS}ms, catchUp: all, overlap: queue-one }
`;

/** Starts both; gives who leads and who does not. */
async function startBoth(cluster: Cluster): Promise<Leader> {
  cluster.start('a');
  const leader = await cluster.leader('a');
  cluster.start('b');
  await until('both live', async () => (await cluster.store.nodes()).length === 2);
  return leader;
}

function otherOf(nodeId: string): string {
  return nodeId === 'a' ? 'b' : 'a';
}

/**
 * Waits until a leader has decided slots of its own and caught up with the present: one that is killed before leaves
 * its backlog to the next, and beyond 100 slots `catchUp: all` gives up by design.
 */
async function untilSlots(cluster: Cluster, { term }: Leader, count = 2): Promise<void> {
  const clock = createRealClock();
  await until(`term ${term} has decided ${count} slots and caught up`, async () => {
    const slots = await cluster.store.slots('tick', { limit: count });
    const behindMs = clock.nowMs() - (slots[0]?.slotMs ?? 0);
    return (
      behindMs < CAUGHT_UP_SLOTS * SLOT_MS &&
      slots.length === count &&
      slots.every((slot) => slot.term === term)
    );
  });
}

/** Ends both daemons and gives what became of every slot. */
async function countSlots(cluster: Cluster): Promise<{ slots: number; lost: number; doubled: number }> {
  for (const nodeId of ['a', 'b']) cluster.node(nodeId).child.kill('SIGTERM');
  for (const nodeId of ['a', 'b']) await cluster.node(nodeId).ended;
  // Where counting began is no slot of the schedule.
  const slots = (await cluster.slots('tick')).filter(({ decision }) => decision !== 'anchored');
  const decided = new Set(slots.map(({ slotMs }) => slotMs));
  const [first = 0, last = 0] = [slots[0]?.slotMs, slots.at(-1)?.slotMs];
  let lost = 0;
  for (let slotMs = first; slotMs <= last; slotMs += SLOT_MS) if (!decided.has(slotMs)) lost += 1;
  const succeeded = (await cluster.attempts('tick')).filter(({ outcome }) => outcome === 'succeeded');
  const watermarks = new Set(succeeded.map(({ watermark }) => watermark));
  // Terms only ever grow, in the order of the slots: nothing of an old leader came after the new one's first.
  const terms = slots.map(({ term }) => term);
  expect(terms).toEqual(terms.toSorted((one, other) => one - other));
  expect([...watermarks].every((watermark) => decided.has(watermark))).toBe(true);
  expect(linesOf(cluster.scratch, 'ran.log')).toHaveLength(new Set(linesOf(cluster.scratch, 'ran.log')).size);
  return { slots: slots.length, lost, doubled: succeeded.length - watermarks.size };
}

/** Ends the leader with a signal, round after round, and times how long it takes until the other one leads. */
async function failOver(cluster: Cluster, signal: NodeJS.Signals): Promise<readonly number[]> {
  const clock = createRealClock();
  const tookMs: number[] = [];
  let leader = await startBoth(cluster);
  for (let round = 0; round < ROUNDS; round += 1) {
    await untilSlots(cluster, leader);
    const { child, ended } = cluster.node(leader.nodeId);
    const startedAtMs = clock.monotonicMs();
    child.kill(signal);
    const next = await cluster.leader(otherOf(leader.nodeId), leader.term);
    tookMs.push(clock.monotonicMs() - startedAtMs);
    await ended;
    cluster.start(leader.nodeId);
    leader = next;
  }
  await untilSlots(cluster, leader);
  return tookMs;
}

/** SQLite's locks are those of a process: one that is stopped inside a write keeps everybody from writing, see the README. */
async function stopBetweenWrites({ node, store }: Cluster, nodeId: string): Promise<void> {
  const { child } = node(nodeId);
  for (;;) {
    child.kill('SIGSTOP');
    try {
      await store.nodeHeartbeat({ nodeId: 'probe', host: 'test', ttlMs: 1 });
      await store.enqueue({ kind: 'nobody-runs-this', key: 'probe' });
      return;
    } catch (error) {
      if (!(error instanceof JobStoreError) || error.code !== 'busy') throw error;
      child.kill('SIGCONT');
    }
  }
}

function tell(what: string, tookMs: readonly number[], counts: object): void {
  const sorted = tookMs.map(Math.round).toSorted((one, other) => one - other);
  const times = { min: sorted[0], median: sorted[Math.floor(sorted.length / 2)], max: sorted.at(-1) };
  process.stdout.write(`${what}: ${JSON.stringify({ rounds: sorted.length, ...times, ...counts })}\n`);
}

describe('failover', () => {
  test('given kill -9 of the leader, the other one leads under a higher term; no slot is lost, none runs twice', async () => {
    const cluster = await createCluster(CONFIG);

    const tookMs = await failOver(cluster, 'SIGKILL');

    const counts = await countSlots(cluster);
    expect(counts).toMatchObject({ lost: 0, doubled: 0 });
    if (!isSoak) return;
    tell('takeover after kill -9, ms', tookMs, counts);
    expect(Math.max(...tookMs)).toBeLessThan(20_000);
  });

  test('given SIGTERM to the leader, the other one leads soon; no slot is lost, none runs twice', async () => {
    const cluster = await createCluster(CONFIG);

    const tookMs = await failOver(cluster, 'SIGTERM');

    const counts = await countSlots(cluster);
    expect(counts).toMatchObject({ lost: 0, doubled: 0 });
    if (!isSoak) return;
    tell('takeover after SIGTERM, ms', tookMs, counts);
    expect(Math.max(...tookMs)).toBeLessThan(2_000);
  });

  test('given a leader with a long step, SIGTERM gives leadership up at once and waits for the step all the same', async () => {
    const cluster = await createCluster(
      `${CONFIG}  long:\n    command: while [ ! -e go ]; do sleep 0.05; done; echo ended >> long.log\n`,
    );
    cluster.start('a');
    const leader = await cluster.leader('a');
    await cluster.scratch.conductor('enqueue', 'long');
    await until(
      'the long step runs',
      async () => (await cluster.store.list({ kind: 'long', status: 'running' })).jobs.length === 1,
    );
    cluster.start('b');

    cluster.node('a').child.kill('SIGTERM');
    const next = await cluster.leader('b', leader.term);
    await untilSlots(cluster, next);

    expect(cluster.node('a').child.exitCode).toBeNull();
    cluster.scratch.write({ go: '' });
    expect((await cluster.node('a').ended).exitCode).toBe(0);
    expect(linesOf(cluster.scratch, 'long.log')).toEqual(['ended']);
  });

  test('given a leader that is stopped past its lease and goes on, none of its late writes lands', async () => {
    const cluster = await createCluster(CONFIG);
    let leader = await startBoth(cluster);
    for (let round = 0; round < (isSoak ? 5 : 1); round += 1) {
      await untilSlots(cluster, leader);
      await stopBetweenWrites(cluster, leader.nodeId);
      const next = await cluster.leader(otherOf(leader.nodeId), leader.term);
      await untilSlots(cluster, next);

      cluster.node(leader.nodeId).child.kill('SIGCONT');
      await until('it has noticed', () => logOf(cluster.scratch, 'leadership.lost').length > round);
      await untilSlots(cluster, next, 4);
      leader = next;
    }

    expect(await countSlots(cluster)).toMatchObject({ lost: 0, doubled: 0 });
  });

  test('given a standby that asks first, a primary takes over from a dead leader all the same', async () => {
    const cluster = await createCluster(CONFIG);
    cluster.start('a');
    const leader = await cluster.leader('a');
    cluster.start('standby', '--role', 'standby');
    await until('the standby lives', async () => (await cluster.store.nodes()).length === 2);
    cluster.start('primary');
    await until('the primary tells its rank', async () => {
      const node = (await cluster.store.nodes()).find(({ nodeId }) => nodeId === 'primary');
      return JSON.stringify(node?.state ?? null).includes('"priority":100');
    });

    cluster.node('a').child.kill('SIGKILL');
    const next = await cluster.leader(undefined, leader.term);
    cluster.node('primary').child.kill('SIGKILL');
    const last = await cluster.leader(undefined, next.term);

    expect([next.nodeId, last.nodeId]).toEqual(['primary', 'standby']);
  });
});
