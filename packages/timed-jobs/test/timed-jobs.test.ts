import { describe, expect, test } from 'vitest';
import {
  createTimedJobs,
  type RunContext,
  type Runner,
  type TickConfig,
  TimedJobsError,
} from '@conductor-run/timed-jobs';
import { createLatch, createTestGate, LEADERSHIP, loggerSpy, manualClock } from './fixtures/setup.ts';

function setup(config: Partial<TickConfig> = {}) {
  const clock = manualClock();
  const gate = createTestGate();
  const logger = loggerSpy();
  const jobs = createTimedJobs({ config, gate, clock, logger });
  return { clock, gate, logger, jobs };
}

class Unreadable extends Error {
  override get message(): string {
    return throwUnreadable();
  }
}

function throwUnreadable(): never {
  throw new Error('cannot be read');
}

/** A runner as from a file that no compiler saw. */
function uncheckedRunner(answer: unknown): Runner {
  const fields: object = { run: () => answer };
  return { name: 'odd', run: () => 'idle', ...fields };
}

describe('config', () => {
  test('given no settings, when read, they are the defaults, and a copy', () => {
    const { jobs } = setup();

    const config = jobs.config();
    Object.assign(config, { intervalMs: 1 });

    expect(jobs.config()).toEqual({
      intervalMs: 10_000,
      maxMessagesPerTick: 10,
      maxTasksPerTick: 10,
      settleDelayMs: 10_000,
      autoStart: true,
    });
  });

  test.for([
    ['intervalMs', 0],
    ['intervalMs', 1.5],
    ['intervalMs', Number.NaN],
    ['maxMessagesPerTick', 0],
    ['maxTasksPerTick', -1],
    ['settleDelayMs', -1],
    ['settleDelayMs', Infinity],
  ] as const)('given %s of %s, when created, it is refused by name', ([setting, value]) => {
    expect(() => setup({ [setting]: value })).toThrow(
      new RegExp(`^Cannot create timed jobs: ${setting} is "${value}"`),
    );
  });

  test('given an autoStart that is no boolean, as from an unchecked file, when created, it is refused by name', () => {
    const config: object = { autoStart: 'no' };

    expect(() => setup(config)).toThrow(/^Cannot create timed jobs: autoStart is "no"/);
  });

  test('given a retention of 0 days, when created, it is refused by name', () => {
    expect(() => createTimedJobs({ gate: createTestGate(), logRetentionDays: 0 })).toThrow(
      /logRetentionDays is "0"/,
    );
  });

  test('given a settle delay of 0, when created, it is accepted', () => {
    expect(setup({ settleDelayMs: 0 }).jobs.config().settleDelayMs).toBe(0);
  });
});

describe('registerRunner', () => {
  test('given names with blanks around, when listed, they are trimmed and in order', () => {
    const { jobs } = setup();

    jobs.registerRunner({ name: ' reaper ', run: () => 'idle' });
    jobs.registerRunner({ name: 'scheduler', run: () => 'idle' });

    expect(jobs.runnerNames()).toEqual(['reaper', 'scheduler']);
  });

  test('given a name in use, when registered again, it is refused and the first stays', () => {
    const { jobs } = setup();
    jobs.registerRunner({ name: 'reaper', run: () => 'idle' });

    expect(() => jobs.registerRunner({ name: 'reaper ', run: () => 'idle' })).toThrow(
      expect.objectContaining({ code: 'duplicate-runner' }),
    );
    expect(jobs.runnerNames()).toEqual(['reaper']);
  });

  test.for([
    [{ name: '  ' }, /name is empty/],
    [{ name: 'a', timeoutMs: 0 }, /timeoutMs is "0"/],
    [{ name: 'a', timeoutMs: 0.5 }, /timeoutMs is "0.5"/],
    [{ name: 'a', everyTicks: 0 }, /everyTicks is "0"/],
  ] as const)('given %o, when registered, it is refused', ([settings, message]) => {
    const { jobs } = setup();

    expect(() => jobs.registerRunner({ ...settings, run: () => 'idle' })).toThrow(message);
    expect(jobs.runnerNames()).toEqual([]);
  });
});

describe('runTick', () => {
  test('given no runners, when ticked, it is skipped', async () => {
    const { jobs } = setup();

    expect(await jobs.runTick('manual')).toMatchObject({
      decision: 'skipped_no_runners',
      runnerCount: 0,
      failedRunnerCount: 0,
    });
  });

  test('given two runners, when ticked, they run in order with the leadership and the limits', async () => {
    const clock = manualClock();
    const services = { store: 'the store' };
    const jobs = createTimedJobs({
      config: { maxTasksPerTick: 3, settleDelayMs: 5 },
      gate: createTestGate(),
      clock,
      services,
    });
    const contexts: RunContext<typeof services>[] = [];
    jobs.registerRunner({ name: 'one', run: (context) => void contexts.push(context) });
    jobs.registerRunner({ name: 'two', run: (context) => void contexts.push(context) });

    const result = await jobs.runTick('manual');

    expect(result).toMatchObject({ decision: 'scheduled', runnerCount: 2, failedRunnerCount: 0 });
    expect(contexts).toHaveLength(2);
    expect(contexts[0]).toMatchObject({
      ...LEADERSHIP,
      batchId: result.batchId,
      trigger: 'manual',
      maxMessagesPerTick: 10,
      maxTasksPerTick: 3,
      settleDelayMs: 5,
      services,
      logDir: undefined,
    });
  });

  test('given a tick in flight, when ticked again, the second is skipped as busy', async () => {
    const { jobs } = setup();
    const latch = createLatch();
    jobs.registerRunner({ name: 'slow', run: () => latch.opened.then(() => 'idle' as const) });

    const first = jobs.runTick('manual');
    const second = await jobs.runTick('interval');
    latch.open();

    expect(second).toMatchObject({ decision: 'skipped_busy', runnerCount: 0 });
    expect(await first).toMatchObject({ decision: 'scheduled', runnerCount: 1 });
    expect(second.batchId).not.toBe((await first).batchId);
  });

  test.for(['skipped_not_leader', 'skipped_system_paused'] as const)(
    'given a gate that says %s, when ticked, no runner runs',
    async (answer) => {
      const { jobs, gate } = setup();
      gate.answer = answer;
      let runCount = 0;
      jobs.registerRunner({ name: 'one', run: () => void runCount++ });

      expect(await jobs.runTick('manual')).toMatchObject({ decision: answer, runnerCount: 0 });
      expect(runCount).toBe(0);
    },
  );

  test('given a gate that throws, when ticked, the tick is failed and the next one works', async () => {
    const { jobs, gate, logger } = setup();
    jobs.registerRunner({ name: 'one', run: () => 'idle' });
    gate.answer = new Error('store is away');

    const failed = await jobs.runTick('manual');
    gate.answer = 'scheduled';

    expect(failed).toMatchObject({ decision: 'failed', runnerCount: 0 });
    expect(logger.entries).toMatchObject([{ level: 'error', message: 'tick.failed' }]);
    expect(await jobs.runTick('manual')).toMatchObject({ decision: 'scheduled' });
  });

  test('given a gate that says scheduled without calling its work, when ticked, the tick is failed', async () => {
    const logger = loggerSpy();
    const gate = { schedule: () => Promise.resolve({ decision: 'scheduled' } as const) };
    const jobs = createTimedJobs({ gate, clock: manualClock(), logger });
    jobs.registerRunner({ name: 'one', run: () => 'idle' });

    expect(await jobs.runTick('manual')).toMatchObject({ decision: 'failed' });
    expect(logger.entries[0]?.fields['err']).toMatchObject({ code: 'gate-contract' });
  });

  test('given a gate that calls its work twice, when ticked, runners run once and the tick is failed', async () => {
    let runCount = 0;
    const jobs = createTimedJobs({
      gate: {
        async schedule(work) {
          await work(LEADERSHIP);
          await work(LEADERSHIP);
          return { decision: 'scheduled' };
        },
      },
      clock: manualClock(),
    });
    jobs.registerRunner({ name: 'one', run: () => void runCount++ });

    expect(await jobs.runTick('manual')).toMatchObject({ decision: 'failed', runnerCount: 1 });
    expect(runCount).toBe(1);
  });

  test('given runners that throw, reject and hang, when ticked, the others still run', async () => {
    const { jobs, clock, logger } = setup();
    let lastRan = false;
    jobs.registerRunner({
      name: 'throws',
      run: () => {
        throw new Error('sync');
      },
    });
    jobs.registerRunner({ name: 'rejects', run: () => Promise.reject(new Error('async')) });
    jobs.registerRunner({ name: 'hangs', timeoutMs: 1_000, run: () => new Promise(() => {}) });
    jobs.registerRunner({ name: 'works', run: () => void (lastRan = true) });

    const tick = jobs.runTick('manual');
    await clock.advance(1_000);

    expect(await tick).toMatchObject({ decision: 'scheduled', runnerCount: 4, failedRunnerCount: 3 });
    expect(lastRan).toBe(true);
    expect(logger.entries.map(({ fields }) => fields['runner'])).toEqual(['throws', 'rejects', 'hangs']);
    expect(logger.entries[2]?.fields['err']).toMatchObject({ code: 'runner-timeout' });
  });

  test.for([
    ['nothing with a text form', Object.create(null)],
    ['an error whose message cannot be read', new Unreadable()],
    ['an error whose stack is a symbol', Object.assign(new Error('odd'), { stack: Symbol('stack') })],
  ])(
    'given a runner that throws %s, when ticked, the failure is recorded and the others run',
    async ([, thrown]) => {
      const { jobs, logger } = setup();
      const ran: string[] = [];
      jobs.registerRunner({ name: 'throws', run: () => Promise.reject(thrown) });
      jobs.registerRunner({ name: 'works', run: () => void ran.push('works') });

      expect(await jobs.runTick('manual')).toMatchObject({ runnerCount: 2, failedRunnerCount: 1 });
      expect(ran).toEqual(['works']);
      expect(logger.entries).toMatchObject([{ message: 'runner.failed', fields: { runner: 'throws' } }]);
      expect(String(logger.entries[0]?.fields['err'])).toContain('Something that cannot be shown as text');
    },
  );

  test.for([
    ['null', null],
    ['a word that is no result', 'done'],
    ['an object without a result', {}],
    ['details that are no object', { result: 'worked', details: 'many' }],
    ['a result that cannot be read', Object.defineProperty({}, 'result', { get: throwUnreadable })],
  ])('given a runner that answers %s, when ticked, it failed and the others run', async ([, answer]) => {
    const { jobs, logger } = setup();
    const ran: string[] = [];
    jobs.registerRunner(uncheckedRunner(answer));
    jobs.registerRunner({ name: 'works', run: () => void ran.push('works') });

    const result = await jobs.runTick('manual');

    expect(result).toMatchObject({ decision: 'scheduled', runnerCount: 2, failedRunnerCount: 1 });
    expect(ran).toEqual(['works']);
    expect(logger.entries).toMatchObject([{ message: 'runner.failed', fields: { runner: 'odd' } }]);
  });

  test('given a runner that timed out and goes on, when ticked again, it is not run beside itself', async () => {
    const { jobs, clock } = setup();
    const latch = createLatch();
    let runCount = 0;
    jobs.registerRunner({
      name: 'slow',
      timeoutMs: 1_000,
      run: async () => {
        runCount += 1;
        await latch.opened;
      },
    });
    const first = jobs.runTick('manual');
    await clock.advance(1_000);
    await first;

    const second = await jobs.runTick('manual');
    latch.open();
    await clock.advance(0);
    const third = await jobs.runTick('manual');

    expect(second).toMatchObject({ decision: 'scheduled', runnerCount: 0 });
    expect(third).toMatchObject({ decision: 'scheduled', runnerCount: 1 });
    expect(runCount).toBe(2);
  });

  test('given leadership that ends while a runner runs, when its signal aborts, the runner is cut off and the rest skipped', async () => {
    const { jobs, gate } = setup();
    const leadership = new AbortController();
    gate.leadership = { ...LEADERSHIP, signal: leadership.signal };
    const latch = createLatch();
    let reason: unknown;
    let secondRan = false;
    jobs.registerRunner({
      name: 'one',
      run: ({ signal }) => {
        latch.open();
        return new Promise((resolve) => {
          signal.addEventListener('abort', () => {
            reason = signal.reason;
            resolve(undefined);
          });
        });
      },
    });
    jobs.registerRunner({ name: 'two', run: () => void (secondRan = true) });

    const tick = jobs.runTick('manual');
    await latch.opened;
    leadership.abort(new Error('lease lost'));

    expect(await tick).toMatchObject({ decision: 'scheduled', runnerCount: 1, failedRunnerCount: 1 });
    expect(reason).toBeInstanceOf(TimedJobsError);
    expect(reason).toMatchObject({ code: 'runner-aborted', cause: { message: 'lease lost' } });
    expect(secondRan).toBe(false);
  });
});

describe('stop', () => {
  test('given nothing was started, when stopped twice, it resolves', async () => {
    const { jobs } = setup();

    expect(await jobs.stop()).toEqual({ abandonedRunners: [] });
    expect(await jobs.stop()).toEqual({ abandonedRunners: [] });
    expect(jobs.isStarted()).toBe(false);
  });

  test('given a tick in flight, when stopped, it drains and leaves no timer', async () => {
    const { jobs, clock } = setup();
    const latch = createLatch();
    let hasEnded = false;
    jobs.registerRunner({
      name: 'slow',
      run: async () => {
        await latch.opened;
        hasEnded = true;
      },
    });
    jobs.start();
    await clock.advance(0);

    const stopped = jobs.stop({ graceMs: 60_000 });
    await clock.advance(30_000);
    expect(hasEnded).toBe(false);
    latch.open();

    expect(await stopped).toEqual({ abandonedRunners: [] });
    expect(hasEnded).toBe(true);
    expect(clock.pendingTimers()).toBe(0);
  });

  test('given a runner that heeds its signal, when grace is over, it is aborted and nothing is abandoned', async () => {
    const { jobs, clock } = setup();
    jobs.registerRunner({
      name: 'cooperative',
      run: ({ signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new Error('stopping')));
        }),
    });
    jobs.start();
    await clock.advance(0);

    const stopped = jobs.stop({ graceMs: 1_000 });
    await clock.advance(1_000);

    expect(await stopped).toEqual({ abandonedRunners: [] });
    expect(clock.pendingTimers()).toBe(0);
  });

  test('given a runner that needs half a second to unwind, when it is aborted, stop waits for it', async () => {
    const { jobs, clock } = setup();
    let isUnwound = false;
    jobs.registerRunner({
      name: 'tidy',
      async run({ signal }) {
        await clock.sleep(60_000, { signal }).catch(() => clock.sleep(500));
        isUnwound = true;
      },
    });
    jobs.start();
    await clock.advance(0);

    const stopped = jobs.stop({ graceMs: 0 });
    await clock.advance(500);

    expect(await stopped).toEqual({ abandonedRunners: [] });
    expect(isUnwound).toBe(true);
    expect(clock.pendingTimers()).toBe(0);
  });

  test('given a runner and a gate that never settle, when grace is over, stop returns and names the runner', async () => {
    const { jobs, clock } = setup();
    jobs.registerRunner({ name: 'deaf', run: () => new Promise(() => {}) });
    jobs.start();
    await clock.advance(0);

    const stopped = jobs.stop({ graceMs: 0 });
    await clock.advance(5_000);

    expect(await stopped).toEqual({ abandonedRunners: ['deaf'] });
    expect(clock.pendingTimers()).toBe(0);
  });

  test('given a gate that hangs, when stopped, its late call of the work runs nothing', async () => {
    const clock = manualClock();
    const latch = createLatch();
    let runCount = 0;
    let refusal: unknown;
    const jobs = createTimedJobs({
      gate: {
        async schedule(work) {
          await latch.opened;
          await work(LEADERSHIP).catch((error: unknown) => {
            refusal = error;
          });
          return { decision: 'scheduled' };
        },
      },
      clock,
    });
    jobs.registerRunner({ name: 'one', run: () => void runCount++ });
    jobs.start();
    await clock.advance(0);

    const stopped = jobs.stop({ graceMs: 0 });
    await clock.advance(0);
    await stopped;
    latch.open();
    await clock.advance(0);

    expect(runCount).toBe(0);
    expect(refusal).toMatchObject({ code: 'gate-contract' });
  });

  test('given a long grace, when stopped again with none, the second call cuts the tick off', async () => {
    const { jobs, clock } = setup();
    jobs.registerRunner({
      name: 'slow',
      run: ({ signal }) =>
        new Promise((resolve) => {
          signal.addEventListener('abort', () => resolve(undefined));
        }),
    });
    jobs.start();
    await clock.advance(0);

    const patient = jobs.stop({ graceMs: Infinity });
    const hasty = jobs.stop({ graceMs: 0 });
    await clock.advance(0);

    expect(await Promise.all([patient, hasty])).toEqual([{ abandonedRunners: [] }, { abandonedRunners: [] }]);
    expect(clock.pendingTimers()).toBe(0);
  });

  test('given a negative grace, when stopped, it is refused and the loop goes on', async () => {
    const { jobs, clock } = setup();
    let runCount = 0;
    jobs.registerRunner({ name: 'one', run: () => void runCount++ });
    jobs.start();

    await expect(jobs.stop({ graceMs: -1 })).rejects.toThrow(RangeError);
    await clock.advance(10_000);

    expect(runCount).toBe(2);
    await jobs.stop();
  });

  test('given a stopped framework, when started again, it ticks again', async () => {
    const { jobs, clock } = setup();
    let runCount = 0;
    jobs.registerRunner({ name: 'one', run: () => void runCount++ });
    jobs.start();
    await clock.advance(0);
    await jobs.stop();

    await clock.advance(60_000);
    expect(runCount).toBe(1);
    jobs.start();
    await clock.advance(10_000);
    await jobs.stop();

    expect(runCount).toBe(3);
  });
});
