/**
 * How old output is when a follower in another process has it: from the child's write to the follower's hands.
 * `node packages/logging/bench/follow-latency.ts [seconds]`; the bar is 100 ms.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createRedactor, createRun, openRun, resolveRunPaths } from '../src/index.ts';

const seconds = Number(process.argv[2] ?? 5);
const runsDir = mkdtempSync(join(tmpdir(), 'conductor-bench-'));
const meta = { stepId: 's', stepName: 'Bench', stepKind: 'command', workerKind: 'process', attempt: 1 };

/** The writer's process: a child that prints the time every 37 ms. */
async function write(runId: string): Promise<void> {
  const redactor =
    runId === 'redacted' ? { redactor: createRedactor({ secrets: { TOKEN: 'open sesame' } }) } : {};
  await using writer = await createRun(
    resolveRunPaths({ runsDir: process.argv[4] ?? '', taskId: 'bench', runId }),
    meta,
    redactor,
  );
  const stdout = writer.output('stdout').openForChild();
  const script = `const t = setInterval(() => console.log(Date.now()), 37); setTimeout(() => clearInterval(t), ${seconds * 1000})`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', stdout.fd, 'inherit'] });
  stdout.close();
  await writer.updateState({ status: 'running' });
  await once(child, 'exit');
  await writer.updateState({ status: 'completed' });
}

if (process.argv[3] === undefined) {
  const rows: object[] = [];
  for (const runId of ['plain', 'redacted']) {
    const args = [new URL(import.meta.url).pathname, String(seconds), runId, runsDir];
    const closed = once(spawn(process.execPath, args, { stdio: 'inherit' }), 'close');
    const paths = resolveRunPaths({ runsDir, taskId: 'bench', runId });
    const isThere = (): boolean => {
      try {
        return openRun(paths).state().status === 'running';
      } catch {
        return false;
      }
    };
    while (!isThere()) await new Promise((resolve) => setTimeout(resolve, 5));
    const delays: number[] = [];
    for await (const line of openRun(paths).lines({ follow: true }))
      delays.push(Date.now() - Number(line.text));
    await closed;
    delays.sort((a, b) => a - b);
    const at = (share: number): number =>
      delays[Math.min(delays.length - 1, Math.floor(delays.length * share))] ?? Number.NaN;
    rows.push({ kind: runId, lines: delays.length, 'p50 ms': at(0.5), 'p99 ms': at(0.99), 'max ms': at(1) });
  }
  console.table(rows);
  rmSync(runsDir, { recursive: true });
} else {
  await write(process.argv[3]);
  rmSync(runsDir, { recursive: true });
}
