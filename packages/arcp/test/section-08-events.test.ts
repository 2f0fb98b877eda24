import { describe, expect, test } from 'vitest';
import { EVENT_KINDS, requireEventBody, type EventBodies } from '@conductor-run/arcp';
import { setup } from './fixtures/setup.ts';

const BODIES: EventBodies = {
  log: { level: 'info', message: '' },
  thought: { text: 'hm' },
  tool_call: { tool: 't', args: { a: 1 }, call_id: 'c' },
  tool_result: { call_id: 'c', result: 1 },
  status: { phase: 'warm' },
  metric: { name: 'm', value: -1, dimensions: { a: 'b' } },
  artifact_ref: { uri: 'file:///a', content_type: 'text/plain', byte_size: 1, sha256: 'aa' },
  delegate: { delegate_id: 'd', agent: 'echo', input: null },
  progress: { current: 0, total: 3, units: 'files' },
  result_chunk: { result_id: 'r', chunk_seq: 0, data: '', encoding: 'utf8', more: false },
};

describe('8.2 kinds', () => {
  test.for(EVENT_KINDS)(
    'given a body of kind %s, when checked, the draft’s shape passes and an empty one does not',
    (kind) => {
      expect(() => requireEventBody(kind, BODIES[kind])).not.toThrow();
      expect(() => requireEventBody(kind, {})).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }));
    },
  );

  test.for([
    ['progress', { current: -1 }],
    ['progress', { current: Number.NaN }],
    ['tool_result', { call_id: 'c', result: 1, error: { code: 'TIMEOUT', message: '', retryable: false } }],
    ['metric', { name: 'm', value: Number.POSITIVE_INFINITY }],
  ] as const)('given a wrong %s body, when checked, it is refused', ([kind, body]) => {
    expect(() => requireEventBody(kind, body)).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }));
  });

  test('given every plain kind and a foreign one, when emitted, each arrives with its kind, an instant and its body', async () => {
    const { peer, puppet } = setup();
    const alice = peer();
    await alice.hello();
    const { job } = await puppet((await alice.submit('puppet')).payload['job_id']);

    await job.emit('thought', BODIES.thought);
    await job.emit('x-vendor.acme.thing', { free: ['form'] });

    expect((await alice.next('job.event')).payload).toEqual({
      kind: 'thought',
      ts: '2026-01-01T00:00:00.000Z',
      body: { text: 'hm' },
    });
    expect((await alice.next('job.event')).payload).toMatchObject({
      kind: 'x-vendor.acme.thing',
      body: { free: ['form'] },
    });
  });

  test('given a body that is no JSON, when emitted, the agent is told and no number is used up', async () => {
    const { peer, puppet } = setup();
    const alice = peer();
    await alice.hello();
    const { job } = await puppet((await alice.submit('puppet')).payload['job_id']);
    const circular: Record<string, unknown> = {};
    circular['self'] = circular;

    await expect(job.emit('custom', circular)).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
    await expect(job.emit('log', { level: 'info' } as never)).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
    });
    await job.emit('log', { level: 'info', message: 'fine' });

    expect((await alice.next('job.event')).event_seq).toBe(1);
  });

  test('given a client without progress, when progress is emitted, it is left out and the job goes on', async () => {
    const { peer, puppet } = setup();
    const alice = peer();
    await alice.hello({ features: [] });
    const { job, end } = await puppet((await alice.submit('puppet')).payload['job_id']);

    await job.emit('progress', { current: 1 });
    end();
    await alice.next('job.result');

    expect(alice.sequenced().map((frame) => frame.type)).toEqual(['job.result']);
  });
});

describe('8.3 order', () => {
  test('given several jobs at once, when they emit, the session’s numbers are gap-free over all of them', async () => {
    const { peer } = setup();
    const alice = peer();
    await alice.hello();
    for (let at = 0; at < 10; at += 1) alice.send('job.submit', { agent: 'count', input: { n: 50 } });
    await alice.next('job.result', (frame) => frame.event_seq === 510);

    expect(alice.sequenced().map((frame) => frame.event_seq)).toEqual(
      Array.from({ length: 510 }, (_, at) => at + 1),
    );
    expect(
      alice.frames.filter((frame) => frame.type === 'job.accepted' && frame.event_seq !== undefined),
    ).toEqual([]);
  });
});

describe('8.4 result streaming', () => {
  test('given text and bytes, when streamed, chunks are numbered, the last says so, and the result names them', async () => {
    const { peer, puppet } = setup();
    const alice = peer();
    await alice.hello();
    const { job, end } = await puppet((await alice.submit('puppet')).payload['job_id']);

    await job.writeResult('häl');
    await job.writeResult(new Uint8Array([0, 255]));
    await job.writeResult('lo', { isLast: true });
    end({ summary: 'three' });
    const result = await alice.next('job.result');

    const chunks = alice
      .sequenced()
      .slice(0, 3)
      .map((frame) => frame.payload['body']);
    const resultId = result.payload['result_id'];
    expect(chunks).toEqual([
      { result_id: resultId, chunk_seq: 0, data: 'häl', encoding: 'utf8', more: true },
      { result_id: resultId, chunk_seq: 1, data: 'AP8=', encoding: 'base64', more: true },
      { result_id: resultId, chunk_seq: 2, data: 'lo', encoding: 'utf8', more: false },
    ]);
    expect(result.payload).toEqual({
      final_status: 'success',
      result_id: resultId,
      result_size: 8,
      summary: 'three',
    });
  });

  test('given an agent that forgot the last chunk, when it ends, an empty one closes the stream', async () => {
    const { peer, puppet } = setup();
    const alice = peer();
    await alice.hello();
    const { job, end } = await puppet((await alice.submit('puppet')).payload['job_id']);

    await job.writeResult('abc');
    end();
    await alice.next('job.result');

    expect(alice.sequenced()[1]?.payload['body']).toMatchObject({ chunk_seq: 1, data: '', more: false });
  });

  test.for([
    ['a chunk above its cap', { maxChunkBytes: 4 }],
    ['a result above its cap', { maxResultBytes: 4 }],
  ] as const)('given %s, when streamed, the job ends with INTERNAL_ERROR', async ([, limits]) => {
    const { peer, puppet } = setup({ limits });
    const alice = peer();
    await alice.hello();
    const { job } = await puppet((await alice.submit('puppet')).payload['job_id']);

    await expect(job.writeResult('12345')).rejects.toMatchObject({ code: 'INTERNAL_ERROR' });

    expect((await alice.next('job.error')).payload).toMatchObject({
      code: 'INTERNAL_ERROR',
      final_status: 'error',
      retryable: true,
    });
  });

  test('given a chunk was sent, when the agent ends with an inline result as well, the job is INTERNAL_ERROR', async () => {
    const { peer, puppet } = setup();
    const alice = peer();
    await alice.hello();
    const { job, end } = await puppet((await alice.submit('puppet')).payload['job_id']);

    await job.writeResult('a', { isLast: true });
    end({ result: 'b' });

    expect((await alice.next('job.error')).payload).toMatchObject({ code: 'INTERNAL_ERROR' });
  });

  test.for([
    ['out of order', { result_id: 'r', chunk_seq: 2, data: 'x', encoding: 'utf8', more: true }],
    ['of another result', { result_id: 's', chunk_seq: 1, data: 'x', encoding: 'utf8', more: true }],
  ] as const)('given an own chunk %s, when emitted, the job is INTERNAL_ERROR', async ([, chunk]) => {
    const { peer, puppet } = setup();
    const alice = peer();
    await alice.hello();
    const { job } = await puppet((await alice.submit('puppet')).payload['job_id']);
    await job.emit('result_chunk', { result_id: 'r', chunk_seq: 0, data: 'x', encoding: 'utf8', more: true });

    await expect(job.emit('result_chunk', chunk)).rejects.toMatchObject({ code: 'INTERNAL_ERROR' });

    expect((await alice.next('job.error')).payload).toMatchObject({ code: 'INTERNAL_ERROR' });
  });

  test('given a client without result_chunk, when a result is streamed, it arrives in one piece; above the cap the job is INTERNAL_ERROR', async () => {
    const { peer, puppet } = setup({ limits: { maxJoinedResultBytes: 10 } });
    const alice = peer();
    await alice.hello({ features: [] });
    const small = await puppet((await alice.submit('puppet')).payload['job_id']);
    await small.job.writeResult('ab');
    await small.job.writeResult('cd', { isLast: true });
    small.end();
    const whole = await alice.next('job.result');
    const large = await puppet((await alice.submit('puppet')).payload['job_id']);

    await expect(large.job.writeResult('x'.repeat(11))).rejects.toMatchObject({ code: 'INTERNAL_ERROR' });

    expect(whole.payload).toEqual({ final_status: 'success', result: 'abcd' });
    expect((await alice.next('job.error')).payload).toMatchObject({ code: 'INTERNAL_ERROR' });
  });
});
