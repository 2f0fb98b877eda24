import { describe, expect, test } from 'vitest';

import { STEADY_TIMES } from './fixtures/daemon.ts';
import { createScratch } from './fixtures/scratch.ts';

describe('conductor start --run-once', () => {
  test('given an attempt that cannot be carried out, it is told as a task that ended, and the exit code is 1', async () => {
    const scratch = createScratch({
      'conductor.yaml': `${STEADY_TIMES}jobs:
  secretive: { command: 'true', env: { secrets: [NO_SUCH_SECRET] } }
`,
    });
    await scratch.conductor('enqueue', 'secretive', '--key', 'a');

    const result = await scratch.conductor('start', '--run-once', '--json');

    expect(result.exitCode).toBe(1);
    const events = result.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(events).toContainEqual({
      atMs: expect.any(Number),
      event: 'task.ended',
      name: 'secretive (a)',
      detail: expect.stringContaining('NO_SUCH_SECRET'),
      recorded: null,
      runId: null,
    });
  });

  test('given a work tree and no repository, the line says so, and the exit code is 1', async () => {
    const scratch = createScratch({
      'conductor.yaml': `${STEADY_TIMES}jobs:\n  tree: { command: 'true', worktree: {} }\n`,
    });
    await scratch.conductor('enqueue', 'tree');

    const result = await scratch.conductor('start', '--run-once');

    expect(result.exitCode).toBe(1);
    expect(result.stdout).toMatch(/ failed tree {2}.*repository/);
  });
});
