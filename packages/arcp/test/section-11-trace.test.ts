import { describe, expect, test } from 'vitest';
import { setup } from './fixtures/setup.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';

describe('11 trace propagation', () => {
  test.for([TRACE, `00-${TRACE}-00f067aa0ba902b7-01`])(
    'given trace_id %s, when submitted, every message of the job carries the bare id and the agent a span of its own',
    async (traceId) => {
      const { peer, puppet } = setup();
      const alice = peer();
      await alice.hello();

      alice.send('job.submit', { agent: 'puppet' }, { trace_id: traceId });
      const accepted = await alice.next('job.accepted');
      const { job, end } = await puppet(accepted.payload['job_id']);
      await job.emit('log', { level: 'info', message: 'x' });
      end();
      await alice.next('job.result');

      expect(accepted).toMatchObject({ trace_id: TRACE, payload: { trace_id: TRACE } });
      expect(alice.sequenced().map((frame) => frame.trace_id)).toEqual([TRACE, TRACE]);
      expect(job.traceparent).toMatch(new RegExp(`^00-${TRACE}-[0-9a-f]{16}-01$`));
    },
  );

  test('given a tracer, when a job runs, its span carries lease and budget and ends with it', async () => {
    const attributes: Record<string, unknown> = {};
    let ended = 0;
    const { peer } = setup({
      tracer: {
        startSpan: (_name, options) => {
          Object.assign(attributes, options?.attributes);
          return {
            setAttribute: (key, value) => Object.assign(attributes, { [key]: value }),
            end: () => void (ended += 1),
          };
        },
      },
    });
    const alice = peer();
    await alice.hello();

    await alice.submit('echo', 1, {
      lease_request: { 'cost.budget': ['USD:2.5'] },
      lease_constraints: { expires_at: '2026-01-01T01:00:00Z' },
    });
    await alice.next('job.result');

    expect(ended).toBe(1);
    expect(attributes).toMatchObject({
      'arcp.lease.expires_at': '2026-01-01T01:00:00.000Z',
      'arcp.budget.remaining': 'USD:2.5',
      'arcp.job.status': 'success',
    });
  });
});
