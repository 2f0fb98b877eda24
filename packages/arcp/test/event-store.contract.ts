/** What every event store does alike. */
import { expect, test } from 'vitest';
import type {
  EventStore,
  StoreBatch,
  StoredEvent,
  StoredJob,
  StoredSession,
} from '@conductor-run/arcp/runtime';

export function eventStoreContract(open: () => EventStore): void {
  test('given a committed turn, when loaded, sessions with their size, unfinished jobs and credentials are there', () => {
    const store = open();

    store.commit(
      batch({
        sessions: [session('s', { lastSeq: 2 })],
        jobs: [job('job_a'), job('job_b', { status: 'success', finishedAtMs: 5 })],
        events: [event('s', 1), event('s', 2)],
        credentials: [{ handle: 'h', jobId: 'job_a', credentialId: 'llm', failedRevocations: 0 }],
      }),
    );
    const loaded = store.load();

    expect(loaded.sessions).toEqual([{ session: session('s', { lastSeq: 2 }), bufferedBytes: 4 }]);
    expect(loaded.jobs).toEqual([job('job_a')]);
    expect(loaded.credentials).toEqual([
      { handle: 'h', jobId: 'job_a', credentialId: 'llm', failedRevocations: 0 },
    ]);
  });

  test('given events, when read by pages and by job, they come in order, and evicted ones do not', () => {
    const store = open();
    const events = Array.from({ length: 10 }, (_, at) =>
      event('s', at + 1, at % 2 === 0 ? 'job_a' : 'job_b'),
    );
    store.commit(batch({ sessions: [session('s', { lastSeq: 10 })], events }));
    store.commit(batch({ sessions: [session('s', { lastSeq: 10, evictedSeq: 3 })] }));

    expect(store.readEvents({ sessionId: 's', afterSeq: 0, limit: 2 }).map(({ seq }) => seq)).toEqual([4, 5]);
    expect(
      store.readEvents({ sessionId: 's', afterSeq: 5, limit: 99, jobId: 'job_b' }).map(({ seq }) => seq),
    ).toEqual([6, 8, 10]);
    expect(store.readEvents({ sessionId: 'none', afterSeq: 0, limit: 9 })).toEqual([]);
    expect(store.readEvents({ sessionId: 's', afterSeq: 9, limit: 9 })).toEqual([event('s', 10, 'job_b')]);
  });

  test('given a session that evicts what comes in the same turn, when it goes on, numbers and events stay in step', () => {
    const store = open();
    store.commit(
      batch({
        sessions: [session('s', { lastSeq: 3, evictedSeq: 2 })],
        events: [1, 2, 3].map((seq) => event('s', seq)),
      }),
    );
    store.commit(batch({ sessions: [session('s', { lastSeq: 4, evictedSeq: 2 })], events: [event('s', 4)] }));

    expect(store.readEvents({ sessionId: 's', afterSeq: 0, limit: 9 }).map(({ seq }) => seq)).toEqual([3, 4]);
  });

  test('given a removed session, when loaded, it and its events are gone', () => {
    const store = open();
    store.commit(batch({ sessions: [session('s', { lastSeq: 1 })], events: [event('s', 1)] }));
    store.commit(batch({ removedSessionIds: ['s'] }));

    expect(store.load().sessions).toEqual([]);
    expect(store.readEvents({ sessionId: 's', afterSeq: 0, limit: 9 })).toEqual([]);
  });

  test('given keys of two principals, when looked up, each finds its own', () => {
    const store = open();
    store.commit(
      batch({
        jobs: [
          job('job_a', { idempotencyKey: 'k' }),
          job('job_b', { idempotencyKey: 'k', principal: 'bob' }),
        ],
      }),
    );

    expect(store.readJobByKey('alice', 'k')?.jobId).toBe('job_a');
    expect(store.readJobByKey('bob', 'k')?.jobId).toBe('job_b');
    expect(store.readJobByKey('alice', 'other')).toBeUndefined();
  });

  test('given jobs, when listed, every part of the query narrows them and the order is by age', () => {
    const store = open();
    store.commit(
      batch({
        jobs: [
          job('job_c', { createdAtMs: 3 }),
          job('job_a', { createdAtMs: 1, status: 'success', finishedAtMs: 9 }),
          job('job_b', { createdAtMs: 1, agent: 'other@2' }),
          job('job_d', { createdAtMs: 4, principal: 'bob' }),
        ],
      }),
    );
    const list = (query: object): readonly string[] =>
      store.listJobs({ principals: ['alice'], limit: 99, ...query }).map(({ jobId }) => jobId);

    expect(list({})).toEqual(['job_a', 'job_b', 'job_c']);
    expect(list({ principals: undefined })).toHaveLength(4);
    expect(list({ statuses: ['success'] })).toEqual(['job_a']);
    expect(list({ agent: 'other' })).toEqual(['job_b']);
    expect(list({ agent: 'othe' })).toEqual([]);
    expect(list({ agent: 'other@2' })).toEqual(['job_b']);
    expect(list({ createdAfterMs: 1 })).toEqual(['job_c']);
    expect(list({ createdBeforeMs: 3 })).toEqual(['job_a', 'job_b']);
    expect(list({ after: { createdAtMs: 1, jobId: 'job_a' } })).toEqual(['job_b', 'job_c']);
    expect(list({ limit: 1 })).toEqual(['job_a']);
  });

  test('given finished jobs, when pruned, those with a key stay unless their own time has come', () => {
    const store = open();
    store.commit(
      batch({
        jobs: [
          job('job_a', { status: 'error', finishedAtMs: 10 }),
          job('job_b', { status: 'error', finishedAtMs: 10, idempotencyKey: 'k' }),
          job('job_c'),
          job('job_d', { status: 'error', finishedAtMs: 90 }),
        ],
      }),
    );

    expect(store.pruneJobs(50, Number.NEGATIVE_INFINITY)).toBe(1);
    expect(store.readJob('job_b')?.jobId).toBe('job_b');
    expect(store.pruneJobs(50, 50)).toBe(1);
    expect(store.readJobByKey('alice', 'k')).toBeUndefined();
    expect(store.readJob('job_d')?.jobId).toBe('job_d');
  });

  test('given a closed store, when used, it throws', () => {
    const store = open();
    store.close();

    expect(() => store.load()).toThrow(/closed|not open/);
  });
}

function batch(parts: Partial<StoreBatch>): StoreBatch {
  return {
    sessions: [],
    removedSessionIds: [],
    jobs: [],
    events: [],
    credentials: [],
    revokedHandles: [],
    ...parts,
  };
}

function session(sessionId: string, parts: Partial<StoredSession> = {}): StoredSession {
  return {
    sessionId,
    principal: 'alice',
    features: ['ack'],
    tokenHash: 'aa',
    previousTokenHash: undefined,
    lastSeq: 0,
    evictedSeq: 0,
    ackedSeq: 0,
    createdAtMs: 1,
    detachedAtMs: undefined,
    isClosed: false,
    subscriptions: [{ jobId: 'job_a', copiedSeq: 3 }],
    ...parts,
  };
}

function job(jobId: string, parts: Partial<StoredJob> = {}): StoredJob {
  return {
    jobId,
    sessionId: 's',
    principal: 'alice',
    agent: 'echo@1',
    status: 'running',
    createdAtMs: 1,
    finishedAtMs: undefined,
    lastEventSeq: 0,
    parentJobId: undefined,
    traceId: 't',
    idempotencyKey: undefined,
    requestHash: '',
    acceptedJson: '{}',
    submitJson: '{}',
    budget: { USD: { initial: '1.5', spent: '0.25' } },
    expiresAtMs: undefined,
    deadlineAtMs: 7.5,
    position: 'p',
    stream: { resultId: 'r', nextChunk: 1, size: 3, isDone: false },
    ...parts,
  };
}

function event(sessionId: string, seq: number, jobId = 'job_a'): StoredEvent {
  return { sessionId, seq, jobId, type: 'job.event', traceId: 't', payloadJson: '{}' };
}
