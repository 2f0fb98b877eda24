import { describe, expect, test } from 'vitest';
import { FEATURES } from '@conductor-run/arcp';
import { BOB } from './fixtures/peer.ts';
import { setup } from './fixtures/setup.ts';

describe('6.1 authentication', () => {
  test.for([
    ['no auth', { client: { name: 'c', version: '1' } }],
    [
      'an unknown token',
      { client: { name: 'c', version: '1' }, auth: { scheme: 'bearer', token: 'nobody' } },
    ],
    ['another scheme', { client: { name: 'c', version: '1' }, auth: { scheme: 'basic', token: 'x' } }],
    [
      'a token that is no text',
      { client: { name: 'c', version: '1' }, auth: { scheme: 'bearer', token: 7 } },
    ],
  ] as const)(
    'given %s, when hello is sent, it is UNAUTHENTICATED and the connection closed with a reason',
    async ([, payload]) => {
      const peer = setup().peer();

      peer.send('session.hello', payload);

      expect((await peer.next('session.error')).payload).toMatchObject({ code: 'UNAUTHENTICATED' });
      expect(await peer.closed()).toEqual({ code: 1008, reason: 'session refused' });
    },
  );

  test('given a connection, when anything but hello comes first, it is refused and closed', async () => {
    const peer = setup().peer();

    peer.send('job.submit', { agent: 'echo' });

    expect((await peer.next('session.error')).payload).toMatchObject({ code: 'UNAUTHENTICATED' });
    expect((await peer.closed()).code).toBe(1008);
  });

  test('given a silent connection, when ten seconds pass, it is told why and closed', async () => {
    const { clock, peer } = setup();
    const silent = peer();

    await clock.advance(10_001);

    expect((await silent.next('session.error')).payload).toMatchObject({ code: 'UNAUTHENTICATED' });
    expect((await silent.closed()).reason).toBe('hello timeout');
  });
});

describe('6.2 hello and welcome', () => {
  test('given all features, when hello is sent, the welcome names them, the agents with versions, and all but credentials', async () => {
    const peer = setup().peer();

    const welcome = await peer.hello();

    expect(welcome.session_id).toMatch(/^sess_/);
    expect(welcome.event_seq).toBeUndefined();
    expect(welcome.payload).toMatchObject({
      runtime: { name: 'conductor-arcp', version: '1.1.0' },
      resume_window_sec: 600,
      heartbeat_interval_sec: 30,
      capabilities: {
        encodings: ['json'],
        agents: [{ name: 'echo', versions: ['1.0.0', '2.0.0'], default: '2.0.0' }, {}, {}],
      },
    });
    const { features } = welcome.payload['capabilities'] as { readonly features: readonly string[] };
    expect(features).toEqual(FEATURES.filter((feature) => feature !== 'provisioned_credentials'));
  });

  test('given a client of few features and some unknown, when it says hello, only the intersection is in force', async () => {
    const peer = setup().peer();

    const welcome = await peer.hello({ features: ['ack', 'telepathy'] });
    const id = peer.send('session.list_jobs', {});

    expect(welcome.payload['capabilities']).toMatchObject({ features: ['ack'] });
    expect((await peer.next('session.error')).payload).toMatchObject({
      code: 'INVALID_REQUEST',
      details: { request_id: id },
    });
  });

  test('given an open session, when hello is sent again, it is refused', async () => {
    const peer = setup().peer();
    await peer.hello();

    peer.send('session.hello', {
      client: { name: 'c', version: '1' },
      auth: { scheme: 'bearer', token: BOB },
    });

    expect((await peer.next('session.error')).payload).toMatchObject({ code: 'INVALID_REQUEST' });
  });

  test('given a principal with its full number of connected sessions, when one more is opened, it is refused as retryable', async () => {
    const { peer } = setup({ limits: { maxSessionsPerPrincipal: 2 } });
    await peer().hello();
    await peer().hello();
    const third = peer();

    third.send('session.hello', {
      client: { name: 'c', version: '1' },
      auth: { scheme: 'bearer', token: 'token-of-alice-0123456789' },
    });

    expect((await third.next('session.error')).payload).toMatchObject({
      code: 'INTERNAL_ERROR',
      retryable: true,
    });
    await peer().hello({ token: BOB });
  });

  test('given a principal whose sessions are lost, when it opens one more, the longest lost one makes room', async () => {
    const { peer, runtime, clock } = setup({ limits: { maxSessionsPerPrincipal: 2 } });
    for (let round = 0; round < 5; round += 1) {
      const one = peer();
      await one.hello();
      one.close();
      await one.closed();
      await clock.advance(1);
    }

    expect(runtime.stats().sessions).toBe(2);
  });
});

describe('6.4 heartbeats', () => {
  test('given a ping, when it is answered, the pong carries its nonce and no event_seq', async () => {
    const peer = setup().peer();
    await peer.hello();

    peer.send('session.ping', { nonce: 'p1', sent_at: '2026-05-13T19:42:13.000Z' });
    const pong = await peer.next('session.pong');

    expect(pong.payload).toMatchObject({ ping_nonce: 'p1' });
    expect(pong.event_seq).toBeUndefined();
  });

  test('given a quiet session, when an interval passes, the runtime pings', async () => {
    const { peer, clock } = setup();
    const quiet = peer();
    await quiet.hello();

    await clock.advance(30_001);

    expect((await quiet.next('session.ping')).payload).toMatchObject({
      nonce: expect.any(String) as unknown,
      sent_at: expect.any(String) as unknown,
    });
  });

  test('given a client that says nothing for two intervals, when it is cut, HEARTBEAT_LOST says so and its job runs on', async () => {
    const { peer, clock, puppet, runtime } = setup();
    const silent = peer();
    await silent.hello();
    const accepted = await silent.submit('puppet');
    await puppet(accepted.payload['job_id']);

    await clock.advance(90_001);

    expect((await silent.next('session.error')).payload).toMatchObject({ code: 'HEARTBEAT_LOST' });
    expect((await silent.closed()).reason).toBe('heartbeat lost');
    expect(runtime.stats()).toMatchObject({ jobs: 1, sessions: 1, connections: 0 });
  });

  test('given a client without the feature, when it is silent for long, it is not cut', async () => {
    const { peer, clock, runtime } = setup();
    const silent = peer();
    await silent.hello({ features: [] });

    await clock.advance(300_000);

    expect(runtime.stats().connections).toBe(1);
  });

  test('given a session with nothing but heartbeats, when an hour passes, it is disconnected', async () => {
    const { peer, clock, runtime } = setup();
    const idle = peer();
    await idle.hello();
    for (let round = 0; round < 130 && runtime.stats().connections > 0; round += 1) {
      idle.send('session.ping', { nonce: `${round}` });
      await clock.advance(30_000);
    }

    expect((await idle.closed()).reason).toBe('idle session');
  });
});

describe('6.6 job listing', () => {
  test('given jobs of two principals, when one lists, it sees its own alone, with status, lease and position', async () => {
    const { peer } = setup();
    const alice = peer();
    const bob = peer();
    await alice.hello();
    await bob.hello({ token: BOB });
    const job = await alice.submit('count', { n: 2 }, { lease_request: { 'tool.call': ['a.*'] } });
    await alice.next('job.result');
    await bob.submit('echo');

    const id = alice.send('session.list_jobs', {});
    const listed = await alice.next('session.jobs');

    expect(listed.payload).toEqual({
      request_id: id,
      next_cursor: null,
      jobs: [
        {
          job_id: job.payload['job_id'],
          agent: 'count@1',
          status: 'success',
          lease: { 'tool.call': ['a.*'] },
          parent_job_id: null,
          created_at: expect.stringMatching(/Z$/) as unknown,
          trace_id: expect.stringMatching(/^[0-9a-f]{32}$/) as unknown,
          last_event_seq: 3,
        },
      ],
    });
  });

  test('given many jobs, when listed by pages, each comes once and the filter holds', async () => {
    const { peer } = setup();
    const alice = peer();
    await alice.hello();
    for (let at = 0; at < 7; at += 1) await alice.submit('echo', at);
    await alice.submit('puppet');
    const seen: string[] = [];
    let cursor: unknown = null;
    do {
      alice.send('session.list_jobs', { filter: { agent: 'echo', status: ['success'] }, limit: 3, cursor });
      const { payload } = await alice.next('session.jobs');
      for (const job of payload['jobs'] as readonly { readonly job_id: string }[]) seen.push(job.job_id);
      cursor = payload['next_cursor'];
    } while (cursor !== null);

    expect(new Set(seen).size).toBe(7);
    expect(seen).toHaveLength(7);
  });

  test.for([
    ['a forged cursor', { cursor: 'bm90IG91cnM' }],
    ['a limit of zero', { limit: 0 }],
    ['a date that is none', { filter: { created_after: 'yesterday' } }],
  ] as const)('given %s, when jobs are listed, it is INVALID_REQUEST', async ([, payload]) => {
    const peer = setup().peer();
    await peer.hello();

    const id = peer.send('session.list_jobs', payload);

    expect((await peer.next('session.error')).payload).toMatchObject({
      code: 'INVALID_REQUEST',
      details: { request_id: id },
    });
  });
});

describe('6.7 close', () => {
  test.for(['session.close', 'session.bye'])(
    'given a running job, when %s is sent, the runtime says closed, the job runs on and the session can be resumed',
    async (type) => {
      const { peer, puppet } = setup();
      const first = peer();
      const welcome = await first.hello();
      const accepted = await first.submit('puppet');
      first.send(type, {});
      await first.next('session.closed');
      expect((await first.closed()).code).toBe(1000);

      const worker = await puppet(accepted.payload['job_id']);
      worker.end({ result: 5 });
      const second = peer();
      await second.hello({
        resume: {
          session_id: welcome.session_id,
          resume_token: welcome.payload['resume_token'],
          last_event_seq: 0,
        },
      });

      expect((await second.next('job.result')).payload['result']).toBe(5);
    },
  );
});
