import { describe, expect, test } from 'vitest';

import { createScratch, until } from './fixtures/scratch.ts';

const TWO = `jobs:
  two: { steps: [{ name: one, command: echo first }, { name: next, command: echo second }] }
`;

describe('conductor runs logs', () => {
  test('given a job or a task, it prints all steps in order, each under its name; given a run, only that one', async () => {
    const scratch = createScratch({ 'conductor.yaml': TWO });
    const ran = await scratch.conductor('run', 'two');
    const { runs } = JSON.parse((await scratch.conductor('runs', 'list', '--json')).stdout) as {
      readonly runs: readonly { readonly runId: string; readonly taskId: string }[];
    };
    const [last] = runs;

    const ofJob = await scratch.conductor('runs', 'logs', 'two');
    const ofTask = await scratch.conductor('runs', 'logs', last?.taskId ?? '', '--channel', 'stdout');
    const ofRun = await scratch.conductor('runs', 'logs', last?.runId ?? '');

    expect(ofJob.stdout).toBe('first\nsecond\n');
    expect(ofJob.stderr).toBe(
      runs
        .toReversed()
        .map(({ runId }, index) => `== ${index === 0 ? 'one' : 'next'}  ${runId}\n`)
        .join(''),
    );
    expect(ofTask.stdout).toBe('first\nsecond\n');
    expect(ofRun).toMatchObject({ stdout: 'second\n', stderr: '' });
    expect(ran.stderr).toMatch(new RegExp(`record: .*/runs/${last?.taskId ?? ''}\n$`));
  });

  test('given a task that is followed, it goes on to the steps that begin meanwhile and ends with the last one', async () => {
    const scratch = createScratch({
      'conductor.yaml': TWO.replace('echo first', '"echo first; while [ ! -e go ]; do sleep 0.05; done"'),
    });
    const running = scratch.start('run', 'two');
    await until('it runs', async () => (await scratch.conductor('runs', 'list')).stdout.includes('running'));
    const following = scratch.start('runs', 'logs', 'two', '-f');
    let followed = '';
    following.child.stdout?.on('data', (chunk: Buffer) => (followed += chunk.toString()));
    await until('the first step was followed', () => followed === 'first\n');

    scratch.write({ go: '' });

    expect(await following.ended).toMatchObject({ exitCode: 0, stdout: 'first\nsecond\n' });
    expect((await running.ended).exitCode).toBe(0);
  });
});
