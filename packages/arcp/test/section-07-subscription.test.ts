import { describe, expect, test } from 'vitest';
import { BOB, type Frame, type Peer } from './fixtures/peer.ts';
import { setup } from './fixtures/setup.ts';

describe('7.6 subscription', () => {
  test('given a running job with history, when another session subscribes, history comes first, then live, in its own numbers without a gap or a duplicate', async () => {
    const { peer, puppet } = setup();
    const alice = peer();
    await alice.hello();
    const accepted = await alice.submit('puppet', null, { lease_request: { 'cost.budget': ['USD:2'] } });
    const jobId = accepted.payload['job_id'];
    const { job, end } = await puppet(jobId);
    for (let at = 1; at <= 700; at += 1) await job.emit('log', { level: 'info', message: `${at}` });
    await job.emit('metric', { name: 'cost.x', value: 0.5, unit: 'USD' });
    const dashboard = peer();
    await dashboard.hello();

    dashboard.send('job.subscribe', { job_id: jobId, history: true, from_event_seq: 0 });
    const subscribed = await dashboard.next('job.subscribed');
    for (let at = 701; at <= 800; at += 1) await job.emit('log', { level: 'info', message: `${at}` });
    end({ result: 1 });
    await dashboard.next('job.result');

    expect(subscribed.payload).toMatchObject({
      job_id: jobId,
      current_status: 'running',
      agent: 'puppet@1',
      lease: { 'cost.budget': ['USD:2'] },
      budget: { USD: 1.5 },
      parent_job_id: null,
      subscribed_from: 702,
      replayed: true,
    });
    expect(dashboard.sequenced().map((frame) => frame.event_seq)).toEqual(
      Array.from({ length: 803 }, (_, at) => at + 1),
    );
    expect(logsOf(dashboard)).toEqual(Array.from({ length: 800 }, (_, at) => `${at + 1}`));
  });

  test('given a running job without history, when subscribed, only what comes later is seen, and nothing after unsubscribing', async () => {
    const { peer, puppet } = setup();
    const alice = peer();
    await alice.hello();
    const jobId = (await alice.submit('puppet')).payload['job_id'];
    const { job } = await puppet(jobId);
    await job.emit('log', { level: 'info', message: 'before' });
    const dashboard = peer();
    await dashboard.hello();
    dashboard.send('job.subscribe', { job_id: jobId });
    const subscribed = await dashboard.next('job.subscribed');
    await job.emit('log', { level: 'info', message: 'during' });
    await dashboard.next('job.event');
    dashboard.send('job.unsubscribe', { job_id: jobId });
    dashboard.send('session.ping', { nonce: 'n' });
    await dashboard.next('session.pong');
    await job.emit('log', { level: 'info', message: 'after' });
    await dashboard.submit('echo');
    await dashboard.next('job.result');

    expect(subscribed.payload).toMatchObject({ replayed: false, subscribed_from: 1 });
    expect(logsOf(dashboard)).toEqual(['during']);
  });

  test('given a finished job, when subscribed with history, all of it comes, its end included', async () => {
    const { peer } = setup();
    const alice = peer();
    await alice.hello();
    const jobId = (await alice.submit('count', { n: 3 })).payload['job_id'];
    await alice.next('job.result');
    const dashboard = peer();
    await dashboard.hello();

    dashboard.send('job.subscribe', { job_id: jobId, history: true, from_event_seq: 1 });
    await dashboard.next('job.result');

    expect(logsOf(dashboard)).toEqual(['line 2', 'line 3']);
  });

  test('given a finished job whose events are gone, when subscribed with history, nobody is told that it is replayed', async () => {
    const { peer, clock, runtime } = setup();
    const alice = peer();
    await alice.hello();
    const jobId = (await alice.submit('count', { n: 3 })).payload['job_id'];
    const end = await alice.next('job.result');
    alice.send('session.ack', { last_processed_seq: end.event_seq });
    alice.close();
    await alice.closed();
    await clock.advance(11 * 60_000);
    expect(runtime.stats().sessions).toBe(0);
    const dashboard = peer();
    await dashboard.hello();

    dashboard.send('job.subscribe', { job_id: jobId, history: true });

    expect((await dashboard.next('job.subscribed')).payload).toMatchObject({
      current_status: 'success',
      replayed: false,
    });
  });

  test('given another principal, when it subscribes, the answer is the one for no job at all, and the audit log says who asked', async () => {
    const { peer, logs } = setup();
    const alice = peer();
    await alice.hello();
    const jobId = String((await alice.submit('puppet')).payload['job_id']);
    const bob = peer();
    await bob.hello({ token: BOB });

    bob.send('job.subscribe', { job_id: jobId });
    const theirs = await bob.next('session.error');
    bob.send('job.subscribe', { job_id: 'job_none' });
    const none = await bob.next('session.error');

    expect(theirs.payload).toMatchObject({ code: 'PERMISSION_DENIED', details: { job_id: jobId } });
    expect(JSON.stringify(theirs.payload).replaceAll(jobId, 'job_none').replace('m2', 'm3')).toBe(
      JSON.stringify(none.payload),
    );
    expect(logs).toContainEqual({
      message: 'job.subscribe-decided',
      fields: expect.objectContaining({
        principal: 'bob',
        jobId,
        owner: 'alice',
        isAllowed: false,
      }) as unknown,
    });
  });

  test('given a policy that lets bob look, when he subscribes, he sees the job but cannot cancel it', async () => {
    const { peer, puppet } = setup({
      observePolicy: { mayObserve: (observer) => observer === 'bob', listablePrincipals: () => ['alice'] },
    });
    const alice = peer();
    await alice.hello();
    const jobId = (await alice.submit('puppet')).payload['job_id'];
    const { job } = await puppet(jobId);
    const bob = peer();
    await bob.hello({ token: BOB });
    bob.send('job.subscribe', { job_id: jobId });
    await bob.next('job.subscribed');

    bob.send('job.cancel', { job_id: jobId });
    await job.emit('log', { level: 'info', message: 'seen' });
    bob.send('session.list_jobs', {});

    expect((await bob.next('session.error')).payload).toMatchObject({ code: 'PERMISSION_DENIED' });
    expect((await bob.next('session.jobs')).payload['jobs']).toHaveLength(1);
    expect(logsOf(bob)).toEqual(['seen']);
    expect(job.signal.aborted).toBe(false);
  });

  test('given an observer that never reads, when the job goes on, the job is not held and the owner gets everything', async () => {
    const { peer, puppet, clock } = setup({ limits: { maxUnsentBytes: 10_000, maxBufferedEvents: 500 } });
    const alice = peer();
    await alice.hello();
    const jobId = (await alice.submit('puppet')).payload['job_id'];
    const { job, end } = await puppet(jobId);
    const deaf = peer();
    await deaf.hello();
    deaf.send('job.subscribe', { job_id: jobId });
    await deaf.next('job.subscribed');
    deaf.transport.pause();

    for (let at = 0; at < 3_000; at += 1) {
      await job.emit('log', { level: 'info', message: `${at}` });
      if (at % 100 === 0) {
        alice.send('session.ack', { last_processed_seq: alice.sequenced().length });
        await clock.advance(0);
      }
    }
    end();
    await alice.next('job.result');

    expect(alice.sequenced().map((frame) => frame.event_seq)).toEqual(
      Array.from({ length: 3_001 }, (_, at) => at + 1),
    );
  });

  test('given an observed job in the subscriber’s stream, when the subscriber reconnects, it resumes like any other', async () => {
    const { peer, puppet } = setup();
    const alice = peer();
    await alice.hello();
    const jobId = (await alice.submit('puppet')).payload['job_id'];
    const { job, end } = await puppet(jobId);
    const dashboard = peer();
    const welcome = await dashboard.hello();
    dashboard.send('job.subscribe', { job_id: jobId });
    await dashboard.next('job.subscribed');
    dashboard.close();
    await dashboard.closed();
    await job.emit('log', { level: 'info', message: 'while away' });
    end();

    const back = peer();
    await back.hello({
      resume: {
        session_id: welcome.session_id,
        resume_token: welcome.payload['resume_token'],
        last_event_seq: 0,
      },
    });
    await back.next('job.result');

    expect(logsOf(back)).toEqual(['while away']);
  });

  test('given too many subscriptions, when one more is asked for, it is refused', async () => {
    const { peer } = setup({ limits: { maxSubscriptionsPerSession: 1 } });
    const alice = peer();
    await alice.hello();
    const one = (await alice.submit('puppet')).payload['job_id'];
    const two = (await alice.submit('puppet')).payload['job_id'];
    const dashboard = peer();
    await dashboard.hello();
    dashboard.send('job.subscribe', { job_id: one });
    await dashboard.next('job.subscribed');

    dashboard.send('job.subscribe', { job_id: two });

    expect((await dashboard.next('session.error')).payload).toMatchObject({ code: 'INTERNAL_ERROR' });
  });
});

function logsOf(peer: Peer): readonly unknown[] {
  return peer
    .sequenced()
    .filter((frame) => frame.payload['kind'] === 'log')
    .map((frame: Frame) => (frame.payload['body'] as { readonly message: string }).message);
}
