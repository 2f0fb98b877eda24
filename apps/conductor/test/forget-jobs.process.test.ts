import path from 'node:path';

import { createRealClock } from '@conductor-run/clock';
import { openJobStore, type SqliteJobStore } from '@conductor-run/job-store';
import { describe, expect, onTestFinished, test } from 'vitest';

import { forgetJobs } from '../src/forget-jobs.ts';
import { createScratch, type Scratch, until } from './fixtures/scratch.ts';

async function openStore({ dir }: Scratch): Promise<SqliteJobStore> {
  const clock = createRealClock();
  const store = await openJobStore({ path: path.join(dir, '.conductor/conductor.db'), clock });
  onTestFinished(() => store.close());
  return store;
}

describe('forgetting jobs', () => {
  test('given commands that ended, one that runs and a job of the config, only those of the commands that ended go', async () => {
    const scratch = createScratch({ 'conductor.yaml': 'jobs:\n  build: { command: "true" }\n' });
    await scratch.conductor('run', 'build');
    await scratch.conductor('exec', '--', 'true');
    await scratch.conductor('exec', '--', 'false');
    const beforeMs = createRealClock().nowMs();
    await scratch.conductor('exec', '--', 'true');
    scratch.start('exec', '--', 'sleep', '600');
    const store = await openStore(scratch);
    await until('the last one runs', async () => (await store.list({ status: 'running' })).jobs.length === 1);

    const early = await forgetJobs(store, beforeMs);
    const late = await forgetJobs(store, createRealClock().nowMs() + 1);

    expect([early, late]).toEqual([2, 1]);
    const { jobs } = await store.list({});
    expect(jobs.map(({ kind, status }) => [kind, status])).toEqual([
      ['build', 'done'],
      ['exec', 'running'],
    ]);
  });

  test('given a job of the config that is named like it, it stays', async () => {
    const scratch = createScratch({ 'conductor.yaml': 'jobs:\n  exec: { command: "true" }\n' });
    await scratch.conductor('run', 'exec');
    const store = await openStore(scratch);

    expect(await forgetJobs(store, createRealClock().nowMs() + 1)).toBe(0);
    expect(await store.get('exec', 'default')).toMatchObject({ status: 'done' });
  });
});
