import { readFileSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, inject, test } from 'vitest';

import { createCluster } from './fixtures/cluster.ts';
import { TIMES } from './fixtures/daemon.ts';
import { until } from './fixtures/scratch.ts';

const KEYS = Array.from({ length: 10 }, (_, index) => `key-${index}`);
const LINES = 400;
/** Prints while nobody watches, and more once it may end. The lease is the default's 30 s: on a busy machine a shorter one may run out. */
const CONFIG = `${TIMES.replace(/jobLeaseMs.*\n/, '')}maxParallel: 10
jobs:
  task:
    concurrency: 10
    command: |
      n=0; while [ $n -lt ${LINES / 2} ]; do n=$((n+1)); echo "line $n"; done
      echo begun >> begun.log
      while [ ! -e go ]; do sleep 0.05; done
      while [ $n -lt ${LINES} ]; do n=$((n+1)); echo "line $n"; done
      echo ended >> ended.log
`;

interface RunRow {
  readonly taskId: string;
  readonly runId: string;
}

describe('kill -9 of the daemon', () => {
  test('given ten running steps, all go on, their output is whole, a new daemon adopts all, each result is recorded once', async () => {
    const rounds = inject('soak') ? 10 : 1;
    for (let round = 0; round < rounds; round += 1) {
      const { scratch, store, start } = await createCluster(CONFIG);
      const first = start('n');
      for (const key of KEYS) await store.enqueue({ kind: 'task', key });
      await until('ten steps run', () => lines(scratch.dir, 'begun.log').length === 10);

      first.child.kill('SIGKILL');
      await first.ended;
      // Half of them end while nobody is there, the others, perhaps, after somebody is.
      scratch.write({ go: '' });
      await until('a step has ended alone', () => lines(scratch.dir, 'ended.log').length > 0);
      const second = start('n');
      await until('all jobs are done', async () => {
        const { jobs } = await store.list({ kind: 'task', status: 'done' });
        return jobs.length === 10;
      });
      second.child.kill('SIGTERM');

      expect((await second.ended).exitCode).toBe(0);
      expect(lines(scratch.dir, 'begun.log')).toHaveLength(10);
      expect(lines(scratch.dir, 'ended.log')).toHaveLength(10);
      for (const key of KEYS) {
        expect(await store.attempts('task', key)).toMatchObject([
          { attempt: 1, outcome: 'succeeded', node: 'n' },
        ]);
      }
      const { stdout } = await scratch.conductor('runs', 'list', '--json');
      const { runs } = JSON.parse(stdout) as { runs: RunRow[] };
      const whole = Array.from({ length: LINES }, (_, index) => `line ${index + 1}`);
      expect(runs).toHaveLength(10);
      for (const { taskId, runId } of runs) {
        expect(lines(scratch.dir, '.conductor/runs', taskId, runId, 'stdout.log')).toEqual(whole);
      }
    }
  });
});

function lines(...place: readonly string[]): readonly string[] {
  try {
    return readFileSync(path.join(...place), 'utf8')
      .split('\n')
      .slice(0, -1);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}
