import { describe, expect, inject, test } from 'vitest';
import { FEATURES } from '@conductor-run/arcp';
import type { ManualClock } from '@conductor-run/clock';
import { ALICE, BOB, until, type Frame, type Peer } from './fixtures/peer.ts';
import { setup } from './fixtures/setup.ts';

const FRAMES = inject('soak') ? 1_000_000 : 20_000;

describe('the door', () => {
  test('given frames of every wrong shape, when they come as fast as they can, nothing crashes, nobody’s job is shown, and the other client is served', async () => {
    const { peer, runtime, clock } = setup({ limits: { maxJobsPerPrincipal: 50 } });
    const bob = peer();
    await bob.hello({ token: BOB });
    const secret = String((await bob.submit('puppet', 'the secret input')).payload['job_id']);
    const random = seeded(11);
    let shown = 0;
    let answered = 0;
    let attacker = peer();
    await attacker.hello();
    for (let at = 0; at < FRAMES; at += 1) {
      attacker.raw(mutate(random, randomMessage(random, attacker.sessionId, secret)));
      if (at % 500 !== 499) continue;
      // Waiting for a pong, or for the end of a connection that was closed by a well-formed goodbye.
      await settle(attacker, clock);
      // The clock has moved: who says nothing is taken for gone.
      bob.send('session.ping', { nonce: 'here' });
      for (const frame of attacker.frames) {
        answered += 1;
        const text = JSON.stringify(frame);
        if (text.includes('the secret input') || isShown(frame, secret)) shown += 1;
      }
      attacker.frames.length = 0;
      attacker.close();
      attacker = peer();
      await attacker.hello();
    }

    await bob.submit('echo', 'still here');
    expect((await bob.next('job.result')).payload['result']).toBe('still here');
    expect(shown).toBe(0);
    expect(answered).toBeGreaterThan(FRAMES / 4);
    expect(runtime.stats().sessions).toBeLessThanOrEqual(257);
  });

  test('given bytes before any hello, when they are no hello, each connection is told and closed, and nothing is kept', async () => {
    const { peer, runtime } = setup();
    const random = seeded(5);
    for (let at = 0; at < 200; at += 1) {
      const stranger = peer();
      stranger.raw(
        mutate(random, randomMessage(random, 'sess_x', 'job_x')).replaceAll('session.hello', 'session.hallo'),
      );
      await stranger.next('session.error');
      await stranger.closed();
    }

    expect(runtime.stats()).toMatchObject({ connections: 0, sessions: 0, jobs: 0 });
  });
});

/** The clock goes on: whoever talks nonsense has to wait for its turns. */
async function settle(peer: Peer, clock: ManualClock): Promise<void> {
  let isClosed = false;
  void peer.closed().then(
    () => {
      isClosed = true;
    },
    () => undefined,
  );
  peer.send('session.ping', { nonce: 'settled' });
  await until(async () => {
    await clock.advance(20);
    return isClosed || peer.frames.some((frame) => frame.payload['ping_nonce'] === 'settled');
  }, 'an answer');
}

/** An attacker may read its own words back, and a refusal names what was asked for; anything else is a leak. */
function isShown(frame: Frame, jobId: string): boolean {
  if (frame.type === 'session.error') return false;
  return frame.job_id === jobId || JSON.stringify(frame.payload).includes(`"job_id":"${jobId}"`);
}

const TYPES = [
  'session.hello',
  'session.resume',
  'session.ping',
  'session.pong',
  'session.ack',
  'session.list_jobs',
  'job.submit',
  'job.cancel',
  'job.subscribe',
  'job.unsubscribe',
  'session.welcome',
  'job.event',
  'job.result',
  'constructor',
  '__proto__',
];

function randomMessage(random: () => number, sessionId: string, jobId: string): string {
  const pick = <T>(values: readonly [T, ...T[]]): T =>
    values[Math.floor(random() * values.length)] ?? values[0];
  const value = (): unknown =>
    pick<unknown>([
      null,
      true,
      -1,
      0,
      1.5,
      1e308,
      '',
      'x',
      'é\u0000',
      [],
      {},
      [[[]]],
      { a: { b: {} } },
      '__proto__',
      jobId,
      2 ** 53,
    ]);
  const payload: Record<string, unknown> = {
    agent: pick(['echo', 'count', 'puppet@1', value()]),
    input: pick<unknown>([{ n: 3 }, value()]),
    lease_request: pick<unknown>([{}, { 'fs.read': ['/**'] }, { 'cost.budget': ['USD:1'] }, value()]),
    lease_constraints: pick<unknown>([{ expires_at: '2030-01-01T00:00:00Z' }, value()]),
    idempotency_key: pick<unknown>(['k', value()]),
    max_runtime_sec: pick<unknown>([1, value()]),
    job_id: pick<unknown>([jobId, 'job_none', value()]),
    nonce: pick<unknown>(['n', value()]),
    last_processed_seq: pick<unknown>([1, value()]),
    history: pick<unknown>([true, value()]),
    from_event_seq: pick<unknown>([0, value()]),
    limit: pick<unknown>([1, value()]),
    cursor: pick<unknown>([null, value()]),
    filter: pick<unknown>([{ status: ['running'] }, value()]),
    client: { name: 'c', version: '1' },
    auth: { scheme: 'bearer', token: pick<unknown>([ALICE, value()]) },
    capabilities: { features: FEATURES },
    session_id: sessionId,
    resume_token: value(),
    last_event_seq: value(),
  };
  for (const key of Object.keys(payload)) if (random() < 0.4) delete payload[key];
  return JSON.stringify({
    arcp: pick<unknown>(['1.1', '1.1', '1.1', value()]),
    id: pick<unknown>(['a', 'b', value()]),
    type: TYPES[Math.floor(random() * TYPES.length)],
    session_id: pick<unknown>([sessionId, sessionId, value()]),
    trace_id: pick<unknown>([undefined, '4bf92f3577b34da6a3ce929d0e0e4736', value()]),
    payload: random() < 0.9 ? payload : value(),
  });
}

/** One time in three the text itself is damaged: cut, doubled, a character changed, brackets piled up. */
function mutate(random: () => number, text: string): string {
  const at = Math.floor(random() * text.length);
  switch (Math.floor(random() * 12)) {
    case 0:
      return text.slice(0, at);
    case 1:
      return text + text;
    case 2:
      return `${text.slice(0, at)}${String.fromCharCode(Math.floor(random() * 0xffff))}${text.slice(at + 1)}`;
    case 3:
      return `${text.slice(0, at)}${'[{"a":'.repeat(200)}${text.slice(at)}`;
    default:
      return text;
  }
}

function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
