/** A run that could not be taken over, or closed, is not forgotten by the supervisor that owns it. */
import { mkdirSync, readFileSync, renameSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { adoptRuns, startSupervised, type SupervisedStep } from '../src/index.ts';
import { readStepResult } from '../src/result-schema.ts';
import { claimFileLease, nowMs } from './fixtures/file-lease-keeper.ts';
import { LEASE_MS, setupLease, type LeaseBundle } from './fixtures/lease-setup.ts';
import { quick } from './fixtures/supervised.ts';
import { isAlive, until } from './fixtures/setup.ts';

/** Long enough for another supervisor to start on a busy machine. */
const LONG_LEASE_MS = 20_000;

/** A step that runs until the file `go` is in its work tree. */
async function startWaiting(bundle: LeaseBundle, leaseMs: number): Promise<SupervisedStep> {
  const request = bundle.requestOf('echo up; while [ ! -e go ]; do sleep 0.02; done');
  const step = await startSupervised(request, { ...quick, lease: { ...bundle.supervised, leaseMs } });
  await until('the step to run', () => readFileSync(join(step.runDir, 'stdout.log'), 'utf8') !== '');
  return step;
}

describe('a supervisor that owns a run', () => {
  test('given a takeover that fails once, when runs are adopted again, the step goes on', async () => {
    const bundle = setupLease();
    const access = { ...quick, keeper: bundle.supervised.keeper };
    const step = await startWaiting(bundle, LONG_LEASE_MS);
    step.detach();
    const pid = bundle.supervisorPid();
    process.kill(pid, 'SIGKILL');
    await until('its end', () => !isAlive(pid));
    const statePath = join(step.runDir, 'state.json');
    renameSync(statePath, `${statePath}.kept`);
    mkdirSync(statePath);

    const [failed] = await adoptRuns(bundle.runsDir, access);
    rmdirSync(statePath);
    renameSync(`${statePath}.kept`, statePath);
    const [adopted] = await adoptRuns(bundle.runsDir, access);
    writeFileSync(join(bundle.worktree, 'go'), '');

    expect(failed).toMatchObject({ kind: 'unreadable' });
    expect(await adopted?.result).toMatchObject({ outcome: 'completed', adopted: true });
  });

  test('given a result that cannot be written, when it can be, the run is closed and its lease was kept', async () => {
    const bundle = setupLease();
    const step = await startWaiting(bundle, LEASE_MS);
    // What the result is written into before it is moved into place.
    const inTheWay = join(step.runDir, 'result.json.tmp');
    mkdirSync(inTheWay);
    writeFileSync(join(bundle.worktree, 'go'), '');

    await expect(step.result).rejects.toMatchObject({ code: 'record-unwritable' });
    const endedAtMs = nowMs();
    await until('two more leases', () => nowMs() - endedAtMs > LEASE_MS * 1.5);
    const whileOpen = claimFileLease(bundle.rival, LEASE_MS);
    rmdirSync(inTheWay);
    const result = await until('the result', () => readStepResult(step.runDir));

    expect(whileOpen).toBe(false);
    expect(result).toMatchObject({ outcome: 'completed', exitCode: 0, adopted: true });
    // The pauses grow: a disk that stays full is not kept busy.
    expect(result.lifecycleEvents.filter((event) => event.type === 'run_adopted').length).toBeLessThan(8);
    await until('the lease to be free', () => claimFileLease(bundle.rival, LEASE_MS));
  });
});
