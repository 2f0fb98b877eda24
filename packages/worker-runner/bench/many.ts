/**
 * Many supervised steps at once: memory of everything of ours, time to complete, time from cancel to an empty tree, and
 * the adoption of orphans after the supervisor was killed.
 * Run: node packages/worker-runner/bench/many.ts [memory steps] [complete steps] [adopted steps]
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  adoptRuns,
  createLinuxProcessTable,
  runStep,
  startSupervised,
  type StepRequest,
  type SupervisedStep,
} from '@conductor-run/worker-runner';

const [memorySteps = 50, completeSteps = 200, adoptedSteps = 100] = process.argv.slice(2).map(Number);
const root = mkdtempSync(join(tmpdir(), 'worker-runner-bench-'));
const worktree = join(root, 'work');
const runsDir = join(root, 'runs');
mkdirSync(worktree);
let count = 0;

const requestOf = (command: readonly string[]): StepRequest => ({
  taskId: 'bench',
  stepId: 'step',
  runId: `run-${(count += 1)}`,
  attempt: 1,
  stepName: 'bench',
  stepKind: 'shell',
  workerKind: 'shell',
  command,
  checkpoint: { mode: 'disabled' },
  runtime: { worktreePath: worktree, runsRootDir: runsDir },
});

const startMany = (steps: number, command: readonly string[]): Promise<readonly SupervisedStep[]> =>
  Promise.all(Array.from({ length: steps }, () => startSupervised(requestOf(command), { idleExitMs: 3000 })));

const supervisorPid = (): number => {
  const text = readFileSync(join(runsDir, '.supervisor/owner.1.json'), 'utf8');
  return (JSON.parse(text) as { pid: number }).pid;
};

/** RSS and PSS in MiB of processes, by what they are. */
function memoryOf(pids: readonly number[]): { rss: number; pss: number } {
  let rss = 0;
  let pss = 0;
  for (const pid of pids) {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
    rss += Number(/^Rss:\s+(\d+)/mu.exec(text)?.[1] ?? 0) / 1024;
    pss += Number(/^Pss:\s+(\d+)/mu.exec(text)?.[1] ?? 0) / 1024;
  }
  return { rss, pss };
}

const show = (what: string, value: string): void => console.log(`${what.padEnd(64)} ${value}`);
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const steps = await startMany(memorySteps, ['sleep', '300']);
await sleep(2500);
const supervisor = supervisorPid();
const wrappers = createLinuxProcessTable()
  .list()
  .entries.filter((entry) => entry.parentPid === supervisor)
  .map((entry) => entry.pid);
const own = memoryOf([supervisor]);
const all = memoryOf([supervisor, ...wrappers]);
show(`supervisor with ${memorySteps} steps, MiB RSS (PSS)`, `${own.rss.toFixed(0)} (${own.pss.toFixed(0)})`);
show(`… and its ${wrappers.length} wrappers, MiB RSS (PSS)`, `${all.rss.toFixed(0)} (${all.pss.toFixed(0)})`);

const cancelledAtMs = performance.now();
await Promise.all(steps.map((step) => step.cancel()));
await Promise.all(steps.map((step) => step.result));
show(
  `cancel of ${memorySteps} steps to ${memorySteps} results, ms`,
  (performance.now() - cancelledAtMs).toFixed(0),
);

const completedAtMs = performance.now();
const many = await startMany(completeSteps, ['sh', '-c', 'echo done; sleep 1']);
const results = await Promise.all(many.map((step) => step.result));
const completed = results.filter((result) => result.outcome === 'completed').length;
show(
  `${completeSteps} steps of 1 s at once: completed; ms`,
  `${completed}; ${(performance.now() - completedAtMs).toFixed(0)}`,
);

const orphans = await startMany(adoptedSteps, ['sleep', '300']);
for (const step of orphans) step.detach();
process.kill(supervisorPid(), 'SIGKILL');
await sleep(50);
const adoptedAtMs = performance.now();
const adopted = await adoptRuns(runsDir, { idleExitMs: 500 });
const running = adopted.filter((run) => run.kind === 'running').length;
show(
  `adoption of ${adoptedSteps} orphans: running; ms`,
  `${running}; ${(performance.now() - adoptedAtMs).toFixed(0)}`,
);
await Promise.all(adopted.map(async (run) => run.cancel?.()));
await Promise.all(adopted.map(async (run) => run.result));

const times: number[] = [];
for (let round = 0; round < 20; round += 1) {
  const cancelling = new AbortController();
  let atMs = 0;
  await runStep(requestOf(['sh', '-c', 'sleep 300 & sleep 300 & echo up; sleep 300']), {
    signal: cancelling.signal,
    onOutput: () => {
      atMs ||= performance.now();
      cancelling.abort();
    },
  });
  times.push(performance.now() - atMs);
}
show('cancel of one tree of 4 to its result, ms p50', (times.toSorted((a, b) => a - b)[10] ?? 0).toFixed(1));
rmSync(root, { recursive: true, force: true });
