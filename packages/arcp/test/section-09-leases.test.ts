import { describe, expect, test } from 'vitest';
import { compileGlob, compileLease, isGlobIncluded, isGranted, matchGlob } from '@conductor-run/arcp';
import { setup, type Bundle, type Puppet } from './fixtures/setup.ts';
import { until, type Peer } from './fixtures/peer.ts';

describe('9.2 grammar', () => {
  test.for([
    ['fs.read', '/w/**', '/w', true],
    ['fs.read', '/w/**', '/w/a/b', true],
    ['fs.read', '/w/**', '/wx', false],
    ['fs.read', '/w/**', '/w/../etc/passwd', false],
    ['fs.read', '/w/**', '/w//a/./b', true],
    ['fs.read', '/w/**', 'w/a', false],
    ['fs.read', '/w/*', '/w/a', true],
    ['fs.read', '/w/*', '/w/a/b', false],
    ['fs.read', '/w/**/z', '/w/z', true],
    ['fs.read', '/w/**/z', '/w/a/xz', false],
    ['fs.read', '/w/**/z', '/w/az', false],
    ['fs.read', '/w/**/z', '/w/a/b/z', true],
    ['fs.read', '/w/a.b', '/w/axb', false],
    ['net.fetch', 'https://api.example.com/**', 'https://api.example.com/v1/x?q=1', true],
    ['net.fetch', 'https://api.example.com/**', 'https://API.example.com:443/v1', true],
    ['net.fetch', 'https://api.example.com/**', 'http://api.example.com/v1', false],
    ['net.fetch', 'https://api.example.com/**', 'https://api.example.com@evil.org/v1', false],
    ['net.fetch', 'https://*.example.com/**', 'https://evil.org/x.example.com/', false],
    ['net.fetch', 'https://api.example.com/v1/*', 'https://api.example.com/v1/../admin', false],
    ['net.fetch', 'https://api.example.com/**', 'file:///etc/passwd', false],
    ['tool.call', 'search.*', 'search.web', true],
    ['tool.call', 'search.*', 'research.web', false],
    ['model.use', 'tier-fast/*', 'tier-fast/mini', true],
    ['agent.delegate', 'echo', 'echo', true],
  ] as const)(
    'given a lease of %s %s, when asked for %s, the answer is %s',
    ([namespace, pattern, resource, isAllowed]) => {
      expect(isGranted(compileLease({ [namespace]: [pattern] }), namespace, resource)).toBe(isAllowed);
    },
  );

  test.for([
    [{ 'fs.read': ['relative/**'] }],
    [{ 'fs.read': ['/a/../b'] }],
    [{ 'net.fetch': ['example.com/**'] }],
    [{ 'cost.budget': ['USD'] }],
    [{ 'cost.budget': ['USD:-1'] }],
    [{ 'cost.budget': ['USD:1', 'USD:2'] }],
    [{ 'cost.budget': ['USD:1e3'] }],
    [{ nonsense: ['x'] }],
    [{ 'tool.call': ['x'.repeat(2_000)] }],
  ])('given %j, when submitted as a lease, it is INVALID_REQUEST', async ([lease]) => {
    const peer = setup().peer();
    await peer.hello();

    peer.send('job.submit', { agent: 'echo', lease_request: lease });

    expect((await peer.next('job.error')).payload).toMatchObject({ code: 'INVALID_REQUEST' });
  });

  test('given a pattern of five hundred stars, when matched, the time does not explode', () => {
    const glob = compileGlob(`${'*a'.repeat(500)}b`);

    expect(glob === undefined ? undefined : matchGlob(glob, 'a'.repeat(4_000))).toBe(false);
  });
});

describe('9.3 enforcement', () => {
  test('given a lease, when an operation is not covered, it is PERMISSION_DENIED before it is made, and reported as a tool_result', async () => {
    const { alice, puppet } = await start({ 'tool.call': ['search.*'] });
    let calls = 0;

    const denied = await puppet.job.callTool({ tool: 'shell.run' }, () => (calls += 1));
    const allowed = await puppet.job.callTool({ tool: 'search.web', args: { q: 'x' } }, () => 'found');
    await until(() => alice.sequenced().length === 4, 'four events');

    expect(calls).toBe(0);
    expect(denied).toMatchObject({ isOk: false, error: { code: 'PERMISSION_DENIED' } });
    expect(allowed).toEqual({ isOk: true, result: 'found' });
    expect(alice.sequenced().map((frame) => frame.payload['kind'])).toEqual([
      'tool_call',
      'tool_result',
      'tool_call',
      'tool_result',
    ]);
    expect(alice.sequenced()[1]?.payload['body']).toMatchObject({
      error: { code: 'PERMISSION_DENIED', retryable: false },
    });
  });

  test('given no lease at all, when anything is asked, nothing is allowed', async () => {
    const { puppet } = await start({});

    for (const namespace of [
      'fs.read',
      'fs.write',
      'net.fetch',
      'tool.call',
      'agent.delegate',
      'model.use',
    ]) {
      expect(puppet.job.authorize(namespace, '/x')).toMatchObject({ error: { code: 'PERMISSION_DENIED' } });
    }
  });
});

describe('9.5 expiration', () => {
  test.for([['2020-01-01T00:00:00Z'], ['2026-01-01T00:00:00Z'], ['2027-01-01T00:00:00+01:00'], ['tomorrow']])(
    'given expires_at %s, when submitted, it is INVALID_REQUEST',
    async ([expiresAt]) => {
      const peer = setup().peer();
      await peer.hello();

      peer.send('job.submit', { agent: 'echo', lease_constraints: { expires_at: expiresAt } });

      expect((await peer.next('job.error')).payload).toMatchObject({ code: 'INVALID_REQUEST' });
    },
  );

  test('given a lease that expired, when the agent tries an operation, the refusal is reported and then the job ends with LEASE_EXPIRED', async () => {
    const { alice, puppet, clock } = await start({ 'tool.call': ['*'] }, 10_000);
    await clock.advance(9_999);
    const before = puppet.job.authorize('tool.call', 'x');
    await clock.advance(1);
    const wasAlive = !puppet.job.signal.aborted;

    const refused = await puppet.job.callTool({ tool: 'x' }, () => 1);
    const ended = await alice.next('job.error');

    expect(before).toEqual({ isAllowed: true });
    expect(wasAlive).toBe(true);
    expect(refused).toMatchObject({ isOk: false, error: { code: 'LEASE_EXPIRED', retryable: false } });
    expect(ended.payload).toMatchObject({ code: 'LEASE_EXPIRED', final_status: 'error', retryable: false });
    expect(alice.sequenced().map((frame) => frame.payload['kind'] ?? frame.type)).toEqual([
      'tool_call',
      'tool_result',
      'job.error',
    ]);
  });

  test('given the wall clock is set back, when the lease’s time has passed, it is expired all the same', async () => {
    const { puppet, clock } = await start({ 'tool.call': ['*'] }, 10_000);
    clock.setWallTime(0);
    await clock.advance(10_000);

    expect(puppet.job.authorize('tool.call', 'x')).toMatchObject({ error: { code: 'LEASE_EXPIRED' } });
  });

  test('given a grace of one second, when asked within it, the lease still holds', async () => {
    const { puppet, clock } = await start({ 'tool.call': ['*'] }, 10_000, { leaseGraceMs: 1_000 });
    await clock.advance(10_999);

    expect(puppet.job.authorize('tool.call', 'x')).toEqual({ isAllowed: true });
    await clock.advance(1);
    expect(puppet.job.authorize('tool.call', 'x')).toMatchObject({ error: { code: 'LEASE_EXPIRED' } });
  });
});

describe('9.6 budget', () => {
  test('given three tenths, when a tenth and two tenths are spent, nothing is left and nothing is overspent', async () => {
    const { alice, puppet } = await start({ 'tool.call': ['*'], 'cost.budget': ['USD:0.3'] });

    await puppet.job.emit('metric', { name: 'cost.a', value: 0.1, unit: 'USD' });
    const between = puppet.job.authorize('tool.call', 'x');
    await puppet.job.emit('metric', { name: 'cost.b', value: 0.2, unit: 'USD' });
    await until(() => alice.sequenced().length === 4, 'four events');

    expect(between).toEqual({ isAllowed: true });
    expect(puppet.job.authorize('tool.call', 'x')).toMatchObject({
      error: { code: 'BUDGET_EXHAUSTED', retryable: false },
    });
    expect(remaining(alice)).toEqual([0.2, 0]);
    expect(puppet.job.signal.aborted).toBe(false);
  });

  test('given an exhausted budget, when a tool is called, the refusal is a tool_result and the agent can still end well', async () => {
    const { alice, puppet } = await start({ 'tool.call': ['*'], 'cost.budget': ['USD:1', 'credits:5'] });
    await puppet.job.emit('metric', { name: 'cost.a', value: 1.12, unit: 'USD' });

    const refused = await puppet.job.callTool({ tool: 'x' }, () => 1);
    puppet.end({ result: 'partial' });
    await alice.next('job.result');

    expect(refused).toMatchObject({ isOk: false, error: { code: 'BUDGET_EXHAUSTED' } });
    expect(remaining(alice)).toEqual([-0.12]);
  });

  test('given strange costs, when reported, they change nothing: negative, of another currency, without one, of another name', async () => {
    const { alice, puppet } = await start({ 'tool.call': ['*'], 'cost.budget': ['USD:1'] });

    await puppet.job.emit('metric', { name: 'cost.a', value: -5, unit: 'USD' });
    await puppet.job.emit('metric', { name: 'cost.a', value: 5, unit: 'EUR' });
    await puppet.job.emit('metric', { name: 'cost.a', value: 5 });
    await puppet.job.emit('metric', { name: 'price.a', value: 5, unit: 'USD' });
    await expect(
      puppet.job.emit('metric', { name: 'cost.budget.remaining', value: 9, unit: 'USD' }),
    ).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
    await until(() => alice.sequenced().length === 4, 'four events');

    expect(puppet.job.authorize('tool.call', 'x')).toEqual({ isAllowed: true });
    expect(remaining(alice)).toEqual([]);
  });

  test('given many small costs, when they add up, a metric comes at first, after each five per cent, and at zero', async () => {
    const { alice, puppet } = await start({ 'cost.budget': ['USD:1.00'] });

    for (let at = 0; at < 100; at += 1)
      await puppet.job.emit('metric', { name: 'cost.a', value: 0.01, unit: 'USD' });
    puppet.end();
    await alice.next('job.result');

    expect(remaining(alice)).toEqual([
      0.99,
      ...Array.from({ length: 19 }, (_, at) => Number((0.94 - at * 0.05).toFixed(2))),
      0,
    ]);
  });
});

describe('9.7 models', () => {
  test('given a lease with models, when another is asked for, it is PERMISSION_DENIED', async () => {
    const { puppet } = await start({ 'model.use': ['tier-fast/*', 'anthropic/claude-3-haiku-*'] });

    expect(puppet.job.authorize('model.use', 'tier-fast/mini')).toEqual({ isAllowed: true });
    expect(puppet.job.authorize('model.use', 'anthropic/claude-3-haiku-1')).toEqual({ isAllowed: true });
    expect(puppet.job.authorize('model.use', 'tier-slow/max')).toMatchObject({
      error: { code: 'PERMISSION_DENIED' },
    });
  });

  test('given a deployment that does not require it, when a lease names no models, every model may be used', async () => {
    const { puppet } = await start({}, undefined, { isModelLeaseRequired: false });

    expect(puppet.job.authorize('model.use', 'any/model')).toEqual({ isAllowed: true });
  });
});

describe('9.4 inclusion of globs', () => {
  test.for([
    ['/a/b', ['/a/*'], true],
    ['/a/*', ['/a/**'], true],
    ['/a/**', ['/a/*'], false],
    ['/a/**', ['/a/**'], true],
    ['/**', ['/a/**'], false],
    ['/a/*/c', ['/a/**'], true],
    ['/a/*x', ['/a/*'], true],
    ['/a/*', ['/a/*x', '/a/*y'], false],
    ['ab', ['a*', '*b'], true],
    ['*', ['a*', '*b'], false],
    ['/a/**/z', ['/a/**'], true],
    ['**', ['*'], false],
    ['x', [], false],
  ] as const)('given %s within %j, when decided, it is %s', ([child, parents, isIncluded]) => {
    expect(isGlobIncluded(globOf(child), parents.map(globOf))).toBe(isIncluded);
  });
});

function globOf(source: string): NonNullable<ReturnType<typeof compileGlob>> {
  const glob = compileGlob(source);
  if (glob === undefined) throw new Error(`Cannot compile "${source}"`);
  return glob;
}

interface Started {
  readonly alice: Peer;
  readonly puppet: Puppet;
  readonly clock: Bundle['clock'];
}

async function start(
  lease: object,
  expiresInMs?: number,
  options: Parameters<typeof setup>[0] = {},
): Promise<Started> {
  const bundle = setup(options);
  const alice = bundle.peer();
  await alice.hello();
  const constraints =
    expiresInMs === undefined
      ? {}
      : { lease_constraints: { expires_at: new Date(bundle.clock.nowMs() + expiresInMs).toISOString() } };
  const accepted = await alice.submit('puppet', null, { lease_request: lease, ...constraints });
  return { alice, puppet: await bundle.puppet(accepted.payload['job_id']), clock: bundle.clock };
}

function remaining(peer: Peer): readonly unknown[] {
  return peer
    .sequenced()
    .map((frame) => frame.payload['body'] as { readonly name?: string; readonly value?: number } | undefined)
    .filter((body) => body?.name === 'cost.budget.remaining')
    .map((body) => body?.value);
}
