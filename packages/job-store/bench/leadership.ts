/** Renewing a leadership while eight processes write jobs in a tight loop into the same store. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openJobStore } from '@conductor-run/job-store';
import { percentile, printTable, withDir } from './fixtures.ts';

const WRITERS = 8;
const RENEWALS = 400;

await withDir(async (dir) => {
  const path = join(dir, 'jobs.db');
  const store = await openJobStore({ path });
  const lead = { name: 'leader', holderId: 'bench', host: 'bench', ttlMs: 10_000 };
  await store.acquireLeadership(lead);
  const writers = Array.from({ length: WRITERS }, (_, i) =>
    fork(fileURLToPath(new URL('writer.ts', import.meta.url)), [path, `writer-${i}`]),
  );
  await Promise.all(writers.map((writer) => once(writer, 'message')));
  const tookMs: number[] = [];
  for (let i = 0; i < RENEWALS; i += 1) {
    const startedAtMs = performance.now();
    const { operation } = await store.acquireLeadership(lead);
    if (operation !== 'renew') throw new Error(`Leadership was not renewed: ${operation}`);
    tookMs.push(performance.now() - startedAtMs);
    await sleep(25);
  }
  for (const writer of writers) {
    writer.kill('SIGKILL');
    await once(writer, 'exit');
  }
  await store.close();
  printTable(
    [0.5, 0.99, 1].map((share) => ({
      'renewal under 8 writers': share === 1 ? 'longest' : `p${share * 100}`,
      ms: percentile(tookMs, share).toFixed(2),
      target: share === 0.99 ? '< 100' : '',
    })),
  );
});
