import { readFileSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { createHttpNode, heartThatBeatAt } from './fixtures/http-node.ts';

/** The text of an answer's error, or of its data. */
function parse(text: string): { data?: { status: string }; error?: { code: string; message: string } } {
  return JSON.parse(text) as ReturnType<typeof parse>;
}

describe('/readyz', () => {
  test('given a daemon that is up, it is ready and lists what it looked at', async () => {
    const node = await createHttpNode();

    const { status, text } = await node.ask('GET', '/readyz');

    expect(status).toBe(200);
    expect(parse(text).data).toMatchObject({
      status: 'ready',
      checks: ['started', 'store', 'heartbeat', 'leadership', 'disk'].map((name) => ({ name, ok: true })),
    });
  });

  test.for([
    ['is stopping', 'started: it is stopping'],
    ['has not started', 'started: it is starting'],
    ['has lost its heartbeat', 'heartbeat: '],
    ['cannot reach leadership', 'leadership: 2 tries in a row failed'],
  ] as const)('given a daemon that %s, it is 503 and says so', async ([state, expected]) => {
    const node = await createHttpNode();
    if (state === 'is stopping') node.stopping.abort();
    if (state === 'has not started') node.parts.isStarted = false;
    if (state === 'has lost its heartbeat') node.parts.heartbeat = heartThatBeatAt(() => -1e9);
    if (state === 'cannot reach leadership') {
      node.parts.leader = {
        holderId: 'n',
        term: () => undefined,
        state: () => ({ role: 'standby', term: undefined, failures: 2 }),
        stop: async () => undefined,
      };
    }

    const { status, text } = await node.ask('GET', '/readyz');

    expect(status).toBe(503);
    expect(parse(text).error).toMatchObject({
      code: 'not-ready',
      message: expect.stringContaining(expected),
    });
  });

  test('given a store that does not answer, it is 503, and /healthz still says that the process lives', async () => {
    const node = await createHttpNode();
    await node.store.close();

    const { status, text } = await node.ask('GET', '/readyz');

    expect(status).toBe(503);
    expect(parse(text).error?.message).toContain('store: ');
    expect((await node.ask('GET', '/healthz')).status).toBe(200);
  });
});

describe('/metrics', () => {
  test('given jobs, ticks, claims and steps, each is counted under its documented name', async () => {
    const node = await createHttpNode();
    await node.store.enqueue({ kind: 'build', key: 'a' });
    await node.store.enqueue({ kind: 'build', key: 'b' });
    const [lease] = await node.store.claimNext({
      workerId: 'w',
      leaseMs: 60_000,
      kinds: ['build'],
      limit: 1,
    });
    if (lease === undefined) throw new Error('nothing was claimed');
    const { observer } = node;
    observer.claimed({ startedAtMs: 0, durationMs: 3, leases: [lease] });
    observer.ticked({
      batchId: 'x',
      trigger: 'interval',
      decision: 'scheduled',
      runnerCount: 1,
      failedRunnerCount: 0,
      startedAtMs: 0,
      durationMs: 20,
      lateMs: 700,
    });
    observer.taskEnded(lease, undefined);

    const { text, headers } = await node.ask('GET', '/metrics');

    expect(headers['content-type']).toContain('text/plain');
    expect(text.split('\n')).toEqual(
      expect.arrayContaining([
        'conductor_jobs{job="build",state="ready"} 1',
        'conductor_jobs{job="build",state="running"} 1',
        'conductor_claims_total{job="build"} 1',
        'conductor_claim_seconds_sum 0.003',
        'conductor_ticks_total{decision="scheduled"} 1',
        'conductor_tick_lateness_seconds_sum 0.7',
        'conductor_tasks_total{job="build",outcome="error"} 1',
        'conductor_leader 0',
      ]),
    );
  });

  test('given the README, its table names exactly the metrics there are', async () => {
    const node = await createHttpNode();
    const { text } = await node.ask('GET', '/metrics');
    const readme = readFileSync(path.join(import.meta.dirname, '../README.md'), 'utf8');

    const documented = [...readme.matchAll(/^\| `(conductor_\w+)`/gm)].map(([, name]) => name);
    const present = [...text.matchAll(/^# TYPE (conductor_\w+) /gm)].map(([, name]) => name);

    expect(new Set(documented)).toEqual(new Set(present));
  });
});
