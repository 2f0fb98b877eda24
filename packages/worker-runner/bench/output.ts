/**
 * A step that writes a lot, against the same program writing to a file: MiB/s, and memory of the runner.
 * Run: node packages/worker-runner/bench/output.ts [MiB]
 */
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { runStep, type StepSecret } from '@conductor-run/worker-runner';

const mib = Number(process.argv[2] ?? 1024);
const root = mkdtempSync(join(tmpdir(), 'worker-runner-bench-'));
const worktree = join(root, 'work');
mkdirSync(worktree);
const command = ['sh', '-c', `yes "${'x'.repeat(99)}" | head -c ${mib}M`];
let count = 0;

async function bare(): Promise<void> {
  const path = join(root, 'bare');
  const fd = openSync(path, 'a');
  await new Promise((resolve) => {
    spawn(command[0] ?? '', command.slice(1), { stdio: ['ignore', fd, 'ignore'] }).once('exit', resolve);
  });
  closeSync(fd);
  rmSync(path);
}

async function step(secrets: readonly StepSecret[]): Promise<void> {
  const result = await runStep({
    taskId: 'bench',
    stepId: 'step',
    runId: `run-${(count += 1)}`,
    attempt: 1,
    stepName: 'bench',
    stepKind: 'shell',
    workerKind: 'shell',
    command,
    checkpoint: { mode: 'disabled' },
    secrets,
    runtime: { worktreePath: worktree, runsRootDir: join(root, 'runs') },
  });
  if (result.metrics.stdoutBytes !== mib * 1024 * 1024)
    throw new Error(`Kept ${result.metrics.stdoutBytes} bytes`);
  rmSync(result.paths.runDir, { recursive: true });
}

const ways: readonly (readonly [string, () => Promise<void>])[] = [
  ['program > file', bare],
  ['step', () => step([])],
  ['step with a secret', () => step([{ name: 'TOKEN', value: 'correct horse battery' }])],
];
console.log(`${mib} MiB of 100-byte lines      MiB/s   peak RSS of the runner, MiB`);
for (const [name, run] of ways) {
  const startedMs = performance.now();
  let peak = 0;
  const timer = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss());
  }, 20);
  await run();
  clearInterval(timer);
  const rate = mib / ((performance.now() - startedMs) / 1000);
  console.log(`${name.padEnd(30)} ${rate.toFixed(0).padStart(6)}   ${(peak / 1024 / 1024).toFixed(0)}`);
}
rmSync(root, { recursive: true, force: true });
