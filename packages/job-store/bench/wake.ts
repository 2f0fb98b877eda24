/**
 * From commit in one process to claimed in another; what an idle worker costs; and for how long the event loop of a
 * worker stands still while another process writes in a tight loop.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openJobStore } from '@conductor-run/job-store';
import { percentile, printTable, withDir } from './fixtures.ts';

const SAMPLES = 1000;
const IDLE_MS = 10_000;
const STALL_MS = 10_000;
const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;

async function start(name: string, args: readonly string[]): Promise<ChildProcess> {
  const child = fork(fileURLToPath(new URL(name, import.meta.url)), args);
  await once(child, 'message');
  return child;
}

async function wakeUps(): Promise<Record<string, string | number>[]> {
  return withDir(async (dir) => {
    const path = join(dir, 'jobs.db');
    const store = await openJobStore({ path });
    const child = await start('wake-worker.ts', [path, `${SAMPLES}`, `${IDLE_MS}`]);
    const answered = once(child, 'message');
    await sleep(200);
    for (let i = 0; i < SAMPLES; i += 1) {
      await store.enqueue({ kind: 'wake', key: `${i}`, payload: nowMs() });
      await sleep(5 + Math.random() * 5);
    }
    const [answer] = (await answered) as [{ ages: number[]; idleShare: number }];
    await store.close();
    const { ages, idleShare } = answer;
    return [
      {
        what: 'enqueue called → claimed elsewhere, p50 ms',
        value: percentile(ages, 0.5).toFixed(2),
        target: '< 1',
      },
      {
        what: 'enqueue called → claimed elsewhere, p99 ms',
        value: percentile(ages, 0.99).toFixed(2),
        target: '< 5',
      },
      { what: 'idle worker, % of a core', value: (idleShare * 100).toFixed(2), target: '< 0.5' },
    ];
  });
}

/** How long each turn of the event loop took, for a while. */
async function measureGaps(): Promise<number[]> {
  const gaps: number[] = [];
  for (let last = nowMs(), endMs = last + STALL_MS; last < endMs;) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    const now = nowMs();
    gaps.push(now - last);
    last = now;
  }
  return gaps;
}

async function stalls(): Promise<Record<string, string | number>[]> {
  return withDir(async (dir) => {
    const path = join(dir, 'jobs.db');
    const store = await openJobStore({ path });
    const writer = await start('writer.ts', [path, 'writer']);
    // The same loop without any work: what the machine's other processes cost.
    const control = await measureGaps();
    const run = { isOver: false };
    let done = 0;
    const work = async (): Promise<void> => {
      while (!run.isOver) {
        const [lease] = await store.claimNext({ workerId: 'worker', leaseMs: 60_000 });
        if (lease === undefined) continue;
        await store.succeed(lease);
        done += 1;
      }
    };
    const working = Promise.all([work(), work(), work(), work()]);
    const gaps = await measureGaps();
    run.isOver = true;
    await working;
    writer.kill('SIGKILL');
    await once(writer, 'exit');
    await store.close();
    const row = (what: string, value: number, target = ''): Record<string, string | number> => ({
      what,
      value: value.toFixed(2),
      target,
    });
    return [
      row('control: the same loop without work, longest ms', percentile(control, 1)),
      row('control: the same loop without work, p99.99 ms', percentile(control, 0.9999)),
      row('event loop beside a tight writer, longest stand-still ms', percentile(gaps, 1), '< 20'),
      row('event loop beside a tight writer, p99.99 ms', percentile(gaps, 0.9999)),
      row('jobs/s of the worker beside it', (done / STALL_MS) * 1000),
    ];
  });
}

printTable([...(await wakeUps()), ...(await stalls())]);
