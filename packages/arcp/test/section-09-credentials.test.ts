import { describe, expect, test } from 'vitest';
import {
  createMemoryEventStore,
  type CredentialProvider,
  type CredentialRequest,
} from '@conductor-run/arcp/runtime';
import { createDeferred } from '../src/deferred.ts';
import { until, type Peer } from './fixtures/peer.ts';
import { setup } from './fixtures/setup.ts';

describe('9.8 provisioned credentials', () => {
  test('given a provider, when a job is submitted, its key comes with job.accepted, fits its lease, and is taken back at the end', async () => {
    const gateway = createGateway();
    const { peer, puppet } = setup({ credentialProvider: gateway.provider });
    const alice = peer();
    const welcome = await alice.hello();
    const accepted = await alice.submit('puppet', null, { lease_request: { 'cost.budget': ['USD:5.00'] } });
    const { job, end } = await puppet(accepted.payload['job_id']);
    const alive = gateway.alive.size;
    end();
    await alice.next('job.result');
    await until(() => gateway.alive.size === 0, 'the revocation');

    expect(JSON.stringify(welcome.payload['capabilities'])).toContain('provisioned_credentials');
    expect(accepted.payload['credentials']).toEqual([
      {
        id: 'llm',
        scheme: 'bearer',
        value: 'sk-1',
        endpoint: 'https://gateway.example.com/v1',
        constraints: { 'cost.budget': ['USD:5'] },
      },
    ]);
    expect(job.credentials).toHaveLength(1);
    expect(alive).toBe(1);
  });

  test.for([
    ['cancelled', 'job.error'],
    ['timed_out', 'job.error'],
    ['error', 'job.error'],
  ] as const)('given a key, when the job ends as %s, it is revoked', async ([how, type]) => {
    const gateway = createGateway();
    const { peer, puppet, clock } = setup({ credentialProvider: gateway.provider });
    const alice = peer();
    await alice.hello();
    const accepted = await alice.submit('puppet', null, { max_runtime_sec: 5 });
    const { fail } = await puppet(accepted.payload['job_id']);

    if (how === 'cancelled') alice.send('job.cancel', { job_id: accepted.payload['job_id'] });
    else if (how === 'timed_out') await clock.advance(5_000);
    else fail(new Error('no'));
    const ended = await alice.next(type);

    expect(ended.payload['final_status']).toBe(how);
    await until(() => gateway.alive.size === 0, 'the revocation');
  });

  test('given an upstream that refuses revocations, when the runtime is restarted, it goes on trying until the key is gone', async () => {
    const gateway = createGateway();
    gateway.refuse = true;
    const store = createMemoryEventStore();
    const first = setup({ credentialProvider: gateway.provider, store });
    const alice = first.peer();
    await alice.hello();
    await alice.submit('echo');
    await alice.next('job.result');
    await until(() => gateway.attempts >= 1, 'an attempt');
    await first.clock.advance(1_000);
    await until(() => gateway.attempts >= 2, 'a second attempt');
    await first.runtime.stop();
    gateway.refuse = false;

    setup({ credentialProvider: gateway.provider, store });

    await until(() => gateway.alive.size === 0, 'the revocation');
    await until(() => store.load().credentials.length === 0, 'an empty book');
    expect(gateway.attempts).toBe(3);
  });

  test('given a rotation, when it happens, the submitter gets the new secret, the observer does not, and the old one is revoked', async () => {
    const gateway = createGateway();
    const { peer, puppet, runtime } = setup({
      credentialProvider: gateway.provider,
      observePolicy: { mayObserve: () => true },
    });
    const alice = peer();
    await alice.hello();
    const jobId = String((await alice.submit('puppet')).payload['job_id']);
    await puppet(jobId);
    const bob = peer();
    await bob.hello({ token: 'token-of-bob-0123456789' });
    bob.send('job.subscribe', { job_id: jobId });
    const subscribed = await bob.next('job.subscribed');

    await runtime.rotateCredential(jobId, 'llm');
    const told = await alice.next('job.event');
    const seen = await bob.next('job.event');
    await until(() => gateway.alive.size === 1, 'the revocation of the old one');

    expect(told.payload['body']).toEqual({ phase: 'credential_rotated', id: 'llm', value: 'sk-2' });
    expect(seen.payload['body']).toEqual({ phase: 'credential_rotated', id: 'llm' });
    expect(subscribed.payload).not.toHaveProperty('credentials');
    expect(bob.frames.map((frame) => JSON.stringify(frame)).join()).not.toContain('sk-');
  });

  test('given a provider that fails, when a job is submitted, it is refused and nothing stays alive', async () => {
    const gateway = createGateway();
    const { peer, runtime } = setup({
      credentialProvider: {
        ...gateway.provider,
        credentialsFor: () => ['llm', 'broken'],
        issue: async (id, request) => {
          if (id === 'broken') throw new Error('no');
          return gateway.provider.issue(id, request);
        },
      },
    });
    const alice = peer();
    await alice.hello();

    alice.send('job.submit', { agent: 'puppet' });

    expect((await alice.next('job.error')).payload).toMatchObject({ code: 'INTERNAL_ERROR' });
    await until(() => gateway.alive.size === 0, 'the revocation');
    expect(runtime.stats().jobs).toBe(0);
  });

  test('given a key that waits for its credentials, when another session submits it without any, it is refused and one job runs', async () => {
    const gateway = createGateway();
    const issuing = createDeferred<void>();
    const { peer, runtime } = setup({
      credentialProvider: {
        ...gateway.provider,
        issue: async (id, request) => {
          await issuing.promise;
          return gateway.provider.issue(id, request);
        },
      },
    });
    const alice = peer();
    await alice.hello();
    const plain = peer();
    await plain.hello({ features: [] });

    alice.send('job.submit', { agent: 'puppet', idempotency_key: 'k' });
    await settle(alice);
    plain.send('job.submit', { agent: 'puppet', idempotency_key: 'k' });
    const refusal = await plain.next('job.error');
    issuing.resolve();
    const accepted = await alice.next('job.accepted');
    plain.send('job.submit', { agent: 'puppet', idempotency_key: 'k' });

    expect(refusal.payload).toMatchObject({ code: 'INTERNAL_ERROR', retryable: true });
    expect((await plain.next('job.accepted')).payload['job_id']).toBe(accepted.payload['job_id']);
    expect(runtime.stats().jobs).toBe(1);
  });

  test('given a client without the feature, when it submits, no key is issued', async () => {
    const gateway = createGateway();
    const { peer } = setup({ credentialProvider: gateway.provider });
    const alice = peer();
    await alice.hello({ features: [] });

    const accepted = await alice.submit('echo');

    expect(accepted.payload).not.toHaveProperty('credentials');
    expect(gateway.issued).toBe(0);
  });
});

/** Messages are taken in order: once this is answered, so is what came before. */
async function settle(peer: Peer): Promise<void> {
  peer.send('session.ping', { nonce: 'settled' });
  await peer.next('session.pong');
}

interface Gateway {
  readonly provider: CredentialProvider;
  readonly alive: Set<string>;
  refuse: boolean;
  attempts: number;
  issued: number;
}

function createGateway(): Gateway {
  const gateway: Gateway = {
    alive: new Set(),
    refuse: false,
    attempts: 0,
    issued: 0,
    provider: {
      credentialsFor: () => ['llm'],
      async issue(_id: string, request: CredentialRequest) {
        gateway.issued += 1;
        gateway.alive.add(request.handle);
        const budget = Object.entries(request.budget).map(([currency, left]) => `${currency}:${left}`);
        return {
          scheme: 'bearer',
          value: `sk-${gateway.issued}`,
          endpoint: 'https://gateway.example.com/v1',
          constraints: { 'cost.budget': budget },
        };
      },
      async revoke(handle: string) {
        gateway.attempts += 1;
        if (gateway.refuse) throw new Error('upstream is down');
        gateway.alive.delete(handle);
      },
    },
  };
  return gateway;
}
