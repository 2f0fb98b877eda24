/** The table of a supervisor: as long as it is not empty, the supervisor stays. */
import { describe, expect, test } from 'vitest';

import type { LeaseWatch } from '../src/lease-watch.ts';
import { withDefaults } from '../src/open-step.ts';
import type { StartCall } from '../src/protocol.ts';
import { createSupervisedRuns, type SupervisedRuns } from '../src/supervised-runs.ts';
import { setup } from './fixtures/setup.ts';

interface TableBundle {
  readonly runs: SupervisedRuns;
  readonly call: StartCall;
  /** The one who awaits the keeper gets it, or its error. */
  readonly keeper: { resolve(watch: LeaseWatch): void; reject(error: Error): void };
  /** The sizes the table had at each change. */
  readonly sizes: readonly number[];
}

/** A table whose keeper is still being made. */
function setupTable(): TableBundle {
  const { runsDir, requestOf } = setup();
  let keeper: TableBundle['keeper'] | undefined;
  const watch = new Promise<LeaseWatch>((resolve, reject) => {
    keeper = { resolve, reject };
  });
  if (keeper === undefined) throw new Error('No keeper');
  const sizes: number[] = [];
  const runs = createSupervisedRuns({
    runsDir,
    deps: withDefaults({}),
    watchOf: () => watch,
    onChange: () => sizes.push(runs.size()),
  });
  const lease = { lease: {}, leaseMs: 5000, holdAfterEndMs: 0, keeper: { module: 'm', export: 'e' } };
  const call: StartCall = {
    op: 'start',
    id: 1,
    request: requestOf('true'),
    hostEnv: { PATH: process.env['PATH'] ?? '' },
    lease,
    decides: false,
  };
  return { runs, call, keeper, sizes };
}

describe('createSupervisedRuns', () => {
  test('given a start that waits for its keeper, when the supervisor looks, the table is not empty', async () => {
    const { runs, call, keeper, sizes } = setupTable();

    const started = runs.start(call, undefined);

    expect(runs.size()).toBe(1);
    keeper.resolve({ keep: async () => ({ isHeld: true, release: () => undefined }), stop: () => undefined });
    const { result } = await started;
    expect(sizes).toEqual([1]);
    expect(await result).toMatchObject({ outcome: 'completed' });
  });

  test('given a start whose keeper cannot be made, when it fails, the table says that it is empty again', async () => {
    const { runs, call, keeper, sizes } = setupTable();
    const started = runs.start(call, undefined);

    keeper.reject(new Error('no keeper'));

    await expect(started).rejects.toThrow('no keeper');
    expect(sizes).toEqual([0]);
  });

  test('given a start whose lease cannot be kept, when its run is adopted, it is closed as never started', async () => {
    const { runs, call, keeper } = setupTable();
    const started = runs.start(call, undefined);
    keeper.resolve({ keep: () => Promise.reject(new Error('no guard')), stop: () => undefined });
    await expect(started).rejects.toThrow('no guard');
    const name = { taskId: 'task', runId: 'run-1' };

    const kind = await runs.adopt(name, undefined, undefined);

    expect(kind).toBe('never-started');
    expect(await runs.find(name)?.result).toMatchObject({ outcome: 'lost' });
  });

  test('given a run that does not exist, when adopted, the error says so', async () => {
    const { runs } = setupTable();

    const adopting = runs.adopt({ taskId: 'task', runId: 'nowhere' }, undefined, undefined);

    await expect(adopting).rejects.toMatchObject({ code: 'run-not-found' });
    expect(runs.size()).toBe(0);
  });
});
