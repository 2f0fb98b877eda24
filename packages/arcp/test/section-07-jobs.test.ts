import { describe, expect, test } from 'vitest';
import { ArcpError, isFinal, JOB_STATUSES, JOB_TRANSITIONS, transition } from '@conductor-run/arcp';
import { BOB } from './fixtures/peer.ts';
import { setup } from './fixtures/setup.ts';

describe('7.1 submission', () => {
  test('given an open session, when a job is submitted, it is accepted without event_seq and ends with one result', async () => {
    const peer = setup().peer();
    await peer.hello();

    const accepted = await peer.submit('echo', { a: 1 });
    const result = await peer.next('job.result');

    expect(accepted.event_seq).toBeUndefined();
    expect(accepted.payload).toMatchObject({ agent: 'echo@2.0.0', lease: {} });
    expect(result).toMatchObject({ job_id: accepted.payload['job_id'], event_seq: 1 });
    expect(result.payload).toEqual({ final_status: 'success', result: { a: 1 } });
  });

  test('given a lease, constraints and a budget, when accepted, all of it is echoed with the counters', async () => {
    const { clock, peer } = setup();
    const alice = peer();
    await alice.hello();
    const expiresAt = new Date(clock.nowMs() + 60_000).toISOString();

    const accepted = await alice.submit('echo', 1, {
      lease_request: { 'fs.read': ['/w/**'], 'cost.budget': ['USD:5.00', 'credits:10'] },
      lease_constraints: { expires_at: expiresAt },
    });

    expect(accepted.payload).toMatchObject({
      lease: { 'fs.read': ['/w/**'], 'cost.budget': ['USD:5.00', 'credits:10'] },
      lease_constraints: { expires_at: expiresAt },
      budget: { USD: 5, credits: 10 },
    });
    expect(accepted.payload).not.toHaveProperty('credentials');
  });

  test('given a refused submit, when it is answered, job.error names the request and a job that never was', async () => {
    const peer = setup().peer();
    await peer.hello();
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';

    const id = peer.send('job.submit', { agent: 'nobody' }, { trace_id: traceId });
    const refused = await peer.next('job.error');

    expect(refused).toMatchObject({
      trace_id: traceId,
      payload: { code: 'AGENT_NOT_AVAILABLE', final_status: 'error', details: { request_id: id } },
    });
    expect(refused.event_seq).toBeUndefined();
    peer.send('session.list_jobs', {});
    expect((await peer.next('session.jobs')).payload['jobs']).toEqual([]);
  });

  test('given a principal with its full number of unfinished jobs, when one more is submitted, it is refused; another principal is not', async () => {
    const { peer } = setup({ limits: { maxJobsPerPrincipal: 2 } });
    const alice = peer();
    await alice.hello();
    await alice.submit('puppet');
    await alice.submit('puppet');

    alice.send('job.submit', { agent: 'puppet' });
    const bob = peer();
    await bob.hello({ token: BOB });

    expect((await alice.next('job.error')).payload).toMatchObject({
      code: 'INTERNAL_ERROR',
      retryable: true,
    });
    await bob.submit('puppet');
  });
});

describe('7.2 idempotency', () => {
  test('given an accepted key, when submitted again in any session of the principal and after the end, the same payload comes back and nothing runs twice', async () => {
    const { peer, puppets } = setup();
    const alice = peer();
    await alice.hello();
    const first = await alice.submit('puppet', { b: 1, a: 2 }, { idempotency_key: 'k' });
    const again = await alice.submit('puppet', { a: 2, b: 1 }, { idempotency_key: 'k' });
    puppets[0]?.end();
    await alice.next('job.result');
    const other = peer();
    await other.hello();
    const late = await other.submit('puppet', { a: 2, b: 1 }, { idempotency_key: 'k' });

    expect(again.payload).toEqual(first.payload);
    expect(late.payload).toEqual(first.payload);
    expect(puppets).toHaveLength(1);
  });

  test('given an accepted key, when other parameters come with it, it is DUPLICATE_KEY; another principal has its own keys', async () => {
    const { peer } = setup();
    const alice = peer();
    await alice.hello();
    await alice.submit('echo', 1, { idempotency_key: 'k' });

    alice.send('job.submit', { agent: 'echo', input: 2, idempotency_key: 'k' });
    const bob = peer();
    await bob.hello({ token: BOB });

    expect((await alice.next('job.error')).payload).toMatchObject({ code: 'DUPLICATE_KEY' });
    await bob.submit('echo', 2, { idempotency_key: 'k' });
  });
});

describe('7.3 lifecycle', () => {
  test('given an agent that throws, when it ends, the job is an error: with its code for an ArcpError, INTERNAL_ERROR else', async () => {
    const { peer, puppet } = setup();
    const alice = peer();
    await alice.hello();
    const one = await puppet((await alice.submit('puppet')).payload['job_id']);
    one.fail(new Error('out of cheese'));
    const plain = await alice.next('job.error');
    const two = await puppet((await alice.submit('puppet')).payload['job_id']);
    two.fail(new ArcpError('BUDGET_EXHAUSTED', 'no money'));
    const coded = await alice.next('job.error');

    expect(plain.payload).toEqual({
      final_status: 'error',
      code: 'INTERNAL_ERROR',
      message: 'out of cheese',
      retryable: true,
    });
    expect(coded.payload).toEqual({
      final_status: 'error',
      code: 'BUDGET_EXHAUSTED',
      message: 'no money',
      retryable: false,
    });
  });

  test('given a time limit beyond 2^31 ms, when a day passes, the job runs; when the limit passes, it is timed out', async () => {
    const { clock, peer, puppet } = setup();
    const alice = peer();
    await alice.hello({ features: [] });
    const accepted = await alice.submit('puppet', null, { max_runtime_sec: 3_000_000 });
    const { job } = await puppet(accepted.payload['job_id']);

    await clock.advance(86_400_000);
    const wasAborted = job.signal.aborted;
    await clock.advance(3_000_000_000);

    expect(wasAborted).toBe(false);
    expect((await alice.next('job.error')).payload).toMatchObject({
      code: 'TIMEOUT',
      final_status: 'timed_out',
    });
    expect(job.signal.reason).toMatchObject({ code: 'TIMEOUT' });
  });

  test('given an ended job, when its agent goes on, nothing of it is heard and the agent is told', async () => {
    const { peer, puppet } = setup();
    const alice = peer();
    await alice.hello();
    const accepted = await alice.submit('puppet');
    const { job, end } = await puppet(accepted.payload['job_id']);
    alice.send('job.cancel', { job_id: accepted.payload['job_id'] });
    await alice.next('job.error');

    await expect(job.emit('log', { level: 'info', message: 'late' })).rejects.toMatchObject({
      code: 'CANCELLED',
    });
    end({ result: 'late' });
    await alice.submit('echo', 1);
    await alice.next('job.result');

    expect(alice.sequenced().filter((frame) => frame.job_id === accepted.payload['job_id'])).toHaveLength(1);
  });

  test('given a watchdog, when an agent is silent, HEARTBEAT_LOST ends it; one that emits or beats lives', async () => {
    const { clock, peer, puppet } = setup({ watchdog: { intervalMs: 1_000, allowedMisses: 2 } });
    const alice = peer();
    await alice.hello({ features: [] });
    const silent = await alice.submit('puppet');
    const lively = await puppet((await alice.submit('puppet')).payload['job_id']);
    for (let at = 0; at < 5; at += 1) {
      if (at % 2 === 0) lively.job.heartbeat();
      else await lively.job.emit('log', { level: 'info', message: 'alive' });
      await clock.advance(1_000);
    }

    const lost = await alice.next('job.error');
    expect(lost).toMatchObject({
      job_id: silent.payload['job_id'],
      payload: { code: 'HEARTBEAT_LOST', final_status: 'error' },
    });
    expect(lively.job.signal.aborted).toBe(false);
  });

  test.for(JOB_STATUSES.flatMap((from) => JOB_STATUSES.map((to) => [from, to] as const)))(
    'given a job that is %s, when it should become %s, only the edges of the table are taken',
    ([from, to]) => {
      const isEdge = JOB_TRANSITIONS[from].includes(to);

      const refusal = refusalOf(() => transition('job_1', from, to));

      expect(refusal).toEqual(
        isEdge ? undefined : { code: 'illegal-transition', details: { job_id: 'job_1', from, to } },
      );
      expect(isFinal(from)).toBe(JOB_TRANSITIONS[from].length === 0);
    },
  );
});

describe('7.4 cancellation', () => {
  test.for(['payload', 'envelope'])(
    'given a running job, when cancelled by job_id in the %s, cancelled is acknowledged and then one CANCELLED ends it',
    async (where) => {
      const { peer, puppet } = setup();
      const alice = peer();
      await alice.hello();
      const jobId = (await alice.submit('puppet')).payload['job_id'];
      const { job } = await puppet(jobId);

      if (where === 'payload') alice.send('job.cancel', { job_id: jobId, reason: 'enough' });
      else alice.send('job.cancel', { reason: 'enough' }, { job_id: jobId });
      const cancelled = await alice.next('job.cancelled');
      const ended = await alice.next('job.error');

      expect(cancelled).toMatchObject({ job_id: jobId, payload: { reason: 'enough' } });
      expect(cancelled.event_seq).toBeUndefined();
      expect(ended.payload).toMatchObject({ code: 'CANCELLED', final_status: 'cancelled' });
      expect(job.signal.aborted).toBe(true);
    },
  );

  test('given jobs of others, when cancelled, another session of the principal is PERMISSION_DENIED, another principal sees none', async () => {
    const { peer, puppet } = setup();
    const alice = peer();
    await alice.hello();
    const jobId = (await alice.submit('puppet')).payload['job_id'];
    const { job } = await puppet(jobId);
    const sibling = peer();
    await sibling.hello();
    const bob = peer();
    await bob.hello({ token: BOB });

    sibling.send('job.cancel', { job_id: jobId });
    bob.send('job.cancel', { job_id: jobId });
    const theirs = await bob.next('session.error');
    bob.send('job.cancel', { job_id: 'job_none' });
    const none = await bob.next('session.error');

    expect((await sibling.next('session.error')).payload).toMatchObject({ code: 'PERMISSION_DENIED' });
    expect(theirs.payload).toMatchObject({ code: 'JOB_NOT_FOUND' });
    expect(none.payload).toMatchObject({ code: 'JOB_NOT_FOUND' });
    expect(job.signal.aborted).toBe(false);
  });

  test('given a finished job, when cancelled, the refusal names it and nothing else happens', async () => {
    const peer = setup().peer();
    await peer.hello();
    const jobId = (await peer.submit('echo')).payload['job_id'];
    await peer.next('job.result');

    peer.send('job.cancel', { job_id: jobId });

    expect((await peer.next('session.error')).payload).toMatchObject({
      code: 'INVALID_REQUEST',
      details: { job_id: jobId },
    });
  });

  test('given a cancel in the same turn as its submit, when both are processed, nothing is left running', async () => {
    const { peer, puppets, runtime } = setup();
    const alice = peer();
    await alice.hello();
    const accepted = await alice.submit('puppet');
    alice.send('job.cancel', { job_id: accepted.payload['job_id'] });
    await alice.next('job.error');

    expect(runtime.stats().jobs).toBe(0);
    expect(puppets.every(({ job }) => job.signal.aborted)).toBe(true);
  });
});

describe('7.5 agent versions', () => {
  test.for([
    ['echo', 'echo@2.0.0'],
    ['echo@1.0.0', 'echo@1.0.0'],
  ] as const)('given %s, when submitted, it resolves to %s', async ([agent, resolved]) => {
    const peer = setup().peer();
    await peer.hello();

    expect((await peer.submit(agent)).payload['agent']).toBe(resolved);
  });

  test.for([
    ['echo@9', 'AGENT_VERSION_NOT_AVAILABLE'],
    ['nobody', 'AGENT_NOT_AVAILABLE'],
    ['nobody@1', 'AGENT_NOT_AVAILABLE'],
    ['Echo', 'INVALID_REQUEST'],
    ['echo@', 'INVALID_REQUEST'],
    ['echo@1@2', 'INVALID_REQUEST'],
    ['.echo', 'INVALID_REQUEST'],
  ] as const)('given %s, when submitted, it is %s', async ([agent, code]) => {
    const peer = setup().peer();
    await peer.hello();

    peer.send('job.submit', { agent });

    expect((await peer.next('job.error')).payload).toMatchObject({ code });
  });
});

function refusalOf(run: () => unknown): object | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    return error instanceof ArcpError ? { code: error.code, details: error.details } : { error };
  }
}
