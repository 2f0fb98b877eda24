/** A lease that cannot be kept ends its step before it could run out, whoever is stopped, stuck or dead. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { resolveRunPaths } from '@conductor-run/logging';
import { describe, expect, inject, test } from 'vitest';

import { acknowledgeRun, adoptRuns, runStep, startSupervised, type StepRequest } from '../src/index.ts';
import { wasEndedByGuard } from '../src/guard.ts';
import { supervisorDirOf } from '../src/supervisor.ts';
import { expectEnvelope } from './fixtures/envelope.ts';
import { claimFileLease, nowMs } from './fixtures/file-lease-keeper.ts';
import { FIRST_LEASE_MS, LEASE_MS, setupLease, type LeaseBundle } from './fixtures/lease-setup.ts';
import { isAlive, membersOf, until } from './fixtures/setup.ts';

/** Long enough for another supervisor to start on a busy machine. */
const LONG_LEASE_MS = 20_000;
const rounds = inject('soak') ? 50 : 1;
const quick = { idleExitMs: 300 };

/** A step that writes the time, over and over, into the file `alive`, and ignores SIGTERM. */
function stubborn(bundle: LeaseBundle): StepRequest {
  return bundle.requestOf(`trap '' TERM; while :; do cat /proc/uptime > alive; sleep 0.02; done`, {
    limits: { killGraceSec: 10 },
  });
}

/** Who of the step was alive right when another node got the lease. */
async function aliveAtClaim(bundle: LeaseBundle, runDir: string): Promise<readonly number[]> {
  await bundle.claimAsRival();
  return membersOf(runDir);
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
      const running = runStep(stubborn(bundle), { lease: bundle.attached });
      await until('the step to run', () => readAlive(bundle.worktree));
      bundle.setMood(mood);

      const [result, alive] = await Promise.all([
        running,
        aliveAtClaim(bundle, join(bundle.runsDir, 'task', 'run-1')),
      ]);

      expect(alive).toEqual([]);
      expectEnvelope(result);
      expect(result).toMatchObject({ outcome: 'lost', reason: 'lease_lost', survivors: [] });
    },
  );

  test("given a lease that is somebody else's, when the step should start, it does not", async () => {
    const bundle = setupLease();
    writeFileSync(bundle.lease.path, `${bundle.rival.owner} ${nowMs() + FIRST_LEASE_MS}`);

    const result = await runStep(bundle.requestOf('touch started'), { lease: bundle.attached });

    expectEnvelope(result);
    expect(result).toMatchObject({ outcome: 'lost', reason: 'lease_lost' });
    expect(() => readFileSync(join(bundle.worktree, 'started'))).toThrow('ENOENT');
  });

  test('given a job whose cancel is requested, when the lease is renewed, the step is cancelled', async () => {
    const bundle = setupLease();
    bundle.setMood('cancel');

    const result = await runStep(bundle.requestOf('sleep 300'), { lease: bundle.attached });

    expectEnvelope(result);
    expect(result).toMatchObject({ outcome: 'cancelled', reason: 'lease_cancelled' });
  });

  test('given the supervisor is stopped (SIGSTOP), when another node claims the job, nobody of the step is alive', async () => {
    for (let round = 0; round < rounds; round += 1) {
      const bundle = setupLease();
      const step = await startSupervised(stubborn(bundle), { ...quick, lease: bundle.supervised });
      await until('the step to run', () => readAlive(bundle.worktree));
      process.kill(bundle.supervisorPid(), 'SIGSTOP');

      const alive = await aliveAtClaim(bundle, step.runDir);
      process.kill(bundle.supervisorPid(), 'SIGCONT');
      const result = await step.result;

      expect(alive).toEqual([]);
      expectEnvelope(result);
      expect(result).toMatchObject({ outcome: 'lost', reason: 'lease_lost', survivors: [] });
    }
  });

  test('given the supervisor of four steps is stopped, when the last of their leases ends, the guard has ended all of them before', async () => {
    const bundle = setupLease();
    const leaseMs = 4000;
    const runs = await Promise.all(
      ['1', '2', '3', '4'].map(async (name) => {
        const lease = { path: join(bundle.root, `lease-${name}`), owner: 'first' };
        claimFileLease(lease, FIRST_LEASE_MS);
        const request = bundle.requestOf(`while :; do cat /proc/uptime > alive-${name}; sleep 0.02; done`);
        const step = await startSupervised(request, {
          ...quick,
          lease: { ...bundle.supervised, lease, leaseMs },
        });
        await until('the step to run', () => existsSync(join(bundle.worktree, `alive-${name}`)));
        return { step, rival: { ...lease, owner: 'second' } };
      }),
    );
    process.kill(bundle.supervisorPid(), 'SIGSTOP');

    const alive = await Promise.all(
      runs.map(async ({ step, rival }) => {
        await until('its lease to be free', () => claimFileLease(rival, leaseMs));
        return membersOf(step.runDir);
      }),
    );
    process.kill(bundle.supervisorPid(), 'SIGCONT');
    const results = await Promise.all(runs.map(({ step }) => step.result));

    expect(alive).toEqual([[], [], [], []]);
    expect(results.map((result) => result.reason)).toEqual(runs.map(() => 'lease_lost'));
  });

  test('given a step that ended and left a process running, when its supervisor is killed, nobody of it is alive once the lease is free', async () => {
    const bundle = setupLease();
    const lease = { ...bundle.supervised, leaseMs: 3000 };
    const request = bundle.requestOf(
      `(while :; do cat /proc/uptime > alive; sleep 0.02; done) & while [ ! -e go ]; do sleep 0.02; done`,
    );
    const step = await startSupervised(request, { ...quick, lease });
    step.detach();
    await until('the step to run', () => readAlive(bundle.worktree));
    process.kill(bundle.supervisorPid(), 'SIGKILL');
    writeFileSync(join(bundle.worktree, 'go'), '');
    await until('the exit', () => existsSync(join(step.runDir, 'exit')));
    const aliveAfterExit = membersOf(step.runDir);

    const alive = await aliveAtClaim(bundle, step.runDir);
    const isMarked = wasEndedByGuard(step.runDir);
    const [adopted] = await adoptRuns(bundle.runsDir, { ...quick, keeper: bundle.supervised.keeper });

    expect(aliveAfterExit).not.toEqual([]);
    expect(alive).toEqual([]);
    expect(isMarked).toBe(false);
    const result = await adopted?.result;
    expectEnvelope(result);
  });

  test('given the supervisor is killed and nobody adopts, when another node claims the job, nobody of the step is alive', async () => {
    for (let round = 0; round < rounds; round += 1) {
      const bundle = setupLease();
      const step = await startSupervised(stubborn(bundle), { ...quick, lease: bundle.supervised });
      step.detach();
      await until('the step to run', () => readAlive(bundle.worktree));
      process.kill(bundle.supervisorPid(), 'SIGKILL');

      const alive = await aliveAtClaim(bundle, step.runDir);
      const [adopted] = await adoptRuns(bundle.runsDir, { ...quick, keeper: bundle.supervised.keeper });

      expect(alive).toEqual([]);
      const result = await adopted?.result;
      expectEnvelope(result);
      expect(result).toMatchObject({ outcome: 'lost', reason: 'lease_lost' });
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
    const result = await adopted?.result;
    expectEnvelope(result);
    expect(result).toMatchObject({ outcome: 'completed', adopted: true });
  });

  test('given a store that fails when the run is adopted, when it answers in time, the step goes on', async () => {
    const bundle = setupLease();
    const lease = { ...bundle.supervised, leaseMs: LONG_LEASE_MS };
    const request = bundle.requestOf('while [ ! -e go ]; do sleep 0.05; done');
    const step = await startSupervised(request, { ...quick, lease });
    step.detach();
    const pid = bundle.supervisorPid();
    process.kill(pid, 'SIGKILL');
    await until('its end', () => !isAlive(pid));
    bundle.setMood('fail');

    const adopting = adoptRuns(bundle.runsDir, { ...quick, keeper: bundle.supervised.keeper });
    await until('a renewal to fail', () => existsSync(bundle.failedPath));
    bundle.setMood('');
    const [adopted] = await adopting;
    writeFileSync(join(bundle.worktree, 'go'), '');

    expect(await adopted?.result).toMatchObject({ outcome: 'completed', adopted: true });
  });

  test('given a supervisor whose log cannot be written, when a renewal fails, the step goes on', async () => {
    const bundle = setupLease();
    const logPath = join(supervisorDirOf(bundle.runsDir), 'supervisor.log');
    const lease = { ...bundle.supervised, leaseMs: 3000 };
    const request = bundle.requestOf('while [ ! -e go ]; do sleep 0.05; done');
    const step = await startSupervised(request, { ...quick, lease });
    rmSync(logPath);
    mkdirSync(logPath);
    bundle.setMood('fail');
    await until('a renewal to fail', () => existsSync(bundle.failedPath));

    bundle.setMood('');
    writeFileSync(join(bundle.worktree, 'go'), '');
    const result = await step.result;

    expect(result).toMatchObject({ outcome: 'completed', adopted: false });
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
