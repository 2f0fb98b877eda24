/**
 * A run on a disk of 4 MiB that a child fills: what the writer says, what is left, how it goes on with room again.
 * `node packages/logging/bench/disk-full.ts`; mounts a tmpfs, so Linux and root.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createRedactor, createRun, openRun, resolveRunPaths } from '../src/index.ts';

const mountPoint = mkdtempSync(join(tmpdir(), 'conductor-bench-'));
execFileSync('/bin/mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', mountPoint]);
const meta = { stepId: 's', stepName: 'Bench', stepKind: 'command', workerKind: 'process', attempt: 1 };
const rows: object[] = [];
try {
  for (const kind of ['plain', 'redacted']) {
    const ballast = join(mountPoint, 'ballast');
    writeFileSync(ballast, Buffer.alloc(3 * 1024 * 1024));
    const paths = resolveRunPaths({ runsDir: mountPoint, taskId: 'bench', runId: kind });
    const errors: string[] = [];
    const redactor =
      kind === 'redacted' ? { redactor: createRedactor({ secrets: { TOKEN: 'open sesame' } }) } : {};
    const writer = await createRun(paths, meta, {
      ...redactor,
      onError: ({ code }) => void errors.push(code),
    });
    await writer.updateState({ status: 'running' });
    const stdout = writer.output('stdout').openForChild();
    const child = spawn('sh', ['-c', 'yes open sesame | head -c 3000000'], {
      stdio: ['ignore', stdout.fd, 'ignore'],
    });
    stdout.close();
    await once(child, 'exit');
    const whileFull = await writer.updateState({ status: 'completed' }).then(
      ({ status }) => status,
      (error: { code?: string }) => `refused: ${error.code}`,
    );
    const stateWhileFull = openRun(paths).state().status;
    rmSync(ballast);
    await writer.updateState({ status: 'completed' });
    await writer.close();
    rows.push({
      kind,
      'ending while full': whileFull,
      'state.json while full': stateWhileFull,
      'background errors': errors.join(),
      'state.json after': openRun(paths).state().status,
      'log bytes': openRun(paths).state().stdoutBytes,
      'has a secret': kind === 'redacted' && readFileSync(paths.stdoutPath, 'utf8').includes('open sesame'),
    });
    rmSync(paths.runDir, { recursive: true });
  }
} finally {
  execFileSync('/bin/umount', [mountPoint]);
  rmSync(mountPoint, { recursive: true });
}
console.table(rows);
