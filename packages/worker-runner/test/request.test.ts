/** A request is refused before anything is touched, and the first bad field is named. */
import { existsSync } from 'node:fs';

import { describe, expect, test } from 'vitest';

import { runStep, type StepRequest } from '../src/index.ts';
import { setup } from './fixtures/setup.ts';

type Change = (request: StepRequest) => object;

const CASES: readonly (readonly [string, string, Change])[] = [
  ['a run id that leaves the directory', 'runId', (request) => ({ ...request, runId: '../other' })],
  ['a task id that git refuses', 'taskId', (request) => ({ ...request, taskId: 'task.lock' })],
  ['an attempt of 0', 'attempt', (request) => ({ ...request, attempt: 0 })],
  ['no command', 'command', (request) => ({ ...request, command: [] })],
  ['a NUL in an argument', 'command.0', (request) => ({ ...request, command: ['a\0b'] })],
  ['a timeout of 0', 'timeoutSec', (request) => ({ ...request, timeoutSec: 0 })],
  ['an unknown field', 'request', (request) => ({ ...request, tiemout: 1 })],
  ['a relative work tree', 'runtime.worktreePath', withRuntime({ worktreePath: 'here' })],
  ['a line break in the runs directory', 'runtime.runsRootDir', withRuntime({ runsRootDir: '/a\nb' })],
  ['a variable that redirects git', 'runtime.env.GIT_DIR', withRuntime({ env: { GIT_DIR: '/x' } })],
  ['a variable that loads code', 'runtime.env.LD_PRELOAD', withRuntime({ env: { LD_PRELOAD: '/x' } })],
  ['NODE_OPTIONS passed on', 'runtime.passEnv.0', withRuntime({ passEnv: ['NODE_OPTIONS'] })],
  ['a variable of ours', 'runtime.env.CONDUCTOR_TOKEN', withRuntime({ env: { CONDUCTOR_TOKEN: 'x' } })],
  [
    'a secret that would hide everything',
    'secrets.0.value',
    (request) => ({ ...request, secrets: [{ name: 'A', value: 'x' }] }),
  ],
  [
    'two secrets of one name',
    'secrets',
    (request) => ({ ...request, secrets: ['secret-1', 'secret-2'].map((value) => ({ name: 'A', value })) }),
  ],
];

function withRuntime(runtime: object): Change {
  return (request) => ({ ...request, runtime: { ...request.runtime, ...runtime } });
}

describe('a request', () => {
  test.for(CASES)(
    'given %s, when run, field %s is named and nothing is touched',
    async ([, field, change]) => {
      const { requestOf, runsDir } = setup();

      const running = runStep(change(requestOf('true')) as StepRequest);

      await expect(running).rejects.toMatchObject({ code: 'invalid-request' });
      await expect(running).rejects.toThrow(`field "${field}"`);
      expect(existsSync(runsDir)).toBe(false);
    },
  );

  test('given a run id that is taken, when run, the first record is left alone', async () => {
    const { requestOf } = setup();
    const first = await runStep(requestOf('true', { runId: 'same' }));

    await expect(runStep(requestOf('exit 1', { runId: 'same' }))).rejects.toMatchObject({
      code: 'run-exists',
    });

    expect(first.outcome).toBe('completed');
  });
});
