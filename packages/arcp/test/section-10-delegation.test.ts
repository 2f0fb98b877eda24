import { describe, expect, test } from 'vitest';
import { until, type Peer } from './fixtures/peer.ts';
import { setup, type Bundle, type Puppet } from './fixtures/setup.ts';

const LEASE = {
  'agent.delegate': ['puppet', 'echo'],
  'fs.read': ['/w/**'],
  'cost.budget': ['USD:5.00'],
  'model.use': ['fast/*'],
  'tool.call': ['*'],
};

describe('10 delegation', () => {
  test('given a lease that covers it, when an agent delegates, a child runs in the same session under its parent’s name and trace', async () => {
    const { alice, parent, bundle } = await start();

    const child = await parent.job.delegate({ agent: 'puppet', input: 7, lease: { 'fs.read': ['/w/a/**'] } });
    const inner = await bundle.puppet(child.jobId);
    await inner.job.emit('log', { level: 'info', message: 'from the child' });
    inner.end({ result: 8 });
    const outcome = await child.outcome;
    alice.send('session.list_jobs', {});
    const listed = (await alice.next('session.jobs')).payload['jobs'] as readonly Record<string, unknown>[];

    expect(outcome).toEqual({ result: 8 });
    expect(inner.job).toMatchObject({
      parentJobId: parent.job.jobId,
      input: 7,
      lease: { 'fs.read': ['/w/a/**'] },
    });
    expect(inner.job.traceparent.slice(3, 35)).toBe(parent.job.traceparent.slice(3, 35));
    expect(inner.job.traceparent).not.toBe(parent.job.traceparent);
    expect(listed.find((job) => job['job_id'] === child.jobId)).toMatchObject({
      parent_job_id: parent.job.jobId,
    });
    expect(alice.sequenced()[0]?.payload).toMatchObject({
      kind: 'delegate',
      body: { agent: 'puppet', job_id: child.jobId },
    });
  });

  test.for([
    ['a path outside', { lease: { 'fs.read': ['/**'] } }, 'LEASE_SUBSET_VIOLATION'],
    ['a capability the parent lacks', { lease: { 'fs.write': ['/w/a'] } }, 'LEASE_SUBSET_VIOLATION'],
    ['another model', { lease: { 'model.use': ['*/*'] } }, 'LEASE_SUBSET_VIOLATION'],
    ['too much money', { lease: { 'cost.budget': ['USD:5.01'] } }, 'LEASE_SUBSET_VIOLATION'],
    ['another currency', { lease: { 'cost.budget': ['EUR:1'] } }, 'LEASE_SUBSET_VIOLATION'],
    ['a later end', { expiresAt: '2026-01-01T02:00:00Z' }, 'LEASE_SUBSET_VIOLATION'],
    ['an agent outside agent.delegate', { agent: 'count' }, 'PERMISSION_DENIED'],
    ['an agent that is not there', { agent: 'echo@9' }, 'AGENT_VERSION_NOT_AVAILABLE'],
  ] as const)('given %s, when delegated, it is refused and no child runs', async ([, request, code]) => {
    const { parent, bundle } = await start();

    await expect(parent.job.delegate({ agent: 'puppet', ...request })).rejects.toMatchObject({ code });

    expect(bundle.runtime.stats().jobs).toBe(1);
  });

  test('given a parent with an end, when its child names none, the child inherits it', async () => {
    const { parent, bundle } = await start();

    const child = await parent.job.delegate({ agent: 'puppet' });

    expect((await bundle.puppet(child.jobId)).job.expiresAtMs).toBe(parent.job.expiresAtMs);
  });

  test('given spending, when a child spends, its parent’s remaining goes down and later delegations are bound by it', async () => {
    const { parent, bundle } = await start();
    await parent.job.emit('metric', { name: 'cost.a', value: 3, unit: 'USD' });
    await expect(
      parent.job.delegate({ agent: 'puppet', lease: { 'cost.budget': ['USD:2.01'] } }),
    ).rejects.toMatchObject({ code: 'LEASE_SUBSET_VIOLATION' });
    const child = await parent.job.delegate({ agent: 'puppet', lease: { 'cost.budget': ['USD:2.00'] } });
    const inner = await bundle.puppet(child.jobId);
    await inner.job.emit('metric', { name: 'cost.a', value: 1.5, unit: 'USD' });

    await expect(
      parent.job.delegate({ agent: 'puppet', lease: { 'cost.budget': ['USD:0.6'] } }),
    ).rejects.toMatchObject({ code: 'LEASE_SUBSET_VIOLATION' });
    await inner.job.emit('metric', { name: 'cost.a', value: 0.5, unit: 'USD' });

    expect(parent.job.authorize('tool.call', 'x')).toMatchObject({ error: { code: 'BUDGET_EXHAUSTED' } });
  });

  test('given a child without a budget, when it spends its parent’s currency, the parent’s limit binds it', async () => {
    const { parent, bundle } = await start();
    const child = await parent.job.delegate({ agent: 'puppet', lease: { 'tool.call': ['x'] } });
    const inner = await bundle.puppet(child.jobId);

    await inner.job.emit('metric', { name: 'cost.a', value: 6, unit: 'USD' });

    expect(inner.job.authorize('tool.call', 'x')).toMatchObject({ error: { code: 'BUDGET_EXHAUSTED' } });
  });

  test('given a parent with models, when a child that names none asks for another, it is refused, whatever the deployment allows', async () => {
    const { parent, bundle } = await start({ isModelLeaseRequired: false });
    const child = await parent.job.delegate({ agent: 'puppet' });
    const inner = await bundle.puppet(child.jobId);

    expect(inner.job.authorize('model.use', 'slow/max')).toMatchObject({
      error: { code: 'PERMISSION_DENIED' },
    });
  });

  test('given children and grandchildren, when the parent is cancelled, all of them are', async () => {
    const { alice, parent, bundle } = await start();
    const child = await parent.job.delegate({ agent: 'puppet', lease: { 'agent.delegate': ['puppet'] } });
    const inner = await bundle.puppet(child.jobId);
    const grandchild = await inner.job.delegate({ agent: 'puppet' });
    await bundle.puppet(grandchild.jobId);

    alice.send('job.cancel', { job_id: parent.job.jobId });
    await until(() => bundle.runtime.stats().jobs === 0, 'the end of all');
    await until(
      () => alice.sequenced().filter((frame) => frame.type === 'job.error').length === 3,
      'three ends',
    );

    await expect(grandchild.outcome).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  test('given an agent that can only emit, when it emits delegate, the child runs; a refusal comes back as a tool_result', async () => {
    const { alice, parent } = await start();

    await parent.job.emit('delegate', { delegate_id: 'd1', agent: 'echo', input: 1 });
    await parent.job.emit('delegate', {
      delegate_id: 'd2',
      agent: 'echo',
      lease_request: { 'fs.read': ['/etc/**'] },
    });
    await until(() => alice.sequenced().length === 3, 'three messages');

    expect(new Set(alice.sequenced().map((frame) => frame.payload['kind'] ?? frame.type))).toEqual(
      new Set(['delegate', 'job.result', 'tool_result']),
    );
    expect(JSON.stringify(alice.sequenced())).toContain('LEASE_SUBSET_VIOLATION');
  });

  test('given agents that delegate on and on, when the depth is reached, it is refused', async () => {
    const { parent, bundle } = await start({ limits: { maxDelegationDepth: 2 } });
    const child = await parent.job.delegate({ agent: 'puppet', lease: { 'agent.delegate': ['puppet'] } });
    const inner = await bundle.puppet(child.jobId);

    await expect(inner.job.delegate({ agent: 'puppet' })).rejects.toMatchObject({
      code: 'PERMISSION_DENIED',
    });
  });
});

async function start(
  options: Parameters<typeof setup>[0] = {},
): Promise<{ readonly alice: Peer; readonly parent: Puppet; readonly bundle: Bundle }> {
  const bundle = setup(options);
  const alice = bundle.peer();
  await alice.hello();
  const accepted = await alice.submit('puppet', null, {
    lease_request: LEASE,
    lease_constraints: { expires_at: '2026-01-01T01:00:00Z' },
  });
  return { alice, parent: await bundle.puppet(accepted.payload['job_id']), bundle };
}
