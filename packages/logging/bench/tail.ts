/**
 * The last 100 lines of a 1 GiB log, of one channel and combined, and of a log without a newline.
 * `node packages/logging/bench/tail.ts [MiB]`; needs MiB of disk.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createRun, openRun, resolveRunPaths, type RunReader, type TailOptions } from '../src/index.ts';

const mib = Number(process.argv[2] ?? 1024);
const runsDir = mkdtempSync(join(tmpdir(), 'conductor-bench-'));
const meta = { stepId: 's', stepName: 'Bench', stepKind: 'command', workerKind: 'process', attempt: 1 };

async function makeRun(runId: string, command: string, args: readonly string[]): Promise<RunReader> {
  const paths = resolveRunPaths({ runsDir, taskId: 'bench', runId });
  await using writer = await createRun(paths, meta);
  const stdout = writer.output('stdout').openForChild();
  const child = spawn(command, args, { stdio: ['ignore', stdout.fd, 'inherit'] });
  stdout.close();
  await once(child, 'exit');
  await writer.updateState({ status: 'failed' });
  return openRun(paths);
}

async function measure(name: string, reader: RunReader, options: TailOptions): Promise<object> {
  const times: number[] = [];
  let lines = 0;
  for (let round = 0; round < 50; round++) {
    const startMs = performance.now();
    lines = (await reader.tail(options)).lines.length;
    times.push(performance.now() - startMs);
  }
  const first = times[0] ?? Number.NaN;
  times.sort((a, b) => a - b);
  return {
    name,
    lines,
    'first ms': first.toFixed(2),
    'p50 ms': times[25]?.toFixed(2),
    'p99 ms': times[49]?.toFixed(2),
  };
}

const print = new URL('print-child.ts', import.meta.url).pathname;
const many = await makeRun('many', process.execPath, [print, String(mib * 1024 * 1024), 'plain']);
const one = await makeRun('one', 'head', ['-c', String(mib * 1024 * 1024), '/dev/zero']);
console.table([
  await measure(`${mib} MiB of lines, combined`, many, { lines: 100 }),
  await measure(`${mib} MiB of lines, stdout`, many, { lines: 100, channel: 'stdout' }),
  await measure(`${mib} MiB of lines, 10,000 lines`, many, { lines: 10_000, maxBytes: 4 * 1024 * 1024 }),
  await measure(`one line of ${mib} MiB, 1 MiB cap`, one, { lines: 100 }),
]);
rmSync(runsDir, { recursive: true, force: true });
