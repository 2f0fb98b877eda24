/** Attempts whose step cannot be followed, or whose end cannot be recorded: neither is a reason to do the work twice. */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';

import { describe, expect, test } from 'vitest';

import { type Cluster, createCluster } from './fixtures/cluster.ts';
import { linesOf, logOf, TIMES } from './fixtures/daemon.ts';
import { until } from './fixtures/scratch.ts';

const CONFIG = `${TIMES}jobs:
  task:
    retry: { max: 3, backoff: fixed, delay: 0s }
    command: echo began >> began.log; while [ ! -e go ]; do sleep 0.05; done
`;

/** A daemon with a step that goes on until the file `go` is there. */
async function startWithStep(): Promise<Cluster> {
  const cluster = await createCluster(CONFIG);
  cluster.start('n');
  await cluster.store.enqueue({ kind: 'task', key: 'default', retries: 3 });
  await until('the step runs', () => linesOf(cluster.scratch, 'began.log').length === 1);
  return cluster;
}

async function untilDone({ store }: Cluster): Promise<void> {
  await until('the job is done', async () => (await store.get('task', 'default'))?.status === 'done');
}

/** Refuses to record a success until it is disposed, as a full disk would; a failure takes less room. */
function refuseSuccess({ scratch }: Cluster): Disposable {
  const execute = (sql: string): void => {
    using db = new DatabaseSync(path.join(scratch.dir, '.conductor/conductor.db'), { timeout: 10_000 });
    db.exec(sql);
  };
  execute(`create trigger refuse before update on jobs when new.status = 'done'
           begin select raise(abort, 'no room for a success'); end`);
  return { [Symbol.dispose]: () => execute('drop trigger refuse') };
}

/** Kills the supervisor of the runs, and keeps every next one from being started until it is disposed. */
function loseSupervisor({ scratch }: Cluster): Disposable {
  const directory = path.join(scratch.dir, '.conductor/runs/.supervisor');
  const away = `${directory}.away`;
  renameSync(directory, away);
  writeFileSync(directory, 'a file where the directory should be');
  const { pid } = JSON.parse(readFileSync(path.join(away, 'owner.1.json'), 'utf8')) as { pid: number };
  process.kill(pid, 'SIGKILL');
  return {
    [Symbol.dispose]() {
      rmSync(directory);
      renameSync(away, directory);
    },
  };
}

describe('an attempt that is left', () => {
  test('given a supervisor that is lost and cannot be replaced, the step runs once and its attempt goes on later', async () => {
    const cluster = await startWithStep();
    {
      using _lost = loseSupervisor(cluster);
      await until('it is left', () =>
        logOf(cluster.scratch, 'daemon.failed').some(({ err }) => err?.message.includes('left to its lease')),
      );
      expect(await cluster.store.get('task', 'default')).toMatchObject({ status: 'running', attempt: 1 });
    }

    cluster.scratch.write({ go: '' });
    await untilDone(cluster);

    expect(linesOf(cluster.scratch, 'began.log')).toEqual(['began']);
    expect(await cluster.attempts('task')).toMatchObject([{ attempt: 1, outcome: 'succeeded' }]);
  });

  test('given a store that refuses a success for a moment, the step that succeeded is recorded and not run again', async () => {
    const cluster = await startWithStep();
    {
      using _refusing = refuseSuccess(cluster);
      cluster.scratch.write({ go: '' });
      await until('it was refused', () => logOf(cluster.scratch, 'task.noted').length === 1);
    }

    await untilDone(cluster);

    expect(linesOf(cluster.scratch, 'began.log')).toEqual(['began']);
    expect(logOf(cluster.scratch, 'run.adopted')).toEqual([]);
  });

  test('given a store that refuses a success for long, adoption records it and the step is not run again', async () => {
    const cluster = await startWithStep();
    {
      using _refusing = refuseSuccess(cluster);
      cluster.scratch.write({ go: '' });
      await until('it is left', () => logOf(cluster.scratch, 'daemon.failed').length > 0);
    }

    await untilDone(cluster);

    expect(linesOf(cluster.scratch, 'began.log')).toEqual(['began']);
    expect(await cluster.attempts('task')).toMatchObject([{ attempt: 1, outcome: 'succeeded' }]);
  });
});
