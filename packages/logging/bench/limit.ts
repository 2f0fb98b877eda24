/**
 * A child that prints far more than its limit, on a real disk: what is left, and what it takes.
 * `node packages/logging/bench/limit.ts [MiB] [limit MiB]`; needs fallocate(1) and a file system that makes holes.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createRun, openRun, resolveRunPaths } from '../src/index.ts';

const [mib = 1024, limitMib = 64] = process.argv.slice(2).map(Number);
const runsDir = mkdtempSync(join(tmpdir(), 'conductor-bench-'));
const paths = resolveRunPaths({ runsDir, taskId: 'bench', runId: 'run' });
const meta = { stepId: 's', stepName: 'Bench', stepKind: 'command', workerKind: 'process', attempt: 1 };
const writer = await createRun(paths, meta, { maxBytesPerStream: limitMib * 1024 * 1024 });
const stdout = writer.output('stdout').openForChild();
const print = new URL('print-child.ts', import.meta.url).pathname;
const startMs = performance.now();
const child = spawn(process.execPath, [print, String(mib * 1024 * 1024), 'plain'], {
  stdio: ['ignore', stdout.fd, 'inherit'],
});
stdout.close();
let peakBlocks = 0;
child.once('exit', () => clearInterval(watcher));
const watcher = setInterval(() => {
  peakBlocks = Math.max(peakBlocks, statSync(paths.stdoutPath).blocks);
}, 10);
await once(child, 'exit');
const childMs = performance.now() - startMs;
await writer.updateState({ status: 'failed' });
await writer.close();
const state = openRun(paths).state();
const { lines } = await openRun(paths).tail({ lines: 1 });
console.table([
  {
    'printed MiB': mib,
    'limit MiB': limitMib,
    'MiB/s': Math.round(mib / (childMs / 1000)),
    'size MiB': Math.round(state.stdoutBytes / 1024 / 1024),
    'dropped MiB': Math.round(state.droppedBytes / 1024 / 1024),
    'on disk MiB': Math.round((statSync(paths.stdoutPath).blocks * 512) / 1024 / 1024),
    'peak on disk MiB': Math.round((peakBlocks * 512) / 1024 / 1024),
    'last line': lines[0]?.text.slice(0, 20),
  },
]);
console.table(
  (await openRun(paths).events()).map(({ seq, type, data }) => ({ seq, type, data: JSON.stringify(data) })),
);
rmSync(runsDir, { recursive: true, force: true });
