/**
 * One measured way of getting a child's output into a file, in a process of its own so that its memory is its own.
 * Prints one JSON line. Arguments: MODE DIRECTORY BYTES.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';

import { createRedactor, createRun, openRun, resolveRunPaths } from '../src/index.ts';
import { naivePattern } from './naive-redaction.ts';
import { SECRETS } from './output.ts';

const [mode = '', directory = '', bytes = '0'] = process.argv.slice(2);
const here = (name: string): string => new URL(name, import.meta.url).pathname;
const withSecrets = mode.startsWith('secrets') || mode.startsWith('naive');

function startChild(stdout: number | 'pipe'): ChildProcess {
  const kind = withSecrets ? 'secrets' : 'plain';
  return spawn(process.execPath, [here('print-child.ts'), bytes, kind], {
    stdio: ['ignore', stdout, 'inherit'],
  });
}

const delay = monitorEventLoopDelay({ resolution: 1 });
const cpuBefore = process.cpuUsage();
delay.enable();
const startMs = performance.now();
let childMs = 0;
let followedBytes = 0;
let logPath = join(directory, 'plain.log');

if (mode === 'child > file') {
  const fd = openSync(logPath, 'a');
  const child = startChild(fd);
  closeSync(fd);
  await once(child, 'exit');
  childMs = performance.now() - startMs;
} else if (mode === 'naive regex') {
  const pattern = naivePattern(SECRETS);
  const fd = openSync(logPath, 'a');
  const child = startChild('pipe');
  child.stdout?.on('data', (chunk: Buffer) => {
    writeSync(fd, chunk.toString('latin1').replace(pattern, '[redacted]'), null, 'latin1');
  });
  await once(child, 'close');
  closeSync(fd);
  childMs = performance.now() - startMs;
} else {
  const paths = resolveRunPaths({ runsDir: directory, taskId: 'bench', runId: 'run' });
  const meta = { stepId: 's', stepName: 'Bench', stepKind: 'command', workerKind: 'process', attempt: 1 };
  const redactor = withSecrets ? createRedactor({ secrets: SECRETS }) : undefined;
  const writer = await createRun(paths, meta, redactor === undefined ? {} : { redactor });
  logPath = paths.stdoutPath;
  let follower: ChildProcess | undefined;
  if (mode.includes('follower')) {
    follower = spawn(process.execPath, [here('follow-worker.ts'), directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    follower.stdout?.on('data', (chunk: Buffer) => {
      followedBytes = Number(chunk.toString());
    });
  }
  const stdout = writer.output('stdout').openForChild();
  const child = startChild(stdout.fd);
  stdout.close();
  await writer.updateState({ status: 'running' });
  const [code] = (await once(child, 'exit')) as [number];
  childMs = performance.now() - startMs;
  await writer.updateState({ status: 'completed', exitCode: code });
  await writer.close();
  if (follower !== undefined) await once(follower, 'close');
  openRun(paths);
}
const totalMs = performance.now() - startMs;
delay.disable();
const cpu = process.cpuUsage(cpuBefore);
process.stdout.write(
  `${JSON.stringify({
    mode,
    logPath,
    childMs,
    totalMs,
    followedBytes,
    cpuMs: (cpu.user + cpu.system) / 1000,
    peakMiB: process.resourceUsage().maxRSS / 1024,
    delayP99Ms: delay.percentile(99) / 1e6,
    delayMaxMs: delay.max / 1e6,
  })}\n`,
);
