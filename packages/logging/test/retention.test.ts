import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { createManualClock } from '@conductor-run/clock';
import { describe, expect, inject, test } from 'vitest';

import {
  createRun,
  listRuns,
  pruneRuns,
  resolveRunPaths,
  type RunPaths,
  type RunStatus,
} from '../src/index.ts';
import { META, temporaryDirectory } from './fixtures/setup.ts';

const START_MS = Date.UTC(2026, 0, 1);

/** A run directory as a writer leaves it, made with two writes: ten thousand of them have to be quick. */
function putRun(runsDir: string, index: number, status: RunStatus, bytes = 0): RunPaths {
  const paths = resolveRunPaths({ runsDir, taskId: `task-${index % 100}`, runId: `run-${index}` });
  const createdAt = START_MS + index * 1000;
  const isEnded = status !== 'running' && status !== 'prepared';
  mkdirSync(paths.runDir, { recursive: true });
  writeFileSync(
    paths.metaPath,
    JSON.stringify({
      ...META,
      layoutVersion: 1,
      taskId: paths.taskId,
      runId: paths.runId,
      createdAt,
      host: 'h',
      pid: 1,
    }),
  );
  const counters = { lastEventSeq: 0, checkpointSeq: 0, stdoutBytes: bytes, stderrBytes: 0, droppedBytes: 0 };
  const state = {
    status,
    attempt: 1,
    updatedAt: createdAt,
    ...counters,
    ...(isEnded ? { finishedAt: createdAt } : {}),
  };
  writeFileSync(paths.statePath, JSON.stringify(state));
  if (bytes > 0) writeFileSync(paths.stdoutPath, Buffer.alloc(bytes, 'x'));
  return paths;
}

describe('pruneRuns', () => {
  test('given ten thousand runs and every limit, the newest that fit stay, live and pinned ones always', async () => {
    const total = inject('soak') ? 10_000 : 1000;
    const runsDir = temporaryDirectory();
    const paths = Array.from({ length: total }, (_, index) =>
      putRun(runsDir, index, index % 50 === 0 ? 'running' : 'completed'),
    );
    const isPinned = (index: number): boolean => index % 30 === 1;
    const clock = createManualClock({ nowMs: START_MS + total * 1000 });
    const policy = {
      maxAgeMs: total * 500,
      maxRuns: Math.floor(total / 5),
      keep: ({ meta }: { meta: { runId: string } }) => isPinned(Number(meta.runId.slice(4))),
    };

    const plan = await pruneRuns(runsDir, { ...policy, dryRun: true }, { clock });
    expect(paths.every(({ runDir }) => existsSync(runDir))).toBe(true);
    const report = await pruneRuns(runsDir, policy, { clock });

    expect(report).toEqual(plan);
    const candidates = paths.map((_, index) => index).filter((index) => index % 50 !== 0 && !isPinned(index));
    const kept = new Set(candidates.slice(-policy.maxRuns));
    for (const [index, { runDir }] of paths.entries()) {
      expect(existsSync(runDir), `run ${index}`).toBe(kept.has(index) || !candidates.includes(index));
    }
    expect(report.removed.map(({ runId }) => runId)).toEqual(
      candidates.filter((index) => !kept.has(index)).map((index) => `run-${index}`),
    );
    expect(report.removed[0]).toMatchObject({ reason: 'age' });
    expect(report.removed.at(-1)).toMatchObject({ reason: 'count' });
    expect(report.keptRuns).toBe(total - report.removed.length);
    expect((await pruneRuns(runsDir, policy, { clock })).removed).toEqual([]);
  });

  test('given a limit of bytes, the newest runs stay as long as they fit, and the report says what was freed', async () => {
    const runsDir = temporaryDirectory();
    for (let index = 0; index < 10; index++) putRun(runsDir, index, 'failed', 1024 * 1024);

    const report = await pruneRuns(runsDir, { maxBytes: 3.5 * 1024 * 1024 });

    expect((await listRuns(runsDir)).runs.map(({ meta }) => meta.runId)).toEqual(['run-9', 'run-8', 'run-7']);
    expect(report.freedBytes).toBeGreaterThanOrEqual(7 * 1024 * 1024);
    expect(report.removed.every(({ reason }) => reason === 'size')).toBe(true);
  });

  test('given a run that does not fit, no older one stays in its place, however small', async () => {
    const runsDir = temporaryDirectory();
    for (const [index, mib] of [1, 5, 1].entries()) putRun(runsDir, index, 'failed', mib * 1024 * 1024);

    await pruneRuns(runsDir, { maxBytes: 3 * 1024 * 1024 });

    expect((await listRuns(runsDir)).runs.map(({ meta }) => meta.runId)).toEqual(['run-2']);
  });

  test('given every status, only runs that have ended go', async () => {
    const runsDir = temporaryDirectory();
    const statuses: readonly RunStatus[] = [
      'prepared',
      'running',
      'completed',
      'failed',
      'blocked',
      'cancelled',
      'timed_out',
      'lost',
    ];
    for (const [index, status] of statuses.entries()) putRun(runsDir, index, status);

    await pruneRuns(runsDir, { maxRuns: 0 });

    expect((await listRuns(runsDir)).runs.map(({ state }) => state.status)).toEqual(['running', 'prepared']);
    expect(readdirSync(runsDir).sort()).toEqual(['task-0', 'task-1']);
  });

  test('given runs that cannot be read and strangers, they are reported and left alone', async () => {
    const runsDir = temporaryDirectory();
    writeFileSync(putRun(runsDir, 1, 'failed').statePath, '{');
    writeFileSync(putRun(runsDir, 2, 'failed').metaPath, '{}');
    mkdirSync(join(runsDir, 'task-3', 'empty'), { recursive: true });
    writeFileSync(join(runsDir, 'note.txt'), '');

    const report = await pruneRuns(runsDir, { maxRuns: 0 });

    expect(report.unreadable.map(({ runId, error }) => `${runId} ${error.code}`).sort()).toEqual([
      'empty record-unreadable',
      'run-1 record-unreadable',
      'run-2 record-unreadable',
    ]);
    expect(readdirSync(runsDir).sort()).toEqual(['note.txt', 'task-1', 'task-2', 'task-3']);
  });

  test('given what a crash left half-made or half-deleted, it is cleared, but not what may be in the making', async () => {
    const runsDir = temporaryDirectory();
    const { runDir } = putRun(runsDir, 1, 'running');
    for (const name of ['.trash-run-0', '.tmp-run-2-abc', '.tmp-run-3-def'])
      mkdirSync(join(dirname(runDir), name, 'x'), { recursive: true });
    utimesSync(join(dirname(runDir), '.tmp-run-2-abc'), new Date(START_MS), new Date(START_MS));

    await pruneRuns(runsDir, {});

    expect(readdirSync(dirname(runDir)).sort()).toEqual(['.tmp-run-3-def', 'run-1']);
  });

  test('given bad limits or no directory, it throws or finds nothing', async () => {
    const runsDir = join(temporaryDirectory(), 'absent');

    await expect(pruneRuns(runsDir, { maxRuns: -1 })).rejects.toThrow(RangeError);
    expect(await pruneRuns(runsDir, { maxRuns: 0 })).toEqual({
      removed: [],
      freedBytes: 0,
      keptRuns: 0,
      unreadable: [],
    });
  });
});

describe('listRuns', () => {
  test('given pages, every run comes once, newest first', async () => {
    const runsDir = temporaryDirectory();
    for (let index = 0; index < 25; index++) putRun(runsDir, index, 'failed');
    const seen: string[] = [];

    let page = await listRuns(runsDir, { limit: 10 });
    for (;;) {
      seen.push(...page.runs.map(({ meta }) => meta.runId));
      if (page.next === undefined) break;
      page = await listRuns(runsDir, { limit: 10, before: page.next });
    }

    expect(seen).toEqual(Array.from({ length: 25 }, (_, index) => `run-${24 - index}`));
  });

  test('given a task and statuses, only those come', async () => {
    const runsDir = temporaryDirectory();
    putRun(runsDir, 1, 'failed');
    putRun(runsDir, 101, 'running');
    putRun(runsDir, 2, 'lost');

    const ids = async (filter: Parameters<typeof listRuns>[1]): Promise<string[]> =>
      (await listRuns(runsDir, filter)).runs.map(({ meta }) => meta.runId);

    expect(await ids({ taskId: 'task-1' })).toEqual(['run-101', 'run-1']);
    expect(await ids({ status: ['failed', 'lost'] })).toEqual(['run-2', 'run-1']);
    expect(await ids({ status: 'running', limit: 1 })).toEqual(['run-101']);
    expect(await ids({ limit: 0 })).toEqual([]);
    await expect(listRuns(runsDir, { taskId: '../x' })).rejects.toMatchObject({ code: 'invalid-id' });
    await expect(listRuns(runsDir, { limit: Number.NaN })).rejects.toThrow(RangeError);
  });

  test('given a run being made and removed all the time, listing never fails and never shows half of one', async () => {
    const runsDir = temporaryDirectory();
    const done = new AbortController();
    const churn = (async () => {
      for (let round = 0; round < 30; round++) {
        const paths = resolveRunPaths({ runsDir, taskId: 'task', runId: `run-${round}` });
        const writer = await createRun(paths, META);
        await writer.updateState({ status: 'failed' });
        await writer.close();
        await pruneRuns(runsDir, { maxRuns: 2 });
      }
      done.abort();
    })();
    const sizes = new Set<number>();
    while (!done.signal.aborted) sizes.add((await listRuns(runsDir)).runs.length);
    await churn;

    expect(Math.max(...sizes)).toBeLessThanOrEqual(3);
    expect((await listRuns(runsDir)).runs.map(({ meta }) => meta.runId)).toEqual(['run-29', 'run-28']);
  });
});
