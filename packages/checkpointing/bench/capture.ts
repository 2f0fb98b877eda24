/**
 * Captures against what git itself offers: `node packages/checkpointing/bench/capture.ts [files...]`, after `pnpm run build`.
 * Repositories of 10,000 and 100,000 files are generated; 1, 100 and 5,000 changes. The contenders take turns round by round,
 * so that what else the machine does hits all of them alike.
 */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRealClock } from '@conductor-run/clock';
import { installBuilt, startInstalled, type InstalledProcess, type Work } from './installed.ts';
import { generateRepository, PLAIN, type BenchRepository } from './repository.ts';

const sizes = process.argv.slice(2).map(Number);
const temp = mkdtempSync(join(tmpdir(), 'checkpointing-bench-'));
const home = join(temp, 'home');
mkdirSync(home);
const env = { PATH: process.env['PATH'] ?? '', HOME: home, GIT_CONFIG_NOSYSTEM: '1' };
const PROCESSES = 3;
/** What people do without this package; "-" stands for what the command before has printed. */
const ADD_ALL: readonly (readonly string[])[] = [
  ['add', '--all'],
  ['write-tree'],
  ['commit-tree', '-', '-p', 'HEAD', '-m', 'x'],
  ['update-ref', 'refs/bench/add', '-'],
  ['update-ref', '-d', 'refs/bench/add'],
];

interface Samples {
  readonly status: number[];
  readonly stash: number[];
  readonly add: number[];
  /** First captures of a process that has captured before. */
  readonly first: number[];
  /** The very first of a process. */
  readonly cold: number[];
  readonly unchanged: number[];
}

try {
  installBuilt(temp);
  for (const files of sizes.length > 0 ? sizes : [10_000, 100_000]) await benchRepository(files);
} finally {
  rmSync(temp, { recursive: true, force: true });
}

async function benchRepository(files: number): Promise<void> {
  const repo = generateRepository(join(temp, `repo-${files}`), files, env);
  console.log(`\n${files} files; medians in ms, ratio of medians (ratio of minima)`);
  print(
    'changes',
    'status',
    'stash',
    'add -A',
    'first',
    'x stash',
    'x add',
    'cold',
    'x stash',
    'same',
    'x status',
  );
  for (const changes of [1, 100, 5_000]) {
    repo.change(changes);
    // Long ago enough for git to trust the times; an unchanged capture still reads the changes again (decision 023).
    await createRealClock().sleep(2_500);
    const { status, stash, add, first, cold, unchanged } = await sample(repo, changes < 1_000 ? 6 : 3);
    const cells = [status, stash, add, first].map((samples) => median(samples).toFixed(0));
    const [firstToStash, firstToAdd] = [ratio(first, stash), ratio(first, add)];
    const coldCells = [median(cold).toFixed(0), ratio(cold, stash)];
    const sameCells = [median(unchanged).toFixed(0), ratio(unchanged, status)];
    print(`${changes}`, ...cells, firstToStash, firstToAdd, ...coldCells, ...sameCells);
  }
  await benchMemory(repo);
  rmSync(repo.path, { recursive: true, force: true });
}

async function sample(repo: BenchRepository, rounds: number): Promise<Samples> {
  const samples: Samples = { status: [], stash: [], add: [], first: [], cold: [], unchanged: [] };
  for (let run = 0; run < PROCESSES; run++) {
    const own = startInstalled(temp);
    for (let round = 0; round < rounds; round++) {
      const [first = Number.NaN, unchanged = Number.NaN] = await capture(own, repo, `run-${run}-${round}`);
      (round === 0 ? samples.cold : samples.first).push(first);
      samples.unchanged.push(unchanged);
      const status = await own.work(
        gitWork(repo, [['status', '--porcelain=v2', '-z', '-uall', '--no-renames']]),
      );
      samples.status.push(...status);
      samples.stash.push(...(await own.work(gitWork(repo, [['stash', 'create']]))));
      repo.forget();
      copyFileSync(join(repo.path, '.git/index'), join(temp, 'index'));
      samples.add.push(...(await own.work(gitWork(repo, ADD_ALL))));
      repo.forget();
    }
    await own.end();
  }
  return samples;
}

/** A first capture by a new manager, as at the start of a run, and an unchanged second one. */
async function capture(
  own: InstalledProcess,
  repo: BenchRepository,
  runId: string,
): Promise<readonly number[]> {
  const directory = join(temp, runId);
  const took = await own.work({
    capture: { taskId: 't', stepId: 's', runId, directory, env },
    worktree: repo.path,
  });
  repo.forget();
  rmSync(directory, { recursive: true, force: true });
  return took;
}

function gitWork(repo: BenchRepository, commands: readonly (readonly string[])[]): Work {
  const isAdd = commands === ADD_ALL;
  return {
    git: commands.map((args) => [...PLAIN, ...args]),
    cwd: repo.path,
    env: isAdd ? { ...env, GIT_INDEX_FILE: join(temp, 'index') } : env,
  };
}

/** Peak memory of a process that captures while a file of 1 GiB lies about. */
async function benchMemory(repo: BenchRepository): Promise<void> {
  const big = join(repo.path, 'core.dump');
  writeFileSync(big, '');
  truncateSync(big, 1024 ** 3);
  writeFileSync(join(repo.path, 'within.bin'), Buffer.alloc(9 * 1024 * 1024, 7));
  const own = startInstalled(temp);
  await capture(own, repo, 'memory');
  console.log(`with 5,000 changes and a file of 1 GiB: at most ${await own.end()} MiB`);
}

function print(...cells: readonly string[]): void {
  const widths = [7, 7, 7, 7, 7, 12, 12, 6, 12, 6, 12];
  console.log(cells.map((cell, index) => cell.padStart(widths[index] ?? 0)).join(''));
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

function ratio(own: readonly number[], reference: readonly number[]): string {
  const ofMinima = Math.min(...own) / Math.min(...reference);
  return `${(median(own) / median(reference)).toFixed(2)} (${ofMinima.toFixed(2)})`;
}
