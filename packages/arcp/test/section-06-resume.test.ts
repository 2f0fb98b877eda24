import { describe, expect, test } from 'vitest';
import { BOB, type Frame, type Peer } from './fixtures/peer.ts';
import { setup } from './fixtures/setup.ts';

describe('6.3 resume', () => {
  test('given events while away, when the session is resumed, they come in order, once, and live events follow without a gap', async () => {
    const { peer, puppet, emitUnread } = setup();
    const first = peer();
    const welcome = await first.hello();
    const accepted = await first.submit('puppet');
    const { job, end } = await puppet(accepted.payload['job_id']);
    for (let at = 1; at <= 3; at += 1) await job.emit('log', { level: 'info', message: `${at}` });
    await first.next('job.event', (frame) => frame.event_seq === 3);
    first.close();
    await first.closed();
    await emitUnread(
      job,
      Array.from({ length: 997 }, (_, at) => `${at + 4}`),
    );

    const second = peer();
    await second.hello({ resume: resumeOf(welcome, 2) });
    await job.emit('log', { level: 'info', message: '1001' });
    end();
    await second.next('job.result');

    expect(second.sequenced().map((frame) => frame.event_seq)).toEqual(
      Array.from({ length: 1_000 }, (_, at) => at + 3),
    );
    expect(second.sequenced().map(messageOf).slice(0, 2)).toEqual(['3', '4']);
  });

  test('given nobody who reads, when an agent emits as fast as it can, it has the pace of what is unread, and not another', async () => {
    const { peer, puppet, clock } = setup();
    const first = peer();
    await first.hello();
    const accepted = await first.submit('puppet');
    const { job } = await puppet(accepted.payload['job_id']);
    first.close();
    await first.closed();
    let said = 0;
    const emitting = (async () => {
      for (; said < 640; said += 1) await job.emit('log', { level: 'info', message: `${said}` });
    })();

    const counts: number[] = [];
    for (let interval = 0; interval < 8; interval += 1) {
      await clock.advance(10);
      counts.push(said);
    }
    await clock.advance(10);
    await emitting;

    expect(counts).toEqual(Array.from({ length: 8 }, (_, at) => (at + 2) * 64));
  });

  test('given a welcome, when another follows, the token has rotated and the one before is dead once the client spoke', async () => {
    const { peer } = setup();
    const first = peer();
    const welcome = await first.hello();
    const second = peer();
    const again = await second.hello({ resume: resumeOf(welcome, 0) });
    second.send('session.ping', { nonce: 'n' });
    await second.next('session.pong');
    const third = peer();

    sayResume(third, resumeOf(welcome, 0));

    expect(again.payload['resume_token']).not.toBe(welcome.payload['resume_token']);
    expect((await third.next('session.error')).payload).toMatchObject({ code: 'RESUME_WINDOW_EXPIRED' });
  });

  test('given a welcome that was lost on its way, when the client resumes with the token it has, it gets its session', async () => {
    const { peer } = setup();
    const welcome = await peer().hello();
    await peer().hello({ resume: resumeOf(welcome, 0) });

    const again = await peer().hello({ resume: resumeOf(welcome, 0) });

    expect(again.session_id).toBe(welcome.session_id);
  });

  test('given many welcomes in a row that were lost, when the client resumes with the token it has, it gets its session', async () => {
    const { peer } = setup();
    const welcome = await peer().hello();
    for (let lost = 0; lost < 4; lost += 1) await peer().hello({ resume: resumeOf(welcome, 0) });

    const again = await peer().hello({ resume: resumeOf(welcome, 0) });

    expect(again.session_id).toBe(welcome.session_id);
  });

  test('given a half-open connection, when its session is resumed, the old connection is told and closed', async () => {
    const { peer } = setup();
    const first = peer();
    const welcome = await first.hello();

    await peer().hello({ resume: resumeOf(welcome, 0) });

    expect((await first.closed()).reason).toBe('session was resumed elsewhere');
  });

  test('given another principal with a stolen token, when it resumes, it learns no more than for a session that never was', async () => {
    const { peer } = setup();
    const welcome = await peer().hello();
    const thief = peer();
    sayResume(thief, resumeOf(welcome, 0), BOB);
    const guesser = peer();
    sayResume(guesser, { session_id: 'sess_none', resume_token: 'x', last_event_seq: 0 }, BOB);

    const stolen = await thief.next('session.error');
    const guessed = await guesser.next('session.error');

    expect(stolen.payload).toMatchObject({ code: 'RESUME_WINDOW_EXPIRED' });
    expect(stolen.payload).toEqual(guessed.payload);
  });

  test('given a lost session, when the window has passed, resuming it is RESUME_WINDOW_EXPIRED', async () => {
    const { peer, clock, runtime } = setup();
    const first = peer();
    const welcome = await first.hello();
    first.close();
    await first.closed();

    await clock.advance(660_000);
    const late = peer();
    sayResume(late, resumeOf(welcome, 0));

    expect((await late.next('session.error')).payload).toMatchObject({
      code: 'RESUME_WINDOW_EXPIRED',
      retryable: false,
    });
    expect(runtime.stats()).toMatchObject({ sessions: 0, bufferedBytes: 0 });
  });

  test('given events the client did not acknowledge, when the window has passed, they are kept and the session can be resumed', async () => {
    const { peer, clock } = setup();
    const first = peer();
    const welcome = await first.hello();
    await first.submit('echo', 7);
    await first.next('job.result');
    first.close();
    await first.closed();

    await clock.advance(6_600_000);
    const late = peer();
    await late.hello({ resume: resumeOf(welcome, 0) });

    expect((await late.next('job.result')).payload['result']).toBe(7);
  });

  test('given a buffer that overflowed while away, when resumed from before it, the answer is RESUME_WINDOW_EXPIRED and the job went on', async () => {
    const { peer, puppet, emitUnread } = setup({ limits: { maxBufferedEvents: 300 } });
    const first = peer();
    const welcome = await first.hello();
    const accepted = await first.submit('puppet');
    const { job } = await puppet(accepted.payload['job_id']);
    first.close();
    await first.closed();
    await emitUnread(
      job,
      Array.from({ length: 1_000 }, (_, at) => `${at}`),
    );

    const late = peer();
    sayResume(late, resumeOf(welcome, 0));

    expect((await late.next('session.error')).payload).toMatchObject({ code: 'RESUME_WINDOW_EXPIRED' });
    const exact = peer();
    await exact.hello({ resume: resumeOf(welcome, 1_000) });
    expect(job.signal.aborted).toBe(false);
  });

  test('given session.resume as the first message, when it is complete, it resumes as the hello does', async () => {
    const { peer } = setup();
    const first = peer();
    const welcome = await first.hello();
    const accepted = await first.submit('echo', 1);
    await first.next('job.result');
    const second = peer();

    second.send('session.resume', {
      ...resumeOf(welcome, 0),
      auth: { scheme: 'bearer', token: 'token-of-alice-0123456789' },
      capabilities: { features: [] },
    });
    await second.next('session.welcome');

    expect((await second.next('job.result')).job_id).toBe(accepted.payload['job_id']);
  });

  test('given a position ahead of the stream, when resumed, it is refused', async () => {
    const { peer } = setup();
    const welcome = await peer().hello();
    const second = peer();

    sayResume(second, resumeOf(welcome, 5));

    expect((await second.next('session.error')).payload).toMatchObject({ code: 'RESUME_WINDOW_EXPIRED' });
  });
});

describe('6.5 acknowledgement', () => {
  test('given acknowledged events, when the stream has grown, they are freed and the rest stays', async () => {
    const { peer, runtime } = setup({ limits: { maxBufferedEvents: 8_000 } });
    const alice = peer();
    await alice.hello();
    await alice.submit('count', { n: 2_000 });
    await alice.next('job.result');
    const before = runtime.stats().bufferedBytes;

    alice.send('session.ack', { last_processed_seq: 1_800 });
    alice.send('session.ping', { nonce: 'n' });
    await alice.next('session.pong');

    expect(runtime.stats().bufferedBytes).toBeLessThan(before / 4);
    expect(runtime.stats().bufferedBytes).toBeGreaterThan(0);
  });

  test('given a client that acknowledges and then lags, when it is far behind, it is told once in its stream', async () => {
    const { peer } = setup({ backPressureEvents: 100 });
    const alice = peer();
    await alice.hello();
    await alice.submit('count', { n: 10 });
    await alice.next('job.result');
    alice.send('session.ack', { last_processed_seq: 5 });

    await alice.submit('count', { n: 500 });
    await alice.next('job.result');

    const told = alice.sequenced().filter((frame) => phaseOf(frame) === 'back_pressure');
    expect(told).toHaveLength(1);
    expect(alice.sequenced().map((frame) => frame.event_seq)).toEqual(
      Array.from({ length: 513 }, (_, at) => at + 1),
    );
  });

  test('given the feature was not negotiated, when an ack comes, it is refused', async () => {
    const peer = setup().peer();
    await peer.hello({ features: [] });

    peer.send('session.ack', { last_processed_seq: 1 });

    expect((await peer.next('session.error')).payload).toMatchObject({ code: 'INVALID_REQUEST' });
  });

  test('given a client that never reads, when it is told and still does not, it is cut and its job goes on', async () => {
    const { peer, clock, puppet, runtime, emitUnread } = setup({ limits: { maxUnsentBytes: 10_000 } });
    const deaf = peer();
    const welcome = await deaf.hello();
    const accepted = await deaf.submit('puppet');
    const { job, end } = await puppet(accepted.payload['job_id']);
    deaf.transport.pause();
    await emitUnread(
      job,
      Array.from({ length: 1_000 }, (_, at) => `line ${at} ${'x'.repeat(50)}`),
    );

    await clock.advance(15_001);
    await clock.advance(15_001);

    expect(runtime.stats()).toMatchObject({ connections: 0, jobs: 1 });
    end();
    const back = peer();
    await back.hello({ resume: resumeOf(welcome, 0) });
    await back.next('job.result');
    expect(back.sequenced()).toHaveLength(1_002);
    expect(back.sequenced().filter((frame) => phaseOf(frame) === 'back_pressure')).toHaveLength(1);
  });
});

function resumeOf(welcome: Frame, lastEventSeq: number): object {
  return {
    session_id: welcome.session_id,
    resume_token: welcome.payload['resume_token'],
    last_event_seq: lastEventSeq,
  };
}

function sayResume(peer: Peer, resume: object, token = 'token-of-alice-0123456789'): void {
  peer.send('session.hello', {
    client: { name: 'c', version: '1' },
    auth: { scheme: 'bearer', token },
    resume,
  });
}

function messageOf(frame: Frame): unknown {
  return (frame.payload['body'] as { readonly message?: string } | undefined)?.message;
}

function phaseOf(frame: Frame): unknown {
  return (frame.payload['body'] as { readonly phase?: string } | undefined)?.phase;
}
