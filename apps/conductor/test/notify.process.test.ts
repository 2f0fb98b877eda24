import { describe, expect, test } from 'vitest';

import { linesOf, logOf, TIMES } from './fixtures/daemon.ts';
import { createReceiver } from './fixtures/receiver.ts';
import { createScratch, type Scratch, until } from './fixtures/scratch.ts';

interface Told {
  readonly event: string;
  readonly attempt: number;
  readonly summary: string;
}

/** What the hook `cat >> told.log` got. */
function told(scratch: Scratch): readonly Told[] {
  return linesOf(scratch, 'told.log').map((line) => JSON.parse(line) as Told);
}

const HOOK = 'notify: { on: [failed, recovered, blocked, lost], command: "cat >> told.log" }';

describe('notify', () => {
  test('given a job that asks for successes and its last failure alone, it hears of those, and every notification says whether it is tried again', async () => {
    const words = '[succeeded, exhausted]';
    const retry = 'retry: { max: 1, delay: 0s }';
    const scratch = createScratch({
      'conductor.yaml': `${TIMES}jobs:
  last: { command: test -e good, ${retry}, notify: { on: ${words}, command: "cat >> told.log" } }
  each: { command: exit 3, ${retry}, notify: { on: [failed], command: "cat >> each.log" } }
`,
    });
    scratch.start('start');
    await scratch.conductor('enqueue', 'last');
    await scratch.conductor('enqueue', 'each');
    await until('it is told of the last failure', () => told(scratch).length === 1);
    await until('the other is told of both', () => linesOf(scratch, 'each.log').length === 2);
    scratch.write({ good: '' });
    await scratch.conductor('enqueue', 'last');
    await until('it is told of the success', () => told(scratch).length === 2);

    expect(told(scratch)).toMatchObject([
      { event: 'exhausted', attempt: 2, willRetry: false, retriesLeft: 0 },
      { event: 'succeeded', attempt: 3, willRetry: false, retriesLeft: 1 },
    ]);
    expect(linesOf(scratch, 'each.log').map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { event: 'failed', attempt: 1, willRetry: true, retriesLeft: 0 },
      { event: 'failed', attempt: 2, willRetry: false, retriesLeft: 0 },
    ]);
  });

  test('given a hook that hangs, the hooks of other jobs are told meanwhile, and the daemon stops all the same', async () => {
    const scratch = createScratch({
      'conductor.yaml': `${TIMES}jobs:
  stuck: { command: exit 3, notify: { on: [failed], command: "sleep 100" } }
  other: { command: exit 3, notify: { on: [failed], command: "cat >> told.log" } }
`,
    });
    const daemon = scratch.start('start');
    for (const key of ['a', 'b', 'c']) await scratch.conductor('enqueue', 'stuck', '--key', key);
    await until('they have failed', () => logOf(scratch, 'job.recorded').length === 3);
    await scratch.conductor('enqueue', 'other');
    await until('the other is told', () => told(scratch).length === 1);
    expect(logOf(scratch, 'notification.failed')).toEqual([]);

    daemon.child.kill('SIGTERM');

    expect((await daemon.ended).exitCode).toBe(0);
    expect(logOf(scratch, 'notification.failed')).toHaveLength(3);
  });

  test('given a job that fails and then succeeds, its hook is told of both, and a success after a success goes without saying', async () => {
    const scratch = createScratch({
      'conductor.yaml': `${TIMES}jobs:\n  flaky: { command: test -e good, ${HOOK} }\n`,
    });
    scratch.start('start');
    await scratch.conductor('enqueue', 'flaky');
    await until('it is told of the failure', () => told(scratch).length === 1);
    scratch.write({ good: '' });
    await scratch.conductor('enqueue', 'flaky');
    await until('it is told of the recovery', () => told(scratch).length === 2);
    await scratch.conductor('enqueue', 'flaky');
    await until('the third attempt is recorded', () => logOf(scratch, 'job.recorded').length === 3);

    expect(told(scratch)).toMatchObject([
      { event: 'failed', attempt: 1, summary: 'Failed with exit code 1' },
      { event: 'recovered', attempt: 2 },
    ]);
  });

  test('given a webhook nobody answers, the job is recorded all the same, and stopping the daemon logs the loss', async () => {
    const scratch = createScratch({
      'conductor.yaml': `${TIMES}jobs:
  bad:
    command: exit 3
    env: { set: { HOOK_SECRET: a shared secret } }
    notify: { on: [failed], webhook: { url: "http://127.0.0.1:1/", secretEnv: HOOK_SECRET } }
`,
    });
    await scratch.conductor('enqueue', 'bad');

    const { exitCode, stdout } = await scratch.conductor('start', '--run-once');

    expect(exitCode).toBe(1);
    expect(stdout).toContain('Failed with exit code 3');
    expect(logOf(scratch, 'notification.failed')).toHaveLength(1);
  });

  test('given a webhook, a failed job reaches it', async () => {
    const { url, received } = await createReceiver();
    const scratch = createScratch({
      'conductor.yaml': `${TIMES}jobs:
  bad:
    command: exit 3
    env: { set: { HOOK_SECRET: a shared secret } }
    notify: { on: [failed], webhook: { url: "${url}", secretEnv: HOOK_SECRET } }
`,
    });
    await scratch.conductor('enqueue', 'bad');

    await scratch.conductor('start', '--run-once');

    expect(received.map(({ headers }) => headers['conductor-event'])).toEqual(['failed']);
  });

  test('given a job whose owner died for good, the leader tells that it is lost, once', async () => {
    const scratch = createScratch({
      'conductor.yaml': `${TIMES}jobs:\n  gone: { command: "while [ ! -e go ]; do sleep 0.05; done", ${HOOK} }\n`,
    });
    const owner = scratch.start('run', 'gone');
    await until('it runs', async () => (await scratch.conductor('why', 'gone')).stdout.includes('runs on'));
    owner.child.kill('SIGKILL');
    const one = scratch.start('start', '--node-id', 'one');
    await until('it is told', () => told(scratch).length > 0);
    scratch.write({ go: '' });
    one.child.kill('SIGTERM');
    await one.ended;
    scratch.start('start', '--node-id', 'two');
    await until('the next leader has ticked', async () =>
      (await scratch.conductor('leader')).stdout.includes('leads, term 2'),
    );
    await scratch.conductor('enqueue', 'gone');
    await until('it is told that it went well', () => told(scratch).length > 1);

    expect(told(scratch)).toMatchObject([
      { event: 'lost', attempt: 1 },
      { event: 'recovered', attempt: 2 },
    ]);
  });

  test('given a webhook whose secret has no value, the daemon refuses to start and says which', async () => {
    const scratch = createScratch({
      'conductor.yaml': `jobs:\n  a: { command: x, notify: { on: [failed], webhook: { url: "http://h/", secretEnv: NO_SUCH } } }\n`,
    });

    const { exitCode, stderr } = await scratch.conductor('start', '--run-once');

    expect(exitCode).toBe(2);
    expect(stderr).toContain('the variable NO_SUCH has no value');
  });
});

describe('notify after a restart', () => {
  test('given an attempt after a lost one, a daemon that adopts it does not tell of the loss again, and tells how it ends', async () => {
    const scratch = createScratch({
      'conductor.yaml': `${TIMES}jobs:\n  slow: { command: "while [ ! -e go ]; do sleep 0.05; done", retry: { max: 3 }, ${HOOK} }\n`,
    });
    const owner = scratch.start('run', 'slow');
    await until('it runs', async () => (await scratch.conductor('why', 'slow')).stdout.includes('runs on'));
    owner.child.kill('SIGKILL');
    const first = scratch.start('start', '--node-id', 'n');
    await until('it is told that it was lost', () => told(scratch).length === 1);
    await until('its step runs again', () => logOf(scratch, 'step.started').length === 1);
    first.child.kill('SIGKILL');
    await first.ended;
    scratch.start('start', '--node-id', 'n');
    await until('it is adopted', () => logOf(scratch, 'run.adopted').length > 0);
    scratch.write({ go: '' });
    await until('it is told how it ended', () => told(scratch).length === 2);

    expect(told(scratch)).toMatchObject([
      { event: 'lost', attempt: 1 },
      { event: 'recovered', attempt: 2 },
    ]);
  });
});
