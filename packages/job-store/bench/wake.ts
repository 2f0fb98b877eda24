/**
 * From commit in one process to claimed in another; what an idle worker costs; and for how long the event loop of a
 * worker stands still while another process writes in a tight loop. Run it with `node --single-threaded-gc`: else a turn
 * that waits for V8's helper threads, which wait for a core, counts as ours.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openJobStore } from '@conductor-run/job-store';
import { percentile, printTable, withDir } from './fixtures.ts';

const SAMPLES = 1000;
const IDLE_MS = 10_000;
const STALL_MS = 20_000;
const SLICE_MS = 1000;
const LONG_MS = 20;
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

/** For how long turns of the event loop lasted, in ms. */
interface Gaps {
  /** On the wall: also while others had the core. */
  readonly wall: number[];
  /** Without the time in which the thread could have run and was not let: what is left is ours, computing or waiting for the disk. */
  readonly own: number[];
}

/** Time the main thread has waited for a core, in ms; 0 where there is no Linux to ask. */
function openRunDelay(): { read(): number; close(): void } {
  const path = `/proc/self/task/${process.pid}/schedstat`;
  if (!existsSync(path)) return { read: () => 0, close() {} };
  const file = openSync(path, 'r');
  const buffer = Buffer.alloc(100);
  return {
    read: () => Number(buffer.toString('latin1', 0, readSync(file, buffer, 0, 100, 0)).split(' ')[1]) / 1e6,
    close: () => closeSync(file),
  };
}

async function measureGaps({ wall, own }: Gaps, durationMs: number): Promise<void> {
  const runDelay = openRunDelay();
  const endMs = nowMs() + durationMs;
  for (let last = nowMs(), lastDelay = runDelay.read(); last < endMs;) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    const [now, delay] = [nowMs(), runDelay.read()];
    wall.push(now - last);
    own.push(Math.max(0, now - last - (delay - lastDelay)));
    [last, lastDelay] = [now, delay];
  }
  runDelay.close();
}

async function stalls(durability: 'process' | 'power'): Promise<Record<string, string | number>[]> {
  return withDir(async (dir) => {
    const path = join(dir, 'jobs.db');
    const store = await openJobStore({ path, durability });
    const writer = await start('writer.ts', [path, 'writer', '50', durability]);
    const control: Gaps = { wall: [], own: [] };
    const working: Gaps = { wall: [], own: [] };
    let done = 0;
    // The same loop with and without work in turns: what the machine's other processes cost hits both.
    for (let slice = 0; slice < STALL_MS / SLICE_MS; slice += 1) {
      await measureGaps(control, SLICE_MS);
      const run = { isOver: false };
      const work = async (): Promise<void> => {
        while (!run.isOver) {
          const [lease] = await store.claimNext({ workerId: 'worker', leaseMs: 60_000 });
          if (lease === undefined) continue;
          await store.succeed(lease);
          done += 1;
        }
      };
      const workers = Promise.all([work(), work(), work(), work()]);
      await measureGaps(working, SLICE_MS);
      run.isOver = true;
      await workers;
    }
    writer.kill('SIGKILL');
    await once(writer, 'exit');
    await store.close();
    const row = (what: string, gaps: Gaps, share: number, target = ''): Record<string, string | number> => ({
      what: `${durability}, beside a tight writer: ${what}, ms`,
      value: `${percentile(gaps.own, share).toFixed(2)} (wall ${percentile(gaps.wall, share).toFixed(2)})`,
      target,
    });
    const long = (gaps: readonly number[]): number => gaps.filter((ms) => ms > LONG_MS).length;
    return [
      row('turn of an idle loop, p99.99', control, 0.9999),
      row('turn of an idle loop, longest', control, 1),
      row('turn of a working loop, p99.99', working, 0.9999),
      row('turn of a working loop, longest', working, 1, '< 20'),
      {
        what: `${durability}, beside a tight writer: turns over ${LONG_MS} ms, idle and working`,
        value: `${long(control.own)} and ${long(working.own)} (wall ${long(control.wall)} and ${long(working.wall)})`,
        target: 'alike',
      },
      {
        what: `${durability}, beside a tight writer: jobs/s`,
        value: Math.round((done / STALL_MS) * 1000),
        target: '',
      },
    ];
  });
}

printTable([...(await wakeUps()), ...(await stalls('process')), ...(await stalls('power'))]);
