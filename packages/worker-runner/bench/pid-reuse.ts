/**
 * What a step leaves behind is found also when it got the pid of a process that was known from before the step.
 * Run as root, who may choose the next pid: node packages/worker-runner/bench/pid-reuse.ts [rounds]
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createHost, runStep, type StepRequest } from '@conductor-run/worker-runner';

const rounds = Number(process.argv[2] ?? 50);
const root = mkdtempSync(join(tmpdir(), 'worker-runner-bench-'));
const worktree = join(root, 'work');
mkdirSync(worktree);
const { processes } = createHost();
let count = 0;

const requestOf = (command: string): StepRequest => ({
  taskId: 'bench',
  stepId: 'step',
  runId: `run-${(count += 1)}`,
  attempt: 1,
  stepName: 'reuse',
  stepKind: 'shell',
  workerKind: 'shell',
  command,
  limits: { stragglerGraceSec: 0.1 },
  checkpoint: { mode: 'disabled' },
  runtime: { worktreePath: worktree, runsRootDir: join(root, 'runs') },
});

/** Has the next process get `pid`, and makes it one without a trace but its brand. */
const survivorOf = (pid: number): string => `
echo ${pid - 1} > /proc/sys/kernel/ns_last_pid
env -i /usr/bin/setsid /bin/sh -c 'echo $$ > pid; exec 0<&- 1>&- 2>&- 3>&- 4>&-; exec /bin/sleep 300' &
while [ ! -s pid ]; do sleep 0.01; done`;

let reused = 0;
let found = 0;
for (let round = 0; round < rounds; round += 1) {
  const known = spawn('sleep', ['300'], { stdio: 'ignore' });
  const pid = known.pid ?? 0;
  await once(known, 'spawn');
  processes.list();
  known.kill('SIGKILL');
  await once(known, 'exit');
  rmSync(join(worktree, 'pid'), { force: true });

  const result = await runStep(requestOf(survivorOf(pid)));

  const isReused = Number(readFileSync(join(worktree, 'pid'), 'utf8')) === pid;
  if (!isReused) continue;
  reused += 1;
  const isNamed = result.stragglers.some((straggler) => straggler.pid === pid);
  const isGone = (processes.read(pid)?.state ?? 'zombie') === 'zombie';
  if (isNamed && isGone) found += 1;
}
console.log(
  `${rounds} rounds: the survivor had the pid of a known process in ${reused}, was found and ended in ${found}`,
);
rmSync(root, { recursive: true, force: true });
if (reused === 0 || found !== reused) process.exitCode = 1;
