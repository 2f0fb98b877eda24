/**
 * The draft as checks: black box, over any transport, for any runtime that offers three agents.
 * Invariant: a check talks to the runtime only through messages, and leaves nothing behind that another one sees.
 */
import { deepEqual, equal, match, notEqual, ok } from 'node:assert/strict';
import { createRealClock, type Clock } from '@conductor-run/clock';
import type { Transport } from '../transport.ts';
import { createProbe, type Probe, type ProbeFrame } from './probe.ts';

/** What the checks need of the runtime they test. */
export interface ConformanceTarget {
  /** Makes a connection that was not opened yet. */
  connect(): Transport;
  /** Two tokens of two principals. */
  readonly tokens: { readonly alice: string; readonly bob: string };
  /** Agents by what they do. */
  readonly agents: {
    /** Gives its input back as the result. */
    readonly echo: string;
    /** Emits `input.n` log events, then ends with `input.n`. */
    readonly count: string;
    /** Emits one event and then waits until it is cancelled. */
    readonly wait: string;
  };
  /** Milliseconds a check waits for a message. @defaultValue 5,000 */
  readonly deadlineMs?: number;
  /** Where time and timers come from. @defaultValue the real clock */
  readonly clock?: Clock;
}

/** One check. */
export interface ConformanceCheck {
  /** The section of the draft. */
  readonly section: string;
  /** What must hold. */
  readonly title: string;
  /** Rejects with what did not hold. */
  run(target: ConformanceTarget): Promise<void>;
}

/** Every check, by section. Run each with any test framework: `for (const check of conformanceChecks) test(check.title, () => check.run(target))`. */
export const conformanceChecks: readonly ConformanceCheck[] = [
  check('5', 'unknown top-level fields are ignored', async ({ alice }) => {
    alice.send('session.ping', { nonce: 'n', sent_at: '2026-05-13T19:42:13.000Z' }, { 'x-future': { a: 1 } });
    equal((await alice.next('session.pong')).fields['ping_nonce'], 'n');
  }),
  check('5', 'what is no message is INVALID_REQUEST and the session goes on', async ({ alice, target }) => {
    alice.raw('{"arcp":');
    equal((await alice.next('session.error')).fields['code'], 'INVALID_REQUEST');
    await alice.submit(target.agents.echo);
  }),
  check('6.1', 'a wrong token is UNAUTHENTICATED', async ({ stranger }) => {
    stranger.send('session.hello', {
      client: { name: 'c', version: '1' },
      auth: { scheme: 'bearer', token: 'certainly-not-a-token' },
    });
    equal((await stranger.next('session.error')).fields['code'], 'UNAUTHENTICATED');
  }),
  check(
    '6.2',
    'the welcome carries session, resume token, window, features and agents with versions',
    async ({ welcome }) => {
      ok(welcome.session_id);
      equal(typeof welcome.fields['resume_token'], 'string');
      equal(typeof welcome.fields['resume_window_sec'], 'number');
      const capabilities = welcome.fields['capabilities'] as {
        readonly features: unknown[];
        readonly agents: object[];
      };
      ok(capabilities.features.includes('heartbeat'));
      ok(capabilities.agents.every((agent) => 'name' in agent && 'versions' in agent));
    },
  ),
  check(
    '6.3',
    'a resumed session gets what it missed, in order, once, and a new token',
    async ({ alice, welcome, target, open }) => {
      alice.send('job.submit', { agent: target.agents.count, input: { n: 20 } });
      await alice.next('job.event', (frame) => frame.event_seq === 5);
      alice.drop();
      await alice.ended();
      const second = open();
      const again = await second.hello(target.tokens.alice, { resume: resumeOf(welcome, 5) });
      await second.next('job.result');
      isRun(seqs(second), 6);
      equal(again.session_id, welcome.session_id);
      notEqual(again.fields['resume_token'], welcome.fields['resume_token']);
    },
  ),
  check(
    '6.3',
    'another principal cannot resume a session, token or not',
    async ({ welcome, target, stranger }) => {
      stranger.send('session.hello', {
        client: { name: 'c', version: '1' },
        auth: { scheme: 'bearer', token: target.tokens.bob },
        resume: resumeOf(welcome, 0),
      });
      equal((await stranger.next('session.error')).fields['code'], 'RESUME_WINDOW_EXPIRED');
    },
  ),
  check('6.4', 'a ping is answered with its nonce and without event_seq', async ({ alice }) => {
    alice.send('session.ping', { nonce: 'p1', sent_at: '2026-05-13T19:42:13.000Z' });
    const pong = await alice.next('session.pong');
    equal(pong.fields['ping_nonce'], 'p1');
    equal(pong.event_seq, undefined);
  }),
  check(
    '6.6',
    'a list shows the principal’s own jobs alone and answers its request',
    async ({ alice, bob, target }) => {
      const jobId = await alice.submit(target.agents.echo);
      const id = alice.send('session.list_jobs', { limit: 1_000 });
      const mine = await alice.next('session.jobs');
      equal(mine.fields['request_id'], id);
      ok(JSON.stringify(mine.payload).includes(jobId));
      bob.send('session.list_jobs', { limit: 1_000 });
      ok(!JSON.stringify((await bob.next('session.jobs')).payload).includes(jobId));
    },
  ),
  check('6.7', 'close is acknowledged and jobs run on', async ({ alice, welcome, target, open }) => {
    await alice.submit(target.agents.wait);
    alice.send('session.close', {});
    await alice.next('session.closed');
    await alice.ended();
    const second = open();
    await second.hello(target.tokens.alice, { resume: resumeOf(welcome, 0) });
    await second.next('job.event');
  }),
  check(
    '7.1',
    'job.accepted has no event_seq and echoes lease, constraints and budget',
    async ({ alice, target }) => {
      const expiresAt = new Date((target.clock ?? createRealClock()).nowMs() + 60_000).toISOString();
      alice.send('job.submit', {
        agent: target.agents.echo,
        input: 1,
        lease_request: { 'fs.read': ['/w/**'], 'cost.budget': ['USD:5.00'] },
        lease_constraints: { expires_at: expiresAt },
      });
      const accepted = await alice.next('job.accepted');
      equal(accepted.event_seq, undefined);
      deepEqual(accepted.fields['budget'], { USD: 5 });
      deepEqual(accepted.fields['lease_constraints'], { expires_at: expiresAt });
      match(String(accepted.fields['agent']), /@/);
    },
  ),
  check(
    '7.2',
    'a key gives the same job.accepted again, and DUPLICATE_KEY with other parameters',
    async ({ alice, target, unique }) => {
      const submit = { agent: target.agents.echo, input: 1, idempotency_key: unique };
      alice.send('job.submit', submit);
      const first = await alice.next('job.accepted');
      alice.send('job.submit', submit);
      deepEqual((await alice.next('job.accepted')).payload, first.payload);
      alice.send('job.submit', { ...submit, input: 2 });
      const refused = await alice.next('job.error', (frame) => frame.fields['code'] === 'DUPLICATE_KEY');
      equal(refused.fields['final_status'], 'error');
    },
  ),
  check('7.3', 'a job ends once, and nothing of it follows', async ({ alice, target }) => {
    alice.send('job.submit', { agent: target.agents.count, input: { n: 3 } });
    const result = await alice.next('job.result');
    alice.send('session.ping', { nonce: 'n', sent_at: '2026-05-13T19:42:13.000Z' });
    await alice.next('session.pong');
    equal(
      alice.frames.findLast((frame) => frame.event_seq !== undefined),
      result,
    );
  }),
  check('7.3', 'max_runtime_sec ends a job with TIMEOUT', async ({ alice, target }) => {
    await alice.submit(target.agents.wait, { max_runtime_sec: 1 });
    const ended = await alice.next('job.error');
    equal(ended.fields['code'], 'TIMEOUT');
    equal(ended.fields['final_status'], 'timed_out');
  }),
  check(
    '7.4',
    'a cancel is acknowledged and ends the job with CANCELLED; another session may not',
    async ({ alice, bob, target }) => {
      const jobId = await alice.submit(target.agents.wait);
      bob.send('job.cancel', { job_id: jobId }, { job_id: jobId });
      ok(await bob.next('session.error'));
      alice.send('job.cancel', { job_id: jobId }, { job_id: jobId });
      equal((await alice.next('job.cancelled')).job_id, jobId);
      const ended = await alice.next('job.error');
      equal(ended.fields['code'], 'CANCELLED');
      equal(ended.fields['final_status'], 'cancelled');
    },
  ),
  check('7.5', 'an unknown agent and an unknown version have their own codes', async ({ alice, target }) => {
    alice.send('job.submit', { agent: 'no-such-agent-here' });
    equal((await alice.next('job.error')).fields['code'], 'AGENT_NOT_AVAILABLE');
    alice.send('job.submit', { agent: `${target.agents.echo.split('@')[0] ?? ''}@no-such-version` });
    equal((await alice.next('job.error')).fields['code'], 'AGENT_VERSION_NOT_AVAILABLE');
  }),
  check(
    '7.6',
    'a subscriber gets history and the end in its own gap-free numbers',
    async ({ alice, target, open }) => {
      const jobId = await alice.submit(target.agents.count, { input: { n: 5 } });
      await alice.next('job.result');
      const dashboard = open();
      await dashboard.hello(target.tokens.alice);
      dashboard.send('job.subscribe', { job_id: jobId, history: true, from_event_seq: 0 });
      equal((await dashboard.next('job.subscribed')).fields['job_id'], jobId);
      await dashboard.next('job.result');
      isRun(seqs(dashboard), 1);
    },
  ),
  check(
    '7.6',
    'another principal’s job and no job at all are refused alike',
    async ({ alice, bob, target }) => {
      const jobId = await alice.submit(target.agents.wait);
      bob.send('job.subscribe', { job_id: jobId });
      const theirs = await bob.next('session.error');
      bob.send('job.subscribe', { job_id: 'job_none' });
      equal((await bob.next('session.error')).fields['code'], theirs.fields['code']);
    },
  ),
  check('8.3', 'event_seq is gap-free from 1 over all jobs of a session', async ({ alice, target }) => {
    for (let at = 0; at < 5; at += 1)
      alice.send('job.submit', { agent: target.agents.count, input: { n: 10 } });
    for (let at = 0; at < 5; at += 1) await alice.next('job.result');
    isRun(seqs(alice), 1);
  }),
  check('9.5', 'an end in the past, or without Z, is INVALID_REQUEST', async ({ alice, target }) => {
    for (const expiresAt of ['2020-01-01T00:00:00Z', '2099-01-01T00:00:00+01:00']) {
      alice.send('job.submit', { agent: target.agents.echo, lease_constraints: { expires_at: expiresAt } });
      equal((await alice.next('job.error')).fields['code'], 'INVALID_REQUEST');
    }
  }),
  check('9.6', 'an amount that is none is INVALID_REQUEST', async ({ alice, target }) => {
    alice.send('job.submit', { agent: target.agents.echo, lease_request: { 'cost.budget': ['USD:-1'] } });
    equal((await alice.next('job.error')).fields['code'], 'INVALID_REQUEST');
  }),
  check('11', 'a job’s messages carry the trace they were submitted with', async ({ alice, target }) => {
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
    alice.send('job.submit', { agent: target.agents.echo, input: 1 }, { trace_id: traceId });
    equal((await alice.next('job.accepted')).trace_id, traceId);
    equal((await alice.next('job.result')).trace_id, traceId);
  }),
  check('12', 'every error carries a boolean retryable', async ({ alice }) => {
    alice.send('no.such.type', {});
    equal(typeof (await alice.next('session.error')).fields['retryable'], 'boolean');
  }),
];

/** What a check works with; every connection is dropped afterwards. */
interface Scene {
  readonly target: ConformanceTarget;
  readonly alice: Probe;
  readonly welcome: ProbeFrame;
  readonly bob: Probe;
  readonly stranger: Probe;
  readonly unique: string;
  readonly open: () => Probe;
}

function check(section: string, title: string, body: (scene: Scene) => Promise<void>): ConformanceCheck {
  return {
    section,
    title,
    async run(target) {
      const clock = target.clock ?? createRealClock();
      const probes: Probe[] = [];
      const open = (): Probe => {
        const probe = createProbe(target.connect(), clock, target.deadlineMs ?? 5_000);
        probes.push(probe);
        return probe;
      };
      try {
        const alice = open();
        const welcome = await alice.hello(target.tokens.alice);
        const bob = open();
        await bob.hello(target.tokens.bob);
        const unique = `${welcome.session_id ?? ''}-key`;
        await body({ target, alice, welcome, bob, stranger: open(), unique, open });
      } finally {
        for (const probe of probes) probe.drop();
      }
    },
  };
}

function resumeOf(welcome: ProbeFrame, lastEventSeq: number): object {
  return {
    session_id: welcome.session_id,
    resume_token: welcome.fields['resume_token'],
    last_event_seq: lastEventSeq,
  };
}

function seqs(probe: Probe): readonly number[] {
  return probe.frames.flatMap((frame) => (frame.event_seq === undefined ? [] : [frame.event_seq]));
}

/** Numbers without a gap and without a duplicate. How many there are is the runtime's affair: it may add events of its own. */
function isRun(numbers: readonly number[], first: number): void {
  ok(numbers.length > 1);
  deepEqual(
    numbers,
    numbers.map((_, at) => first + at),
  );
}
