import { describe, expect, test } from 'vitest';
import { parseFrame } from '@conductor-run/arcp';
import { setup } from './fixtures/setup.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';

describe('envelope', () => {
  test('given unknown top-level fields, when a message is read, they are ignored', () => {
    const text = JSON.stringify({
      arcp: '1.1',
      id: 'a',
      type: 'session.ping',
      payload: {},
      priority: 9,
      x: [],
    });

    expect(parseFrame(text)).toEqual({ arcp: '1.1', id: 'a', type: 'session.ping', payload: {} });
  });

  test('given a traceparent in trace_id, when a message is read, the bare trace id comes out', () => {
    const traceparent = `00-${TRACE}-00f067aa0ba902b7-01`;
    const text = JSON.stringify({ arcp: '1.1', id: 'a', type: 't', trace_id: traceparent, payload: {} });

    expect(parseFrame(text).trace_id).toBe(TRACE);
  });

  test.for([
    ['no JSON', '{"arcp":'],
    ['an array', '[]'],
    ['null', 'null'],
    ['another version', '{"arcp":"2","id":"a","type":"t","payload":{}}'],
    ['no id', '{"arcp":"1.1","type":"t","payload":{}}'],
    ['a numeric type', '{"arcp":"1.1","id":"a","type":7,"payload":{}}'],
    ['a trace that is none', '{"arcp":"1.1","id":"a","type":"t","trace_id":"zz","payload":{}}'],
    ['a fractional event_seq', '{"arcp":"1.1","id":"a","type":"t","event_seq":1.5,"payload":{}}'],
    [
      'hostile depth',
      `{"arcp":"1.1","id":"a","type":"t","payload":${'['.repeat(50_000)}${']'.repeat(50_000)}}`,
    ],
  ] as const)('given %s, when a message is read, it is INVALID_REQUEST', ([, text]) => {
    expect(() => parseFrame(text)).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }));
  });

  test('given an open session, when garbage arrives, each piece is answered with INVALID_REQUEST and the session goes on', async () => {
    const peer = setup().peer();
    await peer.hello();

    peer.raw('}{');
    peer.raw('{"arcp":"1.1","id":"x1","type":"no.such","payload":{}}');
    const first = await peer.next('session.error');
    const second = await peer.next('session.error');
    await peer.submit('echo', 1);

    expect(first.payload).toMatchObject({ code: 'INVALID_REQUEST', retryable: false });
    expect(second.payload).toMatchObject({ code: 'INVALID_REQUEST', details: { request_id: 'x1' } });
  });

  test('given an open session, when a message names another session, it is refused', async () => {
    const peer = setup().peer();
    await peer.hello();

    peer.send('session.ping', { nonce: 'n' }, { session_id: 'sess_other' });

    expect((await peer.next('session.error')).payload).toMatchObject({ code: 'INVALID_REQUEST' });
  });
});
