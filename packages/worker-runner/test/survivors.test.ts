/**
 * No survivor, ever: whatever a step forks and however it ends, nobody of it is alive after the result. Every shape of
 * tree meets every ending, once in a plain run and 20 times in a soak.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, inject, test } from 'vitest';

import {
  adoptRuns,
  runStep,
  startSupervised,
  type StepRequest,
  type StepResult,
  type SupervisedStep,
} from '../src/index.ts';
import { readPidFile } from '../src/worker-process.ts';
import { expectEnvelope } from './fixtures/envelope.ts';
import { setupLease, type LeaseBundle } from './fixtures/lease-setup.ts';
import { isAlive, membersOf, until } from './fixtures/setup.ts';
import { TREES, WAIT_FOR_PIDS, type TreeName } from './fixtures/trees.ts';

const rounds = inject('soak') ? 20 : 1;
const quick = { idleExitMs: 300 };

/** One step of one round. */
interface Round extends LeaseBundle {
  /** Its work tree: the pids of its processes are in the file `pids` there. */
  readonly cwd: string;
  /** A step that grows the tree, waits until it stands, and goes on with `then`. */
  readonly stepThat: (then: string, changes?: Partial<StepRequest>) => StepRequest;
  /** Whether the whole tree stands. */
  readonly isGrown: () => boolean;
}

type Ending = (round: Round) => Promise<StepResult | undefined>;

const ENDINGS: Readonly<Record<string, Ending>> = {
  async exit({ stepThat }) {
    const result = await runStep(stepThat('exit 0', { limits: { stragglerGraceSec: 0.1 } }));
    expect(result).toMatchObject({ outcome: 'completed', exitCode: 0 });
    expect(result.stragglers.length).toBeGreaterThan(0);
    return result;
  },

  async timeout({ stepThat }) {
    const stubborn = 'trap "" TERM; while :; do sleep 300; done';
    const result = await runStep(stepThat(stubborn, { timeoutSec: 0.4, limits: { killGraceSec: 0.1 } }));
    expect(result).toMatchObject({ outcome: 'timed_out', reason: 'timeout', signal: 'SIGKILL' });
    return result;
  },

  async 'idle timeout'({ stepThat }) {
    const limits = { idleTimeoutSec: 0.6, killGraceSec: 0.2 };
    const result = await runStep(stepThat('sleep 300', { limits }));
    expect(result).toMatchObject({ outcome: 'timed_out', reason: 'idle_timeout' });
    return result;
  },

  async cancel({ stepThat }) {
    const cancelling = new AbortController();
    let said = '';
    const result = await runStep(stepThat('echo ready; sleep 300', { limits: { killGraceSec: 0.2 } }), {
      signal: cancelling.signal,
      // Some trees say something of their own before they are grown.
      onOutput: (_channel, bytes) => {
        said += Buffer.from(bytes).toString('utf8');
        if (said.includes('ready')) cancelling.abort('enough');
      },
    });
    expect(result).toMatchObject({ outcome: 'cancelled', reasonText: 'enough' });
    return result;
  },

  async 'lost lease'({ stepThat, attached, setMood, claimAsRival, runsDir, isGrown }) {
    const request = stepThat('sleep 300');
    const running = runStep(request, { lease: attached });
    await until('the tree', isGrown);
    setMood('fail');
    await claimAsRival();
    expect(membersOf(join(runsDir, request.taskId, request.runId))).toEqual([]);
    const result = await running;
    expect(result).toMatchObject({ outcome: 'lost', reason: 'lease_lost' });
    return result;
  },

  async 'supervisor death, nobody adopts'(round) {
    const { supervised, claimAsRival, runsDir } = round;
    const step = await startOrphan(round, { lease: supervised });
    await claimAsRival();
    expect(membersOf(step.runDir)).toEqual([]);
    const [adopted] = await adoptRuns(runsDir, { ...quick, keeper: supervised.keeper });
    const result = await adopted?.result;
    expect(result).toMatchObject({ outcome: 'lost', reason: 'lease_lost', adopted: true });
    return result;
  },

  async 'death of supervisor and wrapper, then adoption'(round) {
    const step = await startOrphan(round, {});
    process.kill(readPidFile(step.runDir, undefined)?.pid ?? 0, 'SIGKILL');
    const [adopted] = await adoptRuns(round.runsDir, quick);
    const result = await adopted?.result;
    expect(result).toMatchObject({ outcome: 'lost', reason: 'wrapper_lost', adopted: true });
    return result;
  },
};

/** Starts a step, waits for its tree, and kills its supervisor. */
async function startOrphan(
  { stepThat, isGrown, supervisorPid }: Round,
  options: Parameters<typeof startSupervised>[1],
): Promise<SupervisedStep> {
  const step = await startSupervised(stepThat('sleep 300'), { ...quick, ...options });
  step.detach();
  await until('the tree', isGrown);
  process.kill(supervisorPid(), 'SIGKILL');
  await until('the end of the supervisor', () => !isAlive(supervisorPid()));
  return step;
}

function setupRound(shape: TreeName): Round {
  const bundle = setupLease();
  const cwd = join(bundle.worktree, 'tree');
  mkdirSync(cwd);
  return {
    ...bundle,
    cwd,
    stepThat: (then, changes = {}) =>
      bundle.requestOf(`${TREES[shape]}\n${WAIT_FOR_PIDS}; ${then}`, {
        limits: { killGraceSec: 0.2, stragglerGraceSec: 0.1 },
        ...changes,
        runtime: { worktreePath: cwd },
      }),
    isGrown: () => pidsIn(cwd).length > 0,
  };
}

function pidsIn(cwd: string): readonly number[] {
  try {
    return readFileSync(join(cwd, 'pids'), 'utf8').trim().split('\n').map(Number);
  } catch {
    return [];
  }
}

describe.each(Object.keys(ENDINGS))('a step that ends by %s', (ending) => {
  test.for(Object.keys(TREES) as TreeName[])('given %s, nobody is left', async (shape) => {
    for (let count = 0; count < rounds; count += 1) {
      const round = setupRound(shape);

      const result = await ENDINGS[ending]?.(round);

      expectEnvelope(result);
      expect(result.survivors).toEqual([]);
      expect(round.isGrown()).toBe(true);
      expect([...membersOf(result.paths.runDir), ...pidsIn(round.cwd).filter(isAlive)]).toEqual([]);
    }
  });
});
