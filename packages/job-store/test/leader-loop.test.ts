import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createManualClock, type ManualClock } from '@conductor-run/clock';
import { describe, expect, onTestFinished, test } from 'vitest';

import {
  type AcquireLeadershipResult,
  type LeaderLoop,
  type LeaderState,
  openJobStore,
  type SqliteJobStore,
  startLeaderLoop,
} from '../src/index.ts';
import type { LeadershipStore } from '../src/leadership.ts';

const TIMES = { ttlMs: 10_000, renewDeadlineMs: 6_000, retryMs: 2_000 };

/** Stores on one file, as nodes on one machine have them, under one manual clock. */
function setup() {
  const dir = mkdtempSync(join(tmpdir(), 'leader-loop-'));
  const clock = createManualClock();
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const openStore = async (): Promise<SqliteJobStore> => {
    const store = await openJobStore({ path: join(dir, 'jobs.db'), clock });
    onTestFinished(() => store.close());
    return store;
  };
  const lead = (
    store: LeadershipStore,
    holderId: string,
    onChange?: (state: LeaderState) => void,
  ): LeaderLoop =>
    startLeaderLoop(store, { holderId, host: 'here', clock, ...TIMES, ...(onChange && { onChange }) });
  return { clock, openStore, lead };
}

/** Moves time until the loops have settled on what `condition` says; the store answers on the real event loop. */
async function settle(clock: ManualClock, condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 200 && !condition(); turn += 1) await clock.advance(0);
  expect(condition()).toBe(true);
}

/** A leadership store whose renewals can be made to hang or fail. */
function createFaulty(store: LeadershipStore) {
  let fault: 'none' | 'hang' | 'fail' = 'none';
  const faulty: LeadershipStore = {
    ...store,
    acquireLeadership: (request) => {
      if (fault === 'hang') return new Promise<AcquireLeadershipResult>(() => undefined);
      if (fault === 'fail') return Promise.reject(new Error('disk I/O error'));
      return store.acquireLeadership(request);
    },
    resignLeadership: (name, holderId) => store.resignLeadership(name, holderId),
  };
  return { faulty, set: (next: typeof fault) => void (fault = next) };
}

describe('startLeaderLoop', () => {
  test('given two nodes, when both start, one leads and the other stands by', async () => {
    const { clock, openStore, lead } = setup();
    const one = lead(await openStore(), 'one');
    await settle(clock, () => one.leadingTerm() !== undefined);
    const two = lead(await openStore(), 'two');
    await settle(clock, () => two.state().holderId === 'one');

    expect(one.state()).toMatchObject({ role: 'leader', holderId: 'one' });
    expect(two.leadingTerm()).toBeUndefined();
    await Promise.all([one.stop(), two.stop()]);
    expect(clock.pendingTimers()).toBe(0);
  });

  test('given a leader that stops, the standby leads under a higher term without waiting for the ttl', async () => {
    const { clock, openStore, lead } = setup();
    const one = lead(await openStore(), 'one');
    await settle(clock, () => one.leadingTerm() !== undefined);
    const firstTerm = one.leadingTerm() ?? 0;
    const two = lead(await openStore(), 'two');
    await settle(clock, () => two.state().holderId === 'one');

    await one.stop();
    await clock.advance(TIMES.retryMs);
    await settle(clock, () => two.leadingTerm() !== undefined);

    expect(two.leadingTerm()).toBeGreaterThan(firstTerm);
    expect(one.leadingTerm()).toBeUndefined();
    await two.stop();
  });

  test('given renewals that hang, when the renew deadline passes, it has stopped leading and said so before its ttl ends', async () => {
    const { clock, openStore, lead } = setup();
    const { faulty, set } = createFaulty(await openStore());
    const roles: string[] = [];
    const loop = lead(faulty, 'one', (state) => void roles.push(state.role));
    await settle(clock, () => loop.leadingTerm() !== undefined);

    set('hang');
    await clock.advance(TIMES.renewDeadlineMs);

    expect(loop.leadingTerm()).toBeUndefined();
    expect(roles).toEqual(['leader', 'standby']);
  });

  test('given renewals that fail, it is degraded from the second failure, and no leader from the deadline on', async () => {
    const { clock, openStore, lead } = setup();
    const { faulty, set } = createFaulty(await openStore());
    const loop = lead(faulty, 'one');
    await settle(clock, () => loop.leadingTerm() !== undefined);

    set('fail');
    await clock.advance(2 * TIMES.retryMs);
    const afterTwo = loop.state().role;
    await clock.advance(TIMES.renewDeadlineMs);

    expect(afterTwo).toBe('degraded');
    expect(loop.state()).toMatchObject({ role: 'standby', term: undefined });
    await loop.stop();
    expect(clock.pendingTimers()).toBe(0);
  });

  test.for([
    [5_000, 6_000, 2_000],
    [10_000, 2_000, 2_000],
    [10_000, 6_000, 0],
  ] as const)(
    'given ttl %i, renew deadline %i and retry %i, it refuses',
    async ([ttlMs, renewDeadlineMs, retryMs]) => {
      const { clock, openStore } = setup();
      const store = await openStore();
      const start = () =>
        startLeaderLoop(store, { holderId: 'a', host: 'h', clock, ttlMs, renewDeadlineMs, retryMs });

      expect(start).toThrow(RangeError);
    },
  );
});
