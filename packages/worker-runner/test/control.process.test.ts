/** What is asked of the owner of a run is answered, or refused in words: never waited for without an end. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { resolveRunPaths } from '@conductor-run/logging';
import { describe, expect, test } from 'vitest';

import { acknowledgeRun, cancelRun, checkpointNow, createHost, startSupervised } from '../src/index.ts';
import { setupLease } from './fixtures/lease-setup.ts';
import { until } from './fixtures/setup.ts';
import { quick, setupSupervised } from './fixtures/supervised.ts';

describe('a run that is asked for', () => {
  test('given a supervisor that is stopped, when it is asked for anything, the caller is told that it does not answer', async () => {
    const { requestOf, supervisorPid, pathsOf } = setupSupervised();
    const step = await startSupervised(requestOf('sleep 300'), quick);
    process.kill(supervisorPid(), 'SIGSTOP');
    await until('it to be stopped', () => createHost().processes.read(supervisorPid())?.state === 'stopped');
    const paths = pathsOf(step.runId);

    const outcomes = await Promise.allSettled([
      cancelRun(paths, 'enough'),
      checkpointNow(paths),
      acknowledgeRun(paths),
    ]);

    process.kill(supervisorPid(), 'SIGCONT');
    for (const outcome of outcomes)
      expect(outcome).toMatchObject({ reason: { code: 'supervisor-unavailable' } });
    // What was asked is in the socket still.
    expect(await step.result).toMatchObject({ outcome: 'cancelled', reasonText: 'enough' });
  });

  test('given a run that is not there, when it is asked for anything, the error says so', async () => {
    const paths = setupSupervised().pathsOf('nowhere');

    for (const asked of [cancelRun(paths), checkpointNow(paths), acknowledgeRun(paths)])
      await expect(asked).rejects.toMatchObject({ code: 'run-not-found' });
  });

  test('given a result nobody acknowledged and a stopped supervisor, when it is acknowledged, the note is gone all the same', async () => {
    const bundle = setupLease();
    const lease = { ...bundle.supervised, holdAfterEndMs: 60_000 };
    const step = await startSupervised(bundle.requestOf('true'), { ...quick, lease });
    const { paths } = await step.result;
    const note = join(paths.runDir, 'unacknowledged');
    expect(existsSync(note)).toBe(true);
    process.kill(bundle.supervisorPid(), 'SIGSTOP');

    const asked = acknowledgeRun(
      resolveRunPaths({ runsDir: bundle.runsDir, taskId: 'task', runId: step.runId }),
    );

    await expect(asked).rejects.toMatchObject({ code: 'supervisor-unavailable' });
    expect(existsSync(note)).toBe(false);
  });
});
