/** No survivor, ever: whatever a step forks and however it ends, nobody of it is alive after the result. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, inject, test } from 'vitest';

import { createHost, runStep, type StepResult } from '../src/index.ts';
import { runMarkOf } from '../src/wrapper.ts';
import { isAlive, setup, until } from './fixtures/setup.ts';
import { TREES, WAIT_FOR_PIDS, type TreeName } from './fixtures/trees.ts';

const rounds = inject('soak') ? 20 : 1;
const names = Object.keys(TREES) as TreeName[];

/** Everybody who carries the run's mark, and everybody who wrote a pid. */
function survivorsOf(result: StepResult, worktree: string): readonly number[] {
  const { processes, pid: self } = createHost();
  const mark = runMarkOf(result.paths.runDir);
  const marked = processes
    .list()
    .entries.filter((entry) => entry.pid !== self && entry.state !== 'zombie')
    .filter((entry) => processes.carries(entry.pid, mark));
  const written = readFileSync(join(worktree, 'pids'), 'utf8').trim().split('\n').map(Number);
  return [...marked.map((entry) => entry.pid), ...written.filter(isAlive)];
}

function setupRound(round: number): ReturnType<typeof setup> & { readonly cwd: string } {
  const bundle = setup();
  const cwd = join(bundle.worktree, `round-${round}`);
  mkdirSync(cwd);
  return { ...bundle, cwd };
}

describe('the tree of a step', () => {
  test.for(names)('given %s, when the step ends by itself, nobody is left', async (name) => {
    for (let round = 0; round < rounds; round += 1) {
      const { requestOf, cwd } = setupRound(round);
      const limits = { stragglerGraceSec: 0.1 };

      const result = await runStep(
        requestOf(`${TREES[name]}\n${WAIT_FOR_PIDS}; exit 0`, { limits, runtime: { worktreePath: cwd } }),
      );

      expect(result).toMatchObject({ outcome: 'completed', exitCode: 0, survivors: [] });
      expect(result.stragglers.length).toBeGreaterThan(0);
      expect(survivorsOf(result, cwd)).toEqual([]);
    }
  });

  test.for(names)('given %s, when the step runs into its timeout, nobody is left', async (name) => {
    for (let round = 0; round < rounds; round += 1) {
      const { requestOf, cwd } = setupRound(round);
      const line = `${TREES[name]}\n${WAIT_FOR_PIDS}; trap "" TERM; while :; do sleep 300; done`;

      const result = await runStep(
        requestOf(line, { timeoutSec: 0.4, limits: { killGraceSec: 0.1 }, runtime: { worktreePath: cwd } }),
      );

      expect(result).toMatchObject({
        outcome: 'timed_out',
        reason: 'timeout',
        signal: 'SIGKILL',
        survivors: [],
      });
      await until('pids of the tree', () => readFileSync(join(cwd, 'pids'), 'utf8') !== '');
      expect(survivorsOf(result, cwd)).toEqual([]);
    }
  });

  test.for(names)('given %s, when the step is cancelled, nobody is left', async (name) => {
    for (let round = 0; round < rounds; round += 1) {
      const { requestOf, cwd } = setupRound(round);
      const cancelling = new AbortController();
      const line = `${TREES[name]}\n${WAIT_FOR_PIDS}; echo ready; sleep 300`;

      const result = await runStep(
        requestOf(line, { limits: { killGraceSec: 0.2 }, runtime: { worktreePath: cwd } }),
        { signal: cancelling.signal, onOutput: () => cancelling.abort('enough') },
      );

      expect(result).toMatchObject({ outcome: 'cancelled', reasonText: 'enough', survivors: [] });
      expect(survivorsOf(result, cwd)).toEqual([]);
    }
  });

  test('given a silent step, when it is idle for too long, it ends with nobody left', async () => {
    for (let round = 0; round < rounds; round += 1) {
      const { requestOf, cwd } = setupRound(round);
      const line = `${TREES['cleared environment']}\n${WAIT_FOR_PIDS}; sleep 300`;

      const result = await runStep(
        requestOf(line, {
          limits: { idleTimeoutSec: 0.6, killGraceSec: 0.2 },
          runtime: { worktreePath: cwd },
        }),
      );

      expect(result).toMatchObject({ outcome: 'timed_out', reason: 'idle_timeout', survivors: [] });
      expect(survivorsOf(result, cwd)).toEqual([]);
    }
  });
});
