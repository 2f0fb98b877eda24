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

/** Runs `work`, which answers how many things it did, and gives things per second. */
export async function ratePerSecond(work: () => Promise<number> | number): Promise<number> {
  const startedAtMs = performance.now();
  const count = await work();
  return Math.round((count / (performance.now() - startedAtMs)) * 1000);
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
