import { describe, expect, test } from 'vitest';

import { TIMES } from './fixtures/daemon.ts';
import { createScratch, type Scratch, until } from './fixtures/scratch.ts';

interface Why {
  readonly waiting: { readonly state: string; readonly text: string; readonly hint?: string };
  readonly slots: readonly { readonly decision: string }[];
  readonly upcoming: readonly { readonly firesAtMs: number }[];
  readonly attempts: readonly { readonly outcome: string }[];
}

async function why(scratch: Scratch, ...args: readonly string[]): Promise<Why> {
  const { stdout } = await scratch.conductor('why', ...args, '--json');
  return JSON.parse(stdout) as Why;
}

describe('conductor why', () => {
  test('given a ref that is not there and a schedule of no slot, it says what keeps them from being due', async () => {
    const scratch = createScratch({
      'conductor.yaml': `jobs:
  lost: { command: "true", watch: { git: nosuchref } }
  never: { command: "true", schedule: { cron: "0 3 31 2 *" } }
  fine: { command: "true", watch: { git: HEAD }, schedule: { cron: "0 3 * * *" } }
`,
    });
    scratch.git('init', '--quiet');
    scratch.git('commit', '--quiet', '--allow-empty', '--message=first');

    const lost = await scratch.conductor('why', 'lost');
    const never = await scratch.conductor('why', 'never');
    const fine = JSON.parse((await scratch.conductor('why', 'fine', '--json')).stdout) as object;

    expect(lost.stdout).toContain('Cannot count commits of "nosuchref": fatal: bad revision');
    expect(never.stdout).toContain('its schedule has no slot to come');
    expect(fine).toMatchObject({ problem: null });
  });

  test('given a job nobody asked for, then enqueued, paused, failed and retried, it says what it waits for each time', async () => {
    const scratch = createScratch({
      'conductor.yaml': 'jobs:\n  bad: { command: exit 3, retry: { max: 1, delay: 1h, backoff: fixed } }\n',
    });

    expect((await why(scratch, 'bad')).waiting.state).toBe('not_found');
    await scratch.conductor('enqueue', 'bad');
    expect((await why(scratch, 'bad')).waiting).toMatchObject({
      state: 'no_daemon',
      hint: 'conductor start runs a daemon; conductor run bad runs it here.',
    });
    await scratch.conductor('jobs', 'pause');
    expect((await why(scratch, 'bad')).waiting).toMatchObject({
      state: 'paused',
      text: 'everything is paused',
      hint: 'conductor jobs resume',
    });
    await scratch.conductor('jobs', 'resume');
    await scratch.conductor('start', '--run-once');
    const failed = await why(scratch, 'bad');
    expect(failed.waiting.state).toBe('retry_pending');
    expect(failed.waiting.text).toContain('retries left after that: 0');
    expect(failed.attempts).toMatchObject([{ outcome: 'failed' }]);
    await scratch.conductor('jobs', 'retry', 'bad');
    await scratch.conductor('start', '--run-once');
    await scratch.conductor('jobs', 'cancel', 'bad');
    expect((await why(scratch, 'bad')).waiting.state).toBe('cancelled');
  });

  test('given it was asked, the job is as it was: the question takes no claim and spends no token', async () => {
    const scratch = createScratch({ 'conductor.yaml': 'jobs:\n  a: { command: "true" }\n' });
    await scratch.conductor('enqueue', 'a');
    const before = await scratch.conductor('jobs', 'show', 'a', '--json');

    await why(scratch, 'a');

    const after = await scratch.conductor('jobs', 'show', 'a', '--json');
    expect(after.stdout).toBe(before.stdout);
    expect((await scratch.conductor('run', 'a', '--json')).stdout).toContain('"recorded": "succeeded"');
    expect((await why(scratch, 'a')).waiting.state).toBe('up_to_date');
  });

  test('given a running job whose room is taken, it says where one runs and what the other waits for', async () => {
    const scratch = createScratch({
      'conductor.yaml': `${TIMES}jobs:\n  slow: { command: "while [ ! -e go ]; do sleep 0.05; done" }\n  other: { command: "true" }\n`,
    });
    scratch.start('start', '--node-id', 'n', '--max-parallel', '1');
    await scratch.conductor('enqueue', 'slow', '--key', 'first');
    await until(
      'the first one runs',
      async () => (await why(scratch, 'slow', '--key', 'first')).waiting.state === 'already_running',
    );
    await scratch.conductor('enqueue', 'slow', '--key', 'second');
    await scratch.conductor('enqueue', 'other');

    expect((await why(scratch, 'slow', '--key', 'first')).waiting.text).toContain('runs on n since');
    expect((await why(scratch, 'slow', '--key', 'second')).waiting.state).toBe('concurrency_limit');
    await until(
      'the heartbeat tells that the node is full',
      async () => (await why(scratch, 'other')).waiting.state === 'no_room',
    );
    scratch.write({ go: '' });
  });

  test('given a schedule, it lists the decided slots with their reasons, and --at explains one of them', async () => {
    const scratch = createScratch({
      'conductor.yaml': `${TIMES}jobs:\n  tick: { command: "true", schedule: { every: 1s } }\n`,
    });
    scratch.start('start');
    const told = await until('a slot ran', async () => {
      const answer = await why(scratch, 'tick');
      return answer.slots.some((slot) => slot.decision === 'ran') ? answer : undefined;
    });
    expect(told.upcoming.length).toBeGreaterThan(0);

    const text = (await scratch.conductor('why', 'tick')).stdout;
    const at = /(\S+Z) +ran /.exec(text)?.[1] ?? '';
    const slot = await scratch.conductor('why', 'tick', '--at', at);
    const between = await scratch.conductor('why', 'tick', '--at', at.replace('.000Z', '.500Z'));

    expect(text).toContain('on time');
    expect(slot.stdout).toMatch(/: ran: (?:on time|caught up)/);
    expect(between.stdout).toContain('no slot (between slots)');
  });

  test('given a wrong name or instant, it says what was expected and exits with 2', async () => {
    const scratch = createScratch({ 'conductor.yaml': 'jobs:\n  hello: { command: "true" }\n' });

    const unknown = await scratch.conductor('why', 'helo');
    const noSchedule = await scratch.conductor('why', 'hello', '--at', '2027-01-01');
    const noInstant = await scratch.conductor('why', 'hello', '--at', 'tomorrow');

    expect(unknown).toMatchObject({ exitCode: 2 });
    expect(unknown.stderr).toContain('Did you mean "hello"?');
    expect(noSchedule.stderr).toContain('it has no schedule');
    expect(noInstant.stderr).toContain('expected an ISO 8601 instant');
  });
});
