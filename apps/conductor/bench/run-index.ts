// `node apps/conductor/bench/run-index.ts [runs]`: a page of 50 runs among many, by the index and by `listRuns` of logging,
// in one process on the same files. Decision 074.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createRealClock } from '@conductor-run/clock';
import { createRun, listRuns, resolveRunPaths } from '@conductor-run/logging';
import { ulid } from 'ulid';

import { createRunIndex } from '../src/record/run-index.ts';

const count = Number(process.argv[2] ?? 10_000);
const clock = createRealClock();
const runsDir = mkdtempSync(join(tmpdir(), 'run-index-'));
try {
  await makeRuns();
  const index = createRunIndex(runsDir, clock);
  const first = await time(1, () => index.page({ limit: 50 }));
  const page = await time(200, () => index.page({ limit: 50 }));
  const failed = await time(20, () => index.page({ limit: 50, status: 'failed' }));
  const unknown = await time(20, () => index.find('01ARZ3NDEKTSV4RRFFQ69G5FAV'));
  const listed = await time(3, () => listRuns(runsDir, { limit: 50 }));
  console.log(`${count} runs, a page of 50, milliseconds each`);
  console.log({ first, page, noneMatches: failed, unknownId: unknown, listRuns: listed });
  console.log(`listRuns takes ${Math.round(listed / page)} times as long as a page`);
} finally {
  rmSync(runsDir, { recursive: true });
}

/** One real run, and copies of its records under other ids. */
async function makeRuns(): Promise<void> {
  const meta = { stepId: 'main', stepName: 'main', stepKind: 'shell', workerKind: 'shell', attempt: 1 };
  for (let run = 0; run < count; run += 1) {
    const atMs = 1_700_000_000_000 + run * 1_000;
    const paths = resolveRunPaths({ runsDir, taskId: `job-${ulid(atMs)}`, runId: ulid(atMs) });
    if (run === 0) {
      await using writer = await createRun(paths, meta, { clock });
      await writer.updateState({ status: 'running' });
      await writer.updateState({ status: 'completed' });
      continue;
    }
    mkdirSync(paths.runDir, { recursive: true });
    const { taskId, runId } = paths;
    const record = { ...meta, layoutVersion: 1, taskId, runId, createdAt: atMs, host: 'bench', pid: 1 };
    const state = {
      status: 'completed',
      attempt: 1,
      updatedAt: atMs,
      startedAt: atMs,
      finishedAt: atMs,
      lastEventSeq: 0,
      checkpointSeq: 0,
      stdoutBytes: 0,
      stderrBytes: 0,
      droppedBytes: 0,
    };
    writeFileSync(paths.metaPath, JSON.stringify(record));
    writeFileSync(paths.statePath, JSON.stringify(state));
  }
}

async function time(times: number, work: () => Promise<unknown>): Promise<number> {
  const startMs = clock.monotonicMs();
  for (let run = 0; run < times; run += 1) await work();
  return Math.round(((clock.monotonicMs() - startMs) / times) * 100) / 100;
}
