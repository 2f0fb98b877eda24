import { describe, expect, test } from 'vitest';
import { setup } from './fixtures/setup.ts';

describe('submit', () => {
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
});
