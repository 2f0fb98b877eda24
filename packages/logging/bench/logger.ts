/**
 * What a line of the app's log costs: CPU and wall time, alone, with rotation, and beside the bare system call.
 * `node packages/logging/bench/logger.ts`; the kinds take turns, so that a busy machine is as hard on each.
 */
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createLogger } from '../src/index.ts';

const LINES = 100_000;
const ROUNDS = 3;
const directory = mkdtempSync(join(tmpdir(), 'conductor-bench-'));
const line = Buffer.from(
  `${JSON.stringify({ level: 30, time: 1, node: 'n1', jobId: 'job-12345', attempt: 3, msg: 'job.claimed' })}\n`,
);
const fd = openSync(join(directory, 'bare.log'), 'a');

function loggerWith(settings: object): (round: number) => void {
  const file = join(directory, `${Object.keys(settings).length}.log`);
  const logger = createLogger({ destination: { file, ...settings }, fields: { node: 'n1' } });
  return (round) => logger.info({ jobId: `job-${round}`, attempt: 3 }, 'job.claimed');
}

const kinds: Readonly<Record<string, (round: number) => void>> = {
  'writeSync of a finished line': () => void writeSync(fd, line),
  'a line, no rotation': loggerWith({}),
  'a line, rotation at 16 MiB': loggerWith({ maxBytes: 16 * 1024 * 1024 }),
  'a line, rotation at 64 KiB': loggerWith({ maxBytes: 64 * 1024, keep: 4 }),
};
const spent = new Map<string, { cpuMs: number; wallMs: number }>();
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, write] of Object.entries(kinds)) {
    const [before, startMs] = [process.cpuUsage(), performance.now()];
    for (let number = 0; number < LINES; number++) write(number);
    const { user, system } = process.cpuUsage(before);
    const sum = spent.get(name) ?? { cpuMs: 0, wallMs: 0 };
    spent.set(name, {
      cpuMs: sum.cpuMs + (user + system) / 1_000,
      wallMs: sum.wallMs + performance.now() - startMs,
    });
  }
}
closeSync(fd);
rmSync(directory, { recursive: true });
console.table(
  [...spent].map(([name, { cpuMs, wallMs }]) => ({
    name,
    'CPU µs/line': ((cpuMs * 1_000) / (LINES * ROUNDS)).toFixed(2),
    'wall µs/line': ((wallMs * 1_000) / (LINES * ROUNDS)).toFixed(2),
  })),
);
