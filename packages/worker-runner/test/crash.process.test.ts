/**
 * kill -9 of whoever starts, looks after or wraps a step, at any moment: every run ends with one true result, within 5 s
 * of the next start, and nobody is taken for somebody else. Once each in a plain run, 20 times in a soak.
 */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, inject, onTestFinished, test } from 'vitest';

import {
  createHost,
  identifyProcess,
  startSupervised,
  type ProcessIdentity,
  type StepResult,
} from '../src/index.ts';
import { readStepResult } from '../src/result-schema.ts';
import { supervisorDirOf } from '../src/supervisor.ts';
import { readPidFile } from '../src/worker-process.ts';
import { countingStep } from './fixtures/counting-step.ts';
import { expectEnvelope } from './fixtures/envelope.ts';
import { isAlive, membersOf, until } from './fixtures/setup.ts';
import {
  adoptUntilNoneIsLeft,
  expectWholeOutput,
  quick,
  setupSupervised,
  startStarter,
  type SupervisedBundle,
} from './fixtures/supervised.ts';

const rounds = inject('soak') ? 20 : 1;
const STEPS = 20;

/** Moments spread over the whole start of all steps, at each of which there is something to adopt. */
const momentOf = (round: number): number => 1 + ((round * 7) % STEPS);

const runIds = ({ runsDir }: SupervisedBundle): readonly string[] =>
  readdirSync(join(runsDir, 'task')).filter((name) => !name.startsWith('.'));

/** Wrappers that have said who they are. */
function wrappersOf(bundle: SupervisedBundle): readonly number[] {
  return runIds(bundle).flatMap((runId) => readPidFile(bundle.pathsOf(runId).runDir, undefined)?.pid ?? []);
}

function expectOneResultEach(bundle: SupervisedBundle, results: readonly StepResult[]): void {
  const ids = results.map((result) => result.runId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const runId of runIds(bundle)) {
    const { runDir } = bundle.pathsOf(runId);
    expect(readStepResult(runDir)).toBeDefined();
    expect(membersOf(runDir)).toEqual([]);
  }
}

async function* soak(): AsyncGenerator<number> {
  for (let round = 0; round < rounds; round += 1) yield round;
}

describe('kill -9', () => {
  test('given the starting process is killed at a random moment, when the next one adopts, every step ends as if nothing had happened', async () => {
    for await (const round of soak()) {
      const bundle = setupSupervised();
      const { child, lines } = startStarter(bundle, STEPS);
      await until('some started steps', () => lines.length >= momentOf(round));
      child.kill('SIGKILL');
      const startedIds = lines.filter((line) => line !== 'all');

      const ended = await adoptUntilNoneIsLeft(bundle.runsDir, 2000);

      const results = ended.map(({ result }) => result);
      expectOneResultEach(bundle, results);
      for (const result of results) {
        expect(result).toMatchObject({ outcome: 'failed', exitCode: 7, adopted: false });
        expectWholeOutput(result);
      }
      expect(runIds(bundle)).toEqual(expect.arrayContaining(startedIds));
      for (const runId of runIds(bundle))
        expect(readStepResult(bundle.pathsOf(runId).runDir)?.exitCode).toBe(7);
    }
  });

  test('given the supervisor is killed while steps are starting, when their callers go on waiting, each step that was started ends as if nothing had happened', async () => {
    for await (const round of soak()) {
      const bundle = setupSupervised();
      const { runsDir, worktree } = bundle;
      let startedCount = 0;
      const starts = Array.from({ length: STEPS }, async (_, index) => {
        const step = await startSupervised(countingStep({ runsDir, worktree, runId: `run-${index}` }), quick);
        startedCount += 1;
        return step;
      });
      const settled = Promise.allSettled(starts);
      await until('some started steps', () => startedCount >= momentOf(round));
      process.kill(bundle.supervisorPid(), 'SIGKILL');

      const outcomes = await settled;
      const refusals = outcomes.flatMap((start) =>
        start.status === 'rejected' ? [start.reason as Error] : [],
      );
      const steps = outcomes.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []));
      const results = await Promise.all(steps.map((step) => step.result));

      for (const refusal of refusals) expect(refusal).toMatchObject({ code: 'supervisor-unavailable' });
      for (const result of results) {
        expectEnvelope(result);
        expect(result).toMatchObject({ outcome: 'failed', exitCode: 7 });
        expectWholeOutput(result);
      }
      // Whose caller was told that the start is in doubt: run to its end, or never begun.
      const ended = (await adoptUntilNoneIsLeft(runsDir, 5000)).map(({ result }) => result);
      const begun = ended.filter((result) => result.reason !== 'never_started');
      for (const result of begun) expectWholeOutput(result);
      expectOneResultEach(bundle, results);
    }
  });

  test('given the wrapper is killed, when the supervisor notices, the tree is ended and the run is lost', async () => {
    for await (const _round of soak()) {
      const { requestOf, wrapperOf } = setupSupervised();
      const step = await startSupervised(
        requestOf('sleep 300 & setsid sleep 300 & echo up; sleep 300'),
        quick,
      );
      const wrapper = await wrapperOf(step.runId);
      await until('output', () => readFileSync(join(step.runDir, 'stdout.log'), 'utf8') !== '');

      process.kill(wrapper, 'SIGKILL');
      const result = await step.result;

      expectEnvelope(result);
      expect(result).toMatchObject({ outcome: 'lost', reason: 'wrapper_lost', survivors: [] });
      expect(membersOf(step.runDir)).toEqual([]);
    }
  });

  test('given starter, supervisor and wrappers are killed at once, when the next process adopts, every run is lost and nobody is left', async () => {
    for await (const round of soak()) {
      const bundle = setupSupervised();
      const { child, lines } = startStarter(bundle, STEPS);
      await until('some started steps', () => lines.length >= momentOf(round));
      await until('a wrapper', () => wrappersOf(bundle).length > 0);
      process.kill(bundle.supervisorPid(), 'SIGKILL');
      child.kill('SIGKILL');
      const wrappers = wrappersOf(bundle);
      // The first steps may have come to their end by themselves.
      for (const pid of wrappers) createHost().signal(pid, 'SIGKILL');
      await until('the end of the supervisor', () => !isAlive(bundle.supervisorPid()));

      const ended = await adoptUntilNoneIsLeft(bundle.runsDir, 5000);

      expectOneResultEach(
        bundle,
        ended.map(({ result }) => result),
      );
      // A wrapper that had not said who it is was not killed: it is adopted, or told not to begin.
      const spared = ended.filter(({ result }) => result.exitCode === 7);
      const lost = ended.filter(({ result }) => result.exitCode !== 7);
      for (const { result } of spared) expectWholeOutput(result);
      for (const { result } of lost)
        expect(result).toMatchObject({ outcome: 'lost', survivors: [], adopted: true });
      expect(lost.length).toBeGreaterThan(0);
    }
  });
});

describe('a number that was used again', () => {
  interface Orphan extends SupervisedBundle {
    readonly runDir: string;
    readonly stranger: ProcessIdentity;
    readonly rewrite: (path: string, change: (text: string) => string) => void;
  }

  /** A run whose supervisor and whole tree are dead, and a stranger that is alive. */
  async function makeOrphan(): Promise<Orphan> {
    const bundle = setupSupervised();
    const step = await startSupervised(bundle.requestOf('sleep 300'), quick);
    step.detach();
    const wrapper = await bundle.wrapperOf(step.runId);
    await until('its own word', () => readPidFile(step.runDir, undefined));
    await bundle.killSupervisor();
    process.kill(-wrapper, 'SIGKILL');
    await until('the end of the tree', () => membersOf(step.runDir).length === 0);
    const child = spawn('sleep', ['300'], { detached: true, stdio: 'ignore' });
    onTestFinished(() => void child.kill('SIGKILL'));
    const { processes } = createHost();
    const stranger = await until('the stranger', () => identifyProcess(processes, child.pid ?? 0));
    return {
      ...bundle,
      runDir: step.runDir,
      stranger,
      rewrite: (path, change) => writeFileSync(path, change(readFileSync(path, 'utf8'))),
    };
  }

  /** What a file says once the numbers in it are those of the stranger. */
  const asStranger = (text: string, identity: Partial<ProcessIdentity>): string =>
    JSON.stringify({ ...(JSON.parse(text) as object), ...identity });

  test.for<[string, (orphan: Orphan) => void]>([
    [
      "the wrapper's pid",
      ({ runDir, stranger, rewrite }) =>
        rewrite(join(runDir, 'pid'), (text) => text.replace(/^\d+ /u, `${stranger.pid} `)),
    ],
    [
      "the owner's pid",
      ({ runDir, stranger, rewrite }) =>
        rewrite(join(runDir, 'owner.1.json'), (text) => asStranger(text, { pid: stranger.pid })),
    ],
    [
      "the supervisor's pid",
      ({ runsDir, stranger, rewrite }) =>
        rewrite(join(supervisorDirOf(runsDir), 'owner.1.json'), (text) =>
          asStranger(text, { pid: stranger.pid }),
        ),
    ],
    [
      "the owner's pid and start time, in another boot",
      ({ runDir, stranger, rewrite }) =>
        rewrite(join(runDir, 'owner.1.json'), (text) => asStranger(text, { ...stranger, bootId: 'another' })),
    ],
  ])(
    'given a stranger with %s, when adopted, the run is lost and the stranger left alone',
    async ([, disguise]) => {
      for await (const _round of soak()) {
        const orphan = await makeOrphan();
        disguise(orphan);

        const ended = await adoptUntilNoneIsLeft(orphan.runsDir, 5000);

        expect(ended).toMatchObject([
          { kind: 'nobody-alive', result: { outcome: 'lost', reason: 'killed_from_outside' } },
        ]);
        expect(isAlive(orphan.stranger.pid)).toBe(true);
      }
    },
  );

  test('given a run of another boot, when adopted, it is lost by reboot', async () => {
    for await (const _round of soak()) {
      const { runDir, runsDir, stranger, rewrite } = await makeOrphan();
      for (const name of ['.step.json', 'owner.1.json'])
        rewrite(join(runDir, name), (text) => asStranger(text, { bootId: 'another' }));
      rewrite(join(runDir, 'pid'), (text) => text.replace(/^\d+ /u, `${stranger.pid} `));

      const ended = await adoptUntilNoneIsLeft(runsDir, 5000);

      expect(ended).toMatchObject([{ kind: 'rebooted', result: { outcome: 'lost', reason: 'reboot' } }]);
      expect(isAlive(stranger.pid)).toBe(true);
    }
  });
});
