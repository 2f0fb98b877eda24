/** What every benchmark here shares: a temp dir that goes away, a stopwatch, a table. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export async function withDir<Result>(work: (dir: string) => Promise<Result>): Promise<Result> {
  const dir = mkdtempSync(join(tmpdir(), 'job-store-bench-'));
  try {
    return await work(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** What things cost. */
export interface Pace {
  readonly perSecond: number;
  /** CPU time per thing, in µs: what the machine's other processes take does not count, nor does the disk. */
  readonly cpuUs: number;
}

/** Runs `work`, which answers how many things it did. */
export async function measurePace(work: () => Promise<number> | number): Promise<Pace> {
  const startedAtMs = performance.now();
  const before = process.cpuUsage();
  const count = await work();
  const { user, system } = process.cpuUsage(before);
  const perSecond = Math.round((count / (performance.now() - startedAtMs)) * 1000);
  return { perSecond, cpuUs: (user + system) / count };
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function printTable(rows: readonly Readonly<Record<string, string | number>>[]): void {
  const names = Object.keys(rows[0] ?? {});
  const widths = names.map((name) =>
    Math.max(name.length, ...rows.map((row) => String(row[name] ?? '').length)),
  );
  const line = (cells: readonly string[]): string =>
    cells.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join('  ');
  console.log(line(names));
  for (const row of rows) console.log(line(names.map((name) => String(row[name] ?? ''))));
}

/** `BENCH_ROUNDS=5` repeats each measurement; the median counts. */
export const rounds = Number(process.env['BENCH_ROUNDS'] ?? 3);
