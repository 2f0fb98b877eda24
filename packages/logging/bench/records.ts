/**
 * What the small files cost: making a run, events, states, listing, a million exact chunks.
 * `node packages/logging/bench/records.ts`; against the plain system calls in the same run.
 */
import { closeSync, fsyncSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createRun, listRuns, openRun, resolveRunPaths, type RunWriter } from '../src/index.ts';

const runsDir = mkdtempSync(join(tmpdir(), 'conductor-bench-'));
const meta = { stepId: 's', stepName: 'Bench', stepKind: 'command', workerKind: 'process', attempt: 1 };
const rows: object[] = [];
let runCount = 0;

async function newRun(): Promise<RunWriter> {
  const runId = `run-${runCount++}`;
  return createRun(resolveRunPaths({ runsDir, taskId: `task-${runCount % 10}`, runId }), meta);
}

async function each(name: string, rounds: number, work: (round: number) => unknown): Promise<void> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const startMs = performance.now();
    await work(round);
    times.push(performance.now() - startMs);
  }
  const sum = times.reduce((total, time) => total + time, 0);
  times.sort((a, b) => a - b);
  rows.push({
    name,
    'p50 ms': (times[Math.floor(rounds / 2)] ?? 0).toFixed(4),
    'p99 ms': (times[Math.floor(rounds * 0.99)] ?? 0).toFixed(4),
    'per s': Math.round(rounds / (sum / 1000)),
  });
}

const line = Buffer.from(
  `${JSON.stringify({ seq: 1, createdAt: 1, level: 'info', type: 'worker_started', message: 'x'.repeat(40) })}\n`,
);
const plainFd = openSync(join(runsDir, 'plain.ndjson'), 'a');
await each('plain: append a line', 50_000, () => writeSync(plainFd, line));
const writer = await newRun();
await each('event', 50_000, () => writer.event({ type: 'worker_started', message: 'x'.repeat(40) }));
await each('plain: append a line, fdatasync', 500, () => {
  writeSync(plainFd, line);
  fsyncSync(plainFd);
});
await each('event, durable', 500, () =>
  writer.event({ type: 'worker_started', message: 'x'.repeat(40), durable: true }),
);
closeSync(plainFd);

await each('plain: one directory, meta.json fsynced, 5 files', 300, (round) => {
  const directory = join(runsDir, `.plain-${round}`);
  mkdirSync(directory);
  for (const name of ['meta.json', 'state.json', 'worker.log', 'stdout.log', 'stderr.log']) {
    const fd = openSync(join(directory, name), 'wx');
    if (name.endsWith('json')) writeSync(fd, line);
    if (name === 'meta.json') fsyncSync(fd);
    closeSync(fd);
  }
});
const made: RunWriter[] = [];
await each('createRun (3 fsyncs)', 300, async () => made.push(await newRun()));
await each('updateState, status', 300, (round) => made[round]?.updateState({ status: 'running' }));
await each('updateState, terminal (2 fsyncs)', 300, (round) =>
  made[round]?.updateState({ status: 'completed' }),
);
for (const run of made) await run.close();
await each('listRuns of 301', 20, () => listRuns(runsDir));

const stdout = writer.output('stdout').writable();
const stderr = writer.output('stderr').writable();
const startMs = performance.now();
for (let n = 0; n < 1_000_000; n++) {
  (n % 2 === 0 ? stdout : stderr).write(`${n}\n`);
  if (n % 10_000 === 0) await writer.flush();
}
await writer.updateState({ status: 'failed' });
const writtenMs = performance.now();
let lines = 0;
for await (const read of openRun(writer.paths).lines()) lines += read.text === String(lines) ? 1 : 0;
const readMs = performance.now();
await writer.close();
rows.push({
  name: '1,000,000 alternating writes',
  'per s': Math.round(1e6 / ((writtenMs - startMs) / 1000)),
});
rows.push({
  name: `combined lines read back in order: ${lines}`,
  'per s': Math.round(1e6 / ((readMs - writtenMs) / 1000)),
});
console.table(rows);
rmSync(runsDir, { recursive: true, force: true });
