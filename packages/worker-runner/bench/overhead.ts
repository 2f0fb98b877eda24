/**
 * What a step of `true` costs beyond a bare spawn: attached, with and without checkpoints, and supervised.
 * Run: node packages/worker-runner/bench/overhead.ts [rounds]
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { runStep, startSupervised, type StepRequest } from '@conductor-run/worker-runner';

const rounds = Number(process.argv[2] ?? 60);
const root = mkdtempSync(join(tmpdir(), 'worker-runner-bench-'));
const worktree = join(root, 'work');
mkdirSync(worktree);
let count = 0;

const requestOf = (checkpoint: NonNullable<StepRequest['checkpoint']>): StepRequest => ({
  taskId: 'bench',
  stepId: 'step',
  runId: `run-${(count += 1)}`,
  attempt: 1,
  stepName: 'true',
  stepKind: 'shell',
  workerKind: 'shell',
  command: ['true'],
  checkpoint,
  runtime: { worktreePath: worktree, runsRootDir: join(root, 'runs') },
});

const bare = (): Promise<unknown> =>
  new Promise((resolve) => {
    spawn('true', { stdio: 'ignore', detached: true }).once('exit', resolve);
  });

const supervised = async (checkpoint: NonNullable<StepRequest['checkpoint']>): Promise<unknown> =>
  (await startSupervised(requestOf(checkpoint), { idleExitMs: 2000 })).result;

const ways: readonly (readonly [string, () => Promise<unknown>])[] = [
  ['bare spawn', bare],
  ['attached, no checkpoints', () => runStep(requestOf({ mode: 'disabled' }))],
  ['attached', () => runStep(requestOf({}))],
  ['supervised', () => supervised({ mode: 'disabled' })],
];

const timesByWay = new Map<string, number[]>(ways.map(([name]) => [name, []]));
for (let round = -5; round < rounds; round += 1) {
  // Interleaved, so that a noisy moment hits all alike.
  for (const [name, run] of ways) {
    const startedMs = performance.now();
    await run();
    if (round >= 0) timesByWay.get(name)?.push(performance.now() - startedMs);
  }
}

const at = (times: readonly number[], share: number): number => times[Math.floor(times.length * share)] ?? 0;
const bareP50 = at(
  (timesByWay.get('bare spawn') ?? []).toSorted((a, b) => a - b),
  0.5,
);
console.log('way                         p50 ms   p99 ms   over bare');
for (const [name, times] of timesByWay) {
  const sorted = times.toSorted((a, b) => a - b);
  const p50 = at(sorted, 0.5);
  console.log(
    `${name.padEnd(26)} ${p50.toFixed(2).padStart(7)} ${at(sorted, 0.99).toFixed(2).padStart(8)} ${`+${(p50 - bareP50).toFixed(2)}`.padStart(11)}`,
  );
}
rmSync(root, { recursive: true, force: true });
