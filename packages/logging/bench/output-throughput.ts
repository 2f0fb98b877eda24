/**
 * A child's output into the run directory, against `child > file` in the same run.
 * `node packages/logging/bench/output-throughput.ts [MiB] [rounds]`; needs about 3 times MiB of disk.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createOutput } from './output.ts';

interface Measured {
  readonly mode: string;
  readonly logPath: string;
  readonly childMs: number;
  readonly totalMs: number;
  readonly followedBytes: number;
  readonly cpuMs: number;
  readonly peakMiB: number;
  readonly delayP99Ms: number;
  readonly delayMaxMs: number;
}

const MODES = [
  'child > file',
  'run directory',
  'run directory + follower',
  'naive regex',
  'secrets',
  'secrets + follower',
];
const mib = Number(process.argv[2] ?? 1024);
const rounds = Number(process.argv[3] ?? 5);
const bytes = mib * 1024 * 1024;

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

function expectedSha256(): string {
  const hash = createHash('sha256');
  const block = createOutput(false);
  for (let left = bytes; left > 0; left -= block.byteLength)
    hash.update(block.subarray(0, Math.min(left, block.byteLength)));
  return hash.digest('hex');
}

const results = new Map<string, Measured[]>();
const expected = expectedSha256();
let hashesEqual = true;
for (let round = 0; round < rounds; round++) {
  for (const mode of MODES) {
    const directory = mkdtempSync(join(tmpdir(), 'conductor-bench-'));
    const worker = new URL('write-worker.ts', import.meta.url).pathname;
    const text = execFileSync(process.execPath, [worker, mode, directory, String(bytes)], {
      encoding: 'utf8',
    });
    const measured = JSON.parse(text) as Measured;
    results.set(mode, [...(results.get(mode) ?? []), measured]);
    if (mode.startsWith('run directory')) hashesEqual &&= (await sha256Of(measured.logPath)) === expected;
    rmSync(directory, { recursive: true, force: true });
  }
}

const rateOf = (mode: string): number =>
  mib / (median((results.get(mode) ?? []).map(({ totalMs }) => totalMs)) / 1000);
const childRateOf = (mode: string): number =>
  mib / (median((results.get(mode) ?? []).map(({ childMs }) => childMs)) / 1000);
console.log(
  `${mib} MiB, ${rounds} rounds, medians. MiB/s to the end of the run; the child's own; ratios to the baseline of its kind`,
);
console.table(
  MODES.map((mode) => {
    const all = results.get(mode) ?? [];
    const baseline = mode.startsWith('secrets') || mode.startsWith('naive') ? 'naive regex' : 'child > file';
    return {
      mode,
      'MiB/s': Math.round(rateOf(mode)),
      'child MiB/s': Math.round(childRateOf(mode)),
      ratio: (rateOf(mode) / rateOf(baseline)).toFixed(2),
      'peak MiB': Math.round(Math.max(...all.map(({ peakMiB }) => peakMiB))),
      'CPU ms': Math.round(median(all.map(({ cpuMs }) => cpuMs))),
      'loop p99 ms': median(all.map(({ delayP99Ms }) => delayP99Ms)).toFixed(1),
      'loop max ms': Math.max(...all.map(({ delayMaxMs }) => delayMaxMs)).toFixed(1),
      followed: Math.round((all[0]?.followedBytes ?? 0) / 1024 / 1024),
    };
  }),
);
console.log(`sha256 of stdout.log equals the child's: ${hashesEqual}`);
