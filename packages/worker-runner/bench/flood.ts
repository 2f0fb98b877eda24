/**
 * A step that floods its events: the longest time it holds up the event loop, how much it has on disk at most, and how
 * long its run takes to be closed.
 * Run: node packages/worker-runner/bench/flood.ts [MiB of maxEventBytes]
 */
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';

import { createRealClock } from '@conductor-run/clock';
import { runStep } from '@conductor-run/worker-runner';

const maxEventBytes = Number(process.argv[2] ?? 64) * 1024 * 1024;
const root = mkdtempSync(join(tmpdir(), 'worker-runner-bench-'));
const worktree = join(root, 'work');
mkdirSync(worktree);
const clock = createRealClock();
const runDir = join(root, 'runs', 'bench', 'run-1');
const bytesOf = (name: string): number =>
  statSync(join(runDir, name), { throwIfNoEntry: false })?.blocks ?? 0;

let largestBytes = 0;
let isOver = false;
const watch = async (): Promise<void> => {
  while (!isOver) {
    largestBytes = Math.max(largestBytes, (bytesOf('events.raw') + bytesOf('events.ndjson')) * 512);
    await clock.sleep(2);
  }
};
const watching = watch();
const delay = monitorEventLoopDelay({ resolution: 5 });
delay.enable();
const startedMs = clock.monotonicMs();
const result = await runStep({
  taskId: 'bench',
  stepId: 'step',
  runId: 'run-1',
  attempt: 1,
  stepName: 'flood',
  stepKind: 'shell',
  workerKind: 'shell',
  command: `yes '{"kind":"log","body":{}}' >&3`,
  checkpoint: { mode: 'disabled' },
  limits: { maxEventBytes },
  runtime: { worktreePath: worktree, runsRootDir: join(root, 'runs') },
});
const tookMs = clock.monotonicMs() - startedMs;
delay.disable();
isOver = true;
await watching;
const mib = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(0)} MiB`;
console.log(`${result.outcome} (${result.reason ?? '-'}) after ${(tookMs / 1000).toFixed(1)} s`);
console.log(`events kept                  ${result.metrics.stepEventCount}`);
console.log(`longest hold of the loop     ${(delay.max / 1e6).toFixed(0)} ms`);
console.log(`most on disk at a time       ${mib(largestBytes)}`);
console.log(`on disk in the end           ${mib(bytesOf('events.ndjson') * 512)}`);
rmSync(root, { recursive: true, force: true });
