/** Checkpoints of a running step: at the start, while something changes, before a kill, and at the end. */
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { readCheckpoints, type CheckpointRecord } from '@conductor-run/checkpointing';
import { createManualClock, createRealClock } from '@conductor-run/clock';
import { describe, expect, test } from 'vitest';

import { runStep, type StepResult } from '../src/index.ts';
import { createCadence } from '../src/checkpoint-cadence.ts';
import { makeGitRepo } from './fixtures/git-repo.ts';
import { setup, until } from './fixtures/setup.ts';

async function recordsOf(result: StepResult): Promise<readonly CheckpointRecord[]> {
  const { records } = await readCheckpoints(result.paths.checkpointsDir);
  expect(result.metrics.checkpointCount).toBe(records.length);
  expect(result.checkpoint.lastSeq).toBe(records.at(-1)?.seq ?? 0);
  return records;
}

describe('checkpoints of a step', () => {
  test('given a work tree and a test report, when the step ends, summary, tail, diff and report are kept', async () => {
    const { requestOf } = setup();
    const repo = makeGitRepo();
    const line = `echo out; echo changed > file.txt; printf '1..2\\nok 1 - a\\nnot ok 2 - b\\n' > report.tap`;

    const result = await runStep(
      requestOf(line, {
        checkpoint: { summaryHint: 'Before anything', baseRef: 'main', testReport: 'report.tap' },
        runtime: { worktreePath: repo.root, repoRoot: repo.root },
      }),
    );

    const records = await recordsOf(result);
    expect(result.checkpoint.failedCount).toBe(0);
    const types = records.map((record) => record.type);
    expect(types).toEqual(['summary', 'git_diff', 'log_tail', 'git_diff', 'test_output']);
    expect(records[0]).toMatchObject({ summary: 'Before anything' });
    expect(records[1]).toMatchObject({ diffStat: { filesChanged: 0 } });
    expect(records[2]).toMatchObject({ lines: ['out'] });
    expect(records[3]).toMatchObject({ diffStat: { filesChanged: 2 } });
    expect(records[4]).toMatchObject({ totals: { total: 2, failed: 1 } });
    expect(result.checkpoint.startSeq).toBe(2);
  });

  test('given a step that is cancelled, when it is ended, there is a diff from before the kill', async () => {
    const { requestOf } = setup();
    const repo = makeGitRepo();
    const cancelling = new AbortController();
    const line = `trap 'git checkout -q file.txt; exit 1' TERM; echo half > file.txt; echo ready; while :; do sleep 0.02; done`;

    const result = await runStep(
      requestOf(line, { checkpoint: {}, runtime: { worktreePath: repo.root, repoRoot: repo.root } }),
      { signal: cancelling.signal, onOutput: () => cancelling.abort() },
    );

    const diffs = (await recordsOf(result)).filter((record) => record.type === 'git_diff');
    expect(diffs.map((record) => record.diffStat.filesChanged)).toEqual([0, 1, 0]);
  });

  test('given a work tree that is no repository, when captured, it is a warning and the step goes on', async () => {
    const { requestOf, worktree } = setup();

    const result = await runStep(requestOf('echo out', { checkpoint: {}, runtime: { repoRoot: worktree } }));

    expect(result).toMatchObject({ outcome: 'completed', checkpoint: { failedCount: 2 } });
    expect(result.checkpoint.startSeq).toBeUndefined();
    const failures = result.lifecycleEvents.filter((event) => isFailure(event.type));
    expect(failures).toHaveLength(2);
    expect(failures[0]).toMatchObject({ level: 'warn' });
  });

  test('given a step that asks for one, when it says checkpoint, one is taken before the end', async () => {
    const { requestOf, worktree } = setup();
    const line = `echo one; echo '{"kind":"checkpoint","body":{}}' >&3; while [ ! -e go ]; do sleep 0.01; done; echo two`;

    const result = await runStep(requestOf(line, { checkpoint: {} }), {
      sink: {
        lifecycleEvent: ({ type, data }) => {
          if (type === 'checkpoint_written' && data?.['type'] === 'log_tail')
            writeFileSync(join(worktree, 'go'), '');
        },
      },
    });

    const tails = (await recordsOf(result)).filter((record) => record.type === 'log_tail');
    expect(tails.map((record) => record.lines)).toEqual([['one'], ['one', 'two']]);
  });
});

describe('what a step changed', () => {
  test('given a work tree with changes of its user, when a step changes nothing, start and end hold the same tree', async () => {
    const { requestOf } = setup();
    const repo = makeGitRepo();
    writeFileSync(join(repo.root, 'file.txt'), 'mine\n');
    writeFileSync(join(repo.root, 'untracked.txt'), 'mine too\n');

    const result = await runStep(
      requestOf('true', { checkpoint: {}, runtime: { worktreePath: repo.root, repoRoot: repo.root } }),
    );

    const { records } = await readCheckpoints(result.paths.checkpointsDir);
    const diffs = records.filter((record) => record.type === 'git_diff');
    expect(diffs.map(({ diffStat }) => diffStat.filesChanged)).toEqual([2, 2]);
    expect(diffs[0]?.tree).toBe(diffs[1]?.tree);
    expect(result.checkpoint.startSeq).toBe(diffs[0]?.seq);
  });

  test('given a first instruction that changes a file, when captured, the start does not hold the change', async () => {
    const { requestOf } = setup();
    const repo = makeGitRepo();

    const result = await runStep(
      requestOf(['sh', '-c', 'echo changed > file.txt'], {
        checkpoint: {},
        runtime: { worktreePath: repo.root, repoRoot: repo.root },
      }),
    );

    const { records } = await readCheckpoints(result.paths.checkpointsDir);
    const start = records.find(({ seq }) => seq === result.checkpoint.startSeq);
    expect(start).toMatchObject({ type: 'git_diff', diffStat: { filesChanged: 0 } });
  });

  test('given a cancel while the start is captured, when it is done, the step is never started', async () => {
    const { requestOf, worktree } = setup();
    const repo = makeGitRepo();
    const cancelling = new AbortController();

    const result = await runStep(
      requestOf(`touch '${join(worktree, 'ran')}'`, {
        checkpoint: {},
        runtime: { worktreePath: repo.root, repoRoot: repo.root },
      }),
      {
        signal: cancelling.signal,
        sink: {
          lifecycleEvent: ({ data }) => {
            if (data?.['occasion'] === 'start') cancelling.abort('enough');
          },
        },
      },
    );

    expect(result).toMatchObject({ outcome: 'cancelled', reasonText: 'enough' });
    expect(existsSync(join(worktree, 'ran'))).toBe(false);
  });
});

describe('a step whose lease was given up while its start was captured', () => {
  test('given the mark of the guard, which looks at the run no more, the step is never started', async () => {
    const { requestOf, worktree, runsDir } = setup();
    const repo = makeGitRepo();

    const result = await runStep(
      requestOf(`touch '${join(worktree, 'ran')}'`, {
        checkpoint: {},
        runtime: { worktreePath: repo.root, repoRoot: repo.root },
      }),
      {
        sink: {
          lifecycleEvent: ({ data }) => {
            if (data?.['occasion'] === 'start') writeFileSync(join(runsDir, 'task/run-1/lease-ended'), '');
          },
        },
      },
    );

    expect(result).toMatchObject({ outcome: 'lost', reason: 'lease_lost' });
    expect(existsSync(join(worktree, 'ran'))).toBe(false);
  });
});

describe('the test report of a step', () => {
  const REPORT = '1..1\nok 1 - a\n';

  test.for([
    ['from before the step', (path: string) => writeOld(path, REPORT), /before the step began/],
    ['that is not there', () => Promise.resolve(), /there is none/],
  ] as const)(
    'given one %s, when the step ends, it is not taken for its own, and that is said',
    async ([, prepare, words]) => {
      const { requestOf, worktree } = setup();
      await prepare(join(worktree, 'report.tap'));

      const result = await runStep(requestOf('echo out', { checkpoint: { testReport: 'report.tap' } }));

      const records = await recordsOf(result);
      expect(records.some(({ type }) => type === 'test_output')).toBe(false);
      expect(result).toMatchObject({ outcome: 'completed', checkpoint: { failedCount: 1 } });
      expect(result.lifecycleEvents.find(({ type }) => isFailure(type))?.message).toMatch(words);
    },
  );
});

describe('a step that asks for checkpoints without end', () => {
  test('given a capture that took its time, when the step goes on asking, they keep to the cadence', async () => {
    const { requestOf } = setup();
    const line = `for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do echo line $i; echo '{"kind":"checkpoint","body":{}}' >&3; sleep 0.01; done`;
    const real = createRealClock();
    // A wait that is counted on this clock lasts a hundred times as long on the real one: longer than the step.
    const clock = { ...real, monotonicMs: () => real.monotonicMs() * 100 };
    let requested = 0;

    const result = await runStep(requestOf(line, { checkpoint: {} }), {
      clock,
      sink: {
        lifecycleEvent: ({ data }) => {
          if (data?.['occasion'] === 'requested') requested += 1;
        },
      },
    });

    // The first ones, until one comes too early and waits for the end together with all that follow.
    expect(requested).toBeGreaterThan(1);
    expect(requested).toBeLessThan(10);
    const tail = (await recordsOf(result)).findLast(({ type }) => type === 'log_tail');
    expect(tail).toMatchObject({ lines: Array.from({ length: 20 }, (_, index) => `line ${index + 1}`) });
  });
});

/** Writes a file and comes back when the clock has left its time behind. */
async function writeOld(path: string, content: string): Promise<void> {
  writeFileSync(path, content);
  const { ctimeMs } = statSync(path);
  await until('its time to be the past', () => createRealClock().nowMs() > ctimeMs + 100);
}

/** A word of this package's own. */
function isFailure(type: string): boolean {
  return type === 'checkpoint_failed';
}

describe('the cadence', () => {
  test('given a costly capture, when asked, the next is due only after 20 times its cost, and only after a change', async () => {
    const clock = createManualClock();
    const cadence = createCadence({ clock, everySec: 1, countLines: () => 0 });

    await clock.advance(1000);
    expect(cadence.isDue(true)).toBe(true);
    cadence.noteCapture(500);
    await clock.advance(9999);
    expect(cadence.isDue(true)).toBe(false);
    await clock.advance(1);
    expect(cadence.isDue(false)).toBe(true);
    cadence.noteCapture(1);
    await clock.advance(60_000);
    expect(cadence.isDue(false)).toBe(false);
  });
});
