/** A lease that cannot be kept ends its step before it could run out, whoever is stopped, stuck or dead. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { resolveRunPaths } from '@conductor-run/logging';
import { describe, expect, inject, onTestFinished, test } from 'vitest';

import {
  acknowledgeRun,
  adoptRuns,
  createHost,
  runStep,
  startSupervised,
  type AttachedLease,
  type StepRequest,
  type SupervisedLease,
} from '../src/index.ts';
import { readOwner } from '../src/run-record.ts';
import { supervisorDirOf } from '../src/supervisor.ts';
import { runMarkOf } from '../src/wrapper.ts';
import {
  claimFileLease,
  createFileLeaseKeeper,
  nowMs,
  type FileKeeperOptions,
  type FileLease,
} from './fixtures/file-lease-keeper.ts';
import { isAlive, setup, until } from './fixtures/setup.ts';

const LEASE_MS = 1500;
const FIRST_LEASE_MS = 30_000;
/** Long enough for another supervisor to start on a busy machine. */
const LONG_LEASE_MS = 20_000;
const rounds = inject('soak') ? 50 : 1;
const quick = { idleExitMs: 300 };

interface LeaseBundle extends ReturnType<typeof setup> {
  readonly lease: FileLease;
  readonly rival: FileLease;
  readonly setMood: (mood: 'fail' | 'hang' | 'cancel' | '') => void;
  readonly attached: AttachedLease;
  readonly supervised: SupervisedLease;
  readonly supervisorPid: () => number;
  /** A step that writes the time, over and over, into the file `alive`, and ignores SIGTERM. */
  readonly stubborn: () => StepRequest;
}

function setupLease(): LeaseBundle {
  const bundle = setup();
  const lease = { path: join(bundle.root, 'lease'), owner: 'first' };
  const options: FileKeeperOptions = { moodPath: join(bundle.root, 'mood') };
  const keeperUrl = pathToFileURL(join(import.meta.dirname, 'fixtures/file-lease-keeper.ts')).href;
  const supervisorPid = (): number => readOwner(supervisorDirOf(bundle.runsDir))?.pid ?? 0;
  // Long at first: a supervisor may take a while to start. Each renewal makes it LEASE_MS from then.
  expect(claimFileLease(lease, FIRST_LEASE_MS)).toBe(true);
  onTestFinished(async () => {
    const pid = supervisorPidIfAny(supervisorPid);
    if (pid === 0) return;
    if (isAlive(pid)) process.kill(pid, 'SIGCONT');
    // By itself: no lease, no run and no client is left.
    await until('the supervisor to end', () => !isAlive(pid));
  });
  return {
    ...bundle,
    lease,
    rival: { ...lease, owner: 'second' },
    setMood: (mood) => writeFileSync(options.moodPath, mood),
    attached: { keeper: createFileLeaseKeeper(options), lease, leaseMs: LEASE_MS },
    supervised: {
      keeper: { module: keeperUrl, export: 'createFileLeaseKeeper', options },
      lease,
      leaseMs: LEASE_MS,
    },
    supervisorPid,
    stubborn: () =>
      bundle.requestOf(`trap '' TERM; while :; do cat /proc/uptime > alive; sleep 0.02; done`, {
        limits: { killGraceSec: 10 },
      }),
  };
}

function supervisorPidIfAny(read: () => number): number {
  try {
    return read();
  } catch {
    return 0;
  }
}

/** Claims the lease the moment it is free, as another node would, and says who of the step was alive right then. */
async function claimAsRival(bundle: LeaseBundle, runDir: string): Promise<readonly number[]> {
  await until('the lease to be free', () => claimFileLease(bundle.rival, LEASE_MS));
  return aliveOf(runDir);
}

function aliveOf(runDir: string): readonly number[] {
  const { processes } = createHost();
  const mark = runMarkOf(runDir);
  return processes
    .list()
    .entries.filter((entry) => entry.state !== 'zombie' && processes.carries(entry.pid, mark))
    .map((entry) => entry.pid);
}

describe('the lease of a step', () => {
  test('given a keeper that answers, when the step lasts several leases, it completes', async () => {
    const { requestOf, attached } = setupLease();

    const result = await runStep(requestOf(`sleep ${(LEASE_MS * 1.5) / 1000}`), { lease: attached });

    expect(result).toMatchObject({ outcome: 'completed' });
  });

  test.for(['fail', 'hang'] as const)(
    'given a store that begins to %s, when the lease cannot be renewed, the step has ended before it is free',
    async (mood) => {
      const bundle = setupLease();
      const running = runStep(bundle.stubborn(), { lease: bundle.attached });
      await until('the step to run', () => readAlive(bundle.worktree));
      bundle.setMood(mood);

      const [result, alive] = await Promise.all([
        running,
        claimAsRival(bundle, join(bundle.runsDir, 'task', 'run-1')),
      ]);

      expect(alive).toEqual([]);
      expect(result).toMatchObject({ outcome: 'lost', reason: 'lease_lost', survivors: [] });
    },
  );

  test("given a lease that is somebody else's, when the step should start, it does not", async () => {
    const bundle = setupLease();
    writeFileSync(bundle.lease.path, `${bundle.rival.owner} ${nowMs() + FIRST_LEASE_MS}`);

    const result = await runStep(bundle.requestOf('touch started'), { lease: bundle.attached });

    expect(result).toMatchObject({ outcome: 'lost', reason: 'lease_lost' });
    expect(() => readFileSync(join(bundle.worktree, 'started'))).toThrow('ENOENT');
  });

  test('given a job whose cancel is requested, when the lease is renewed, the step is cancelled', async () => {
    const bundle = setupLease();
    bundle.setMood('cancel');

    const result = await runStep(bundle.requestOf('sleep 300'), { lease: bundle.attached });

    expect(result).toMatchObject({ outcome: 'cancelled', reason: 'lease_cancelled' });
  });

  test('given the supervisor is stopped (SIGSTOP), when another node claims the job, nobody of the step is alive', async () => {
    for (let round = 0; round < rounds; round += 1) {
      const bundle = setupLease();
      const step = await startSupervised(bundle.stubborn(), { ...quick, lease: bundle.supervised });
      await until('the step to run', () => readAlive(bundle.worktree));
      process.kill(bundle.supervisorPid(), 'SIGSTOP');

      const alive = await claimAsRival(bundle, step.runDir);
      process.kill(bundle.supervisorPid(), 'SIGCONT');
      const result = await step.result;

      expect(alive).toEqual([]);
      expect(result).toMatchObject({ outcome: 'lost', reason: 'lease_lost', survivors: [] });
    }
  });

  test('given the supervisor is killed and nobody adopts, when another node claims the job, nobody of the step is alive', async () => {
    for (let round = 0; round < rounds; round += 1) {
      const bundle = setupLease();
      const step = await startSupervised(bundle.stubborn(), { ...quick, lease: bundle.supervised });
      step.detach();
      await until('the step to run', () => readAlive(bundle.worktree));
      process.kill(bundle.supervisorPid(), 'SIGKILL');

      const alive = await claimAsRival(bundle, step.runDir);
      const [adopted] = await adoptRuns(bundle.runsDir, { ...quick, keeper: bundle.supervised.keeper });

      expect(alive).toEqual([]);
      expect(await adopted?.result).toMatchObject({ outcome: 'lost', reason: 'lease_lost' });
    }
  });

  test('given the supervisor is killed, when the run is adopted in time, the step goes on under its lease', async () => {
    const bundle = setupLease();
    const lease = { ...bundle.supervised, leaseMs: LONG_LEASE_MS };
    const request = bundle.requestOf('echo up; while [ ! -e go ]; do sleep 0.05; done');
    const step = await startSupervised(request, { ...quick, lease });
    step.detach();
    await until('the step to run', () => readFileSync(join(step.runDir, 'stdout.log'), 'utf8'));
    const pid = bundle.supervisorPid();
    process.kill(pid, 'SIGKILL');
    await until('its end', () => !isAlive(pid));

    const [adopted] = await adoptRuns(bundle.runsDir, { ...quick, keeper: bundle.supervised.keeper });

    expect(adopted).toMatchObject({ kind: 'running', lease: bundle.lease });
    writeFileSync(join(bundle.worktree, 'go'), '');
    expect(await adopted?.result).toMatchObject({ outcome: 'completed', adopted: true });
  });

  test('given a result nobody has acknowledged, when time passes, its lease is held until somebody does', async () => {
    const bundle = setupLease();
    const lease = { ...bundle.supervised, holdAfterEndMs: 60_000 };
    const step = await startSupervised(bundle.requestOf('true'), { ...quick, lease });
    await step.result;

    const endedAtMs = nowMs();
    await until('two more leases', () => nowMs() - endedAtMs > LEASE_MS * 1.5);
    const whileHeld = claimFileLease(bundle.rival, LEASE_MS);
    const reported = await adoptRuns(bundle.runsDir, quick);
    await acknowledgeRun(resolveRunPaths({ runsDir: bundle.runsDir, taskId: 'task', runId: step.runId }));

    expect(whileHeld).toBe(false);
    expect(reported.map((run) => run.kind)).toEqual(['finished']);
    await until('the lease to be free', () => claimFileLease(bundle.rival, LEASE_MS));
    expect(await adoptRuns(bundle.runsDir, quick)).toEqual([]);
  });
});

function readAlive(worktree: string): string | undefined {
  try {
    return readFileSync(join(worktree, 'alive'), 'utf8');
  } catch {
    return undefined;
  }
}
