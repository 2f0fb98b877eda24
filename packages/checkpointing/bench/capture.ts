/**
 * Captures against what git itself offers, in the same run: `node packages/checkpointing/bench/capture.ts [files...]`.
 * Repositories of 10,000 and 100,000 files are generated; 1, 100 and 5,000 changes; every figure is the median of several rounds.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCheckpointManager } from '@conductor-run/checkpointing';
import { createRealClock } from '@conductor-run/clock';

const clock = createRealClock();
const sizes = process.argv.slice(2).map(Number);
const temp = mkdtempSync(join(tmpdir(), 'checkpointing-bench-'));
const home = join(temp, 'home');
mkdirSync(home);
const env = { PATH: process.env['PATH'] ?? '', HOME: home, GIT_CONFIG_NOSYSTEM: '1' };
const ROUNDS = 5;
/** The packs of each generated commit. */
const packsOf = new Map<string, ReadonlySet<string>>();

try {
  for (const files of sizes.length > 0 ? sizes : [10_000, 100_000]) await benchRepository(files);
} finally {
  rmSync(temp, { recursive: true, force: true });
}

async function benchRepository(files: number): Promise<void> {
  const repo = generate(files);
  console.log(`\n${files} files, medians of ${ROUNDS} in ms`);
  console.log('changes  status  stash create  add -A  capture  x stash  x add  unchanged  x status');
  for (const changes of [1, 100, 5_000]) {
    git(repo, 'reset', '--quiet', '--hard');
    git(repo, 'clean', '-fdq');
    change(repo, changes);
    // Long enough ago that no time stamp is in doubt, as with a checkpoint every minute.
    await clock.sleep(2_500);
    const status: number[] = [];
    const stash: number[] = [];
    const add: number[] = [];
    const first: number[] = [];
    const second: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      status.push(timed(() => git(repo, 'status', '--porcelain=v2', '-z', '-uall', '--no-renames')));
      stash.push(timed(() => git(repo, 'stash', 'create')));
      forget(repo);
      add.push(timed(() => addAll(repo)));
      forget(repo);
      const [one, two] = await capture(repo, `run-${changes}-${round}`);
      first.push(one);
      second.push(two);
    }
    const row = {
      status: median(status),
      stash: median(stash),
      add: median(add),
      first: median(first),
      second: median(second),
    };
    const cells = [
      changes,
      row.status,
      row.stash,
      row.add,
      row.first,
      ratio(row.first, row.stash),
      ratio(row.first, row.add),
      row.second,
      ratio(row.second, row.status),
    ];
    console.log(
      cells.map((cell, index) => String(cell).padStart([7, 7, 13, 7, 8, 8, 6, 10, 9][index] ?? 8)).join(' '),
    );
  }
  await benchMemory(repo);
  rmSync(repo, { recursive: true, force: true });
}

/** A first capture by a new manager, as at the start of a run, and an unchanged second one. */
async function capture(repo: string, runId: string): Promise<[number, number]> {
  const directory = join(temp, runId);
  const manager = createCheckpointManager({ taskId: 't', stepId: 's', runId, directory, env });
  const one = await timedAsync(() => manager.writeGitDiff({ worktree: repo }));
  const two = await timedAsync(() => manager.writeGitDiff({ worktree: repo }));
  await manager.prune({});
  forget(repo);
  rmSync(directory, { recursive: true, force: true });
  return [one, two];
}

/** Peak memory of a process that captures while a file of 1 GiB lies about, and of the git processes it starts. */
async function benchMemory(repo: string): Promise<void> {
  const big = join(repo, 'core.dump');
  writeFileSync(big, '');
  truncateSync(big, 1024 ** 3);
  writeFileSync(join(repo, 'within.bin'), Buffer.alloc(9 * 1024 * 1024, 7));
  const script = `import { createCheckpointManager } from '@conductor-run/checkpointing';
    const manager = createCheckpointManager(JSON.parse(process.argv[1]));
    const record = await manager.writeGitDiff({ worktree: process.argv[2] });
    const usage = process.resourceUsage();
    console.log(JSON.stringify({ leftOut: record.leftOut, peakMiB: Math.round(usage.maxRSS / 1024) }));`;
  const options = { taskId: 't', stepId: 's', runId: 'memory', directory: join(temp, 'memory'), env };
  const child = spawnSync(
    '/usr/bin/env',
    ['node', '--input-type=module', '-e', script, JSON.stringify(options), repo],
    { cwd: new URL('..', import.meta.url), encoding: 'utf8' },
  );
  console.log(`with a 1 GiB file: ${child.stdout.trim()}${child.stderr}`);
  rmSync(big);
  rmSync(options.directory, { recursive: true, force: true });
}

/** Objects of the round before would make the next one look fast. */
function forget(repo: string): void {
  git(repo, 'prune', '--expire=now');
  const packs = join(repo, '.git/objects/pack');
  const own = packsOf.get(repo) ?? new Set();
  for (const name of readdirSync(packs)) if (!own.has(name)) rmSync(join(packs, name), { force: true });
}

function generate(files: number): string {
  const repo = join(temp, `repo-${files}`);
  mkdirSync(repo);
  git(repo, 'init', '--quiet');
  const line = 'some text that compresses like source code does, more or less\n';
  for (let index = 0; index < files; index++) {
    const folder = join(repo, `d${index % 97}`, `e${index % 11}`);
    if (index < 97 * 11) mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `f${index}.txt`), `${index}\n${line.repeat(20 + (index % 200))}`);
  }
  git(repo, 'add', '--all');
  git(repo, '-c', 'user.name=B', '-c', 'user.email=b@localhost', 'commit', '--quiet', '--message=first');
  git(repo, 'repack', '-adq');
  packsOf.set(repo, new Set(readdirSync(join(repo, '.git/objects/pack'))));
  return repo;
}

/** 60 % modified, 30 % new, 10 % deleted, of which a twentieth are binary. */
function change(repo: string, count: number): void {
  for (let index = 0; index < count; index++) {
    const path = join(repo, `d${index % 97}`, `e${index % 11}`, `f${index}.txt`);
    const kind = index % 10;
    if (kind === 9) rmSync(path);
    else if (kind < 6) appendFileSync(path, `changed ${index}\n`);
    else {
      const content = index % 20 === 6 ? noise(index) : `new ${index}\n`.repeat(50);
      writeFileSync(join(repo, `d${index % 97}`, `new-${index}`), content);
    }
  }
}

/** 50 KB that do not compress, different for each seed. */
function noise(seed: number): Buffer {
  const bytes = Buffer.alloc(50_000);
  let state = seed + 1;
  for (let index = 0; index < bytes.length; index += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes.writeUInt32LE(state, index);
  }
  return bytes;
}

function addAll(repo: string): void {
  const index = join(temp, 'index');
  copyFileSync(join(repo, '.git/index'), index);
  const withIndex = { ...env, GIT_INDEX_FILE: index };
  execFileSync('git', ['add', '--all'], { cwd: repo, env: withIndex });
  const tree = execFileSync('git', ['write-tree'], { cwd: repo, env: withIndex, encoding: 'utf8' }).trim();
  const identity = ['-c', 'user.name=B', '-c', 'user.email=b@localhost'];
  const commit = execFileSync('git', [...identity, 'commit-tree', tree, '-p', 'HEAD', '-m', 'x'], {
    cwd: repo,
    env,
    encoding: 'utf8',
  }).trim();
  execFileSync('git', ['update-ref', 'refs/bench/add', commit], { cwd: repo, env });
  execFileSync('git', ['update-ref', '-d', 'refs/bench/add'], { cwd: repo, env });
}

function git(repo: string, ...args: string[]): void {
  const identity = ['-c', 'user.name=B', '-c', 'user.email=b@localhost', '-c', 'gc.auto=0'];
  execFileSync('git', [...identity, ...args], {
    cwd: repo,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 1 << 30,
  });
}

function timed(work: () => void): number {
  const from = clock.monotonicMs();
  work();
  return clock.monotonicMs() - from;
}

async function timedAsync(work: () => Promise<unknown>): Promise<number> {
  const from = clock.monotonicMs();
  await work();
  return clock.monotonicMs() - from;
}

function median(values: readonly number[]): number {
  return Math.round([...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN);
}

function ratio(value: number, reference: number): string {
  return (value / reference).toFixed(2);
}
