import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { createRealClock } from '@conductor-run/clock';
import { describe, expect, test } from 'vitest';

import { createRunIndex, type RunIndex } from '../src/record/run-index.ts';
import { createScratch } from './fixtures/scratch.ts';
import { beginRun, type WrittenRun } from './fixtures/written-run.ts';

const START_MS = 1_800_000_000_000;

function setup() {
  const { dir } = createScratch();
  const runsDir = path.join(dir, '.conductor', 'runs');
  return { dir, runsDir, index: createRunIndex(runsDir, createRealClock()) };
}

async function idsOf(index: RunIndex, request: Omit<Parameters<RunIndex['page']>[0], 'limit'> = {}) {
  const { runs } = await index.page({ limit: 1_000, ...request });
  return runs.map((run) => run.paths.runId);
}

describe('run index', () => {
  test('given runs of several jobs, pages of any size give each once, newest first', async () => {
    const { dir, index } = setup();
    const made: WrittenRun[] = [];
    for (let run = 0; run < 7; run += 1) {
      made.push(await beginRun(dir, run % 2 === 0 ? 'even' : 'odd', START_MS + run));
    }
    const newest = made.map(({ runId }) => runId).toReversed();

    expect(await idsOf(index)).toEqual(newest);
    expect(await idsOf(index, { job: 'odd' })).toEqual(newest.filter((_, place) => place % 2 === 1));
    for (const limit of [1, 2, 3, 6, 7]) {
      const ids: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await index.page({ limit, cursor });
        expect(page.runs.length).toBeLessThanOrEqual(limit);
        ids.push(...page.runs.map((run) => run.paths.runId));
        // A cursor that does not move would go on for ever.
        expect(ids.length).toBeLessThanOrEqual(newest.length);
        cursor = page.nextCursor;
      } while (cursor !== undefined);
      expect(ids).toEqual(newest);
    }
  });

  test('given a page that was read before, runs that came, changed and went show at the next', async () => {
    const { dir, index } = setup();
    const first = await beginRun(dir, 'a', START_MS);
    expect(await idsOf(index, { status: 'running' })).toEqual([first.runId]);

    const second = await beginRun(dir, 'a', START_MS + 1);
    await first.end();
    expect(await idsOf(index, { status: 'running' })).toEqual([second.runId]);
    expect(await idsOf(index, { status: 'completed' })).toEqual([first.runId]);

    await second.end();
    rmSync(path.dirname(second.writer.paths.runDir), { recursive: true });
    expect(await idsOf(index)).toEqual([first.runId]);
    expect(await index.find(second.runId)).toBeUndefined();
  });

  test('given a cursor, runs that came since do not move the page', async () => {
    const { dir, index } = setup();
    const runs = [await beginRun(dir, 'a', START_MS), await beginRun(dir, 'a', START_MS + 1)];
    const { nextCursor } = await index.page({ limit: 1 });

    await beginRun(dir, 'a', START_MS + 2);
    rmSync(path.dirname(runs[1]?.writer.paths.runDir ?? ''), { recursive: true });

    expect(await idsOf(index, { cursor: nextCursor })).toEqual([runs[0]?.runId]);
  });

  test('given a selector, last, a run, a task and a job are found', async () => {
    const { dir, index } = setup();
    const old = await beginRun(dir, 'build', START_MS);
    const other = await beginRun(dir, 'test', START_MS + 1);

    const found = async (selector: string) => (await index.find(selector))?.paths.runId;

    expect(await found('last')).toBe(other.runId);
    expect(await found(old.runId)).toBe(old.runId);
    expect(await found(old.taskId)).toBe(old.runId);
    expect(await found('build')).toBe(old.runId);
    expect(await found('nobody')).toBeUndefined();
    expect(await found('01ARZ3NDEKTSV4RRFFQ69G5FAV')).toBeUndefined();
  });

  test('given a clock that was set back, a run older than its task is found', async () => {
    const { dir, runsDir, index } = setup();
    const run = await beginRun(dir, 'a', START_MS);
    await run.end();
    const task = path.join(runsDir, run.taskId);
    const late = path.join(runsDir, 'a-7ZZZZZZZZZZZZZZZZZZZZZZZZZ');
    mkdirSync(late);
    const from = path.join(task, run.runId);
    const to = path.join(late, run.runId);
    mkdirSync(to);
    for (const name of ['meta.json', 'state.json']) {
      writeFileSync(path.join(to, name), readFileSync(path.join(from, name)));
    }
    rmSync(task, { recursive: true });

    expect((await index.find(run.runId))?.paths.taskId).toBe(path.basename(late));
  });

  test('given a record that cannot be read, it is told of and the others are listed', async () => {
    const { dir, index } = setup();
    const good = await beginRun(dir, 'a', START_MS);
    const torn = await beginRun(dir, 'a', START_MS + 1);
    await torn.end();
    writeFileSync(path.join(torn.writer.paths.runDir, 'meta.json'), '{"half');

    const page = await index.page({ limit: 10 });

    expect(page.runs.map((run) => run.paths.runId)).toEqual([good.runId]);
    expect(page.unreadable.map(({ runId }) => runId)).toEqual([torn.runId]);
  });

  test('given many runs, a page reads its own and no other', async () => {
    const { dir, index } = setup();
    const oldest = await beginRun(dir, 'a', START_MS);
    await oldest.end();
    for (let run = 1; run <= 5; run += 1) await (await beginRun(dir, 'a', START_MS + run)).end();
    // A record that is torn tells whoever reads it.
    writeFileSync(path.join(oldest.writer.paths.runDir, 'meta.json'), '{');

    expect((await index.page({ limit: 5 })).unreadable).toEqual([]);
    expect((await index.page({ limit: 6 })).unreadable).toHaveLength(1);
    expect(existsSync(oldest.writer.paths.runDir)).toBe(true);
  });

  test('given no runs, pages are empty', async () => {
    const { index } = setup();

    expect(await index.page({ limit: 5 })).toEqual({ runs: [], unreadable: [], nextCursor: undefined });
    expect(await index.find('last')).toBeUndefined();
  });
});
