/** Checkpoints of a running step: at the start, while something changes, before a kill, and at the end. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { readCheckpoints, type CheckpointRecord } from '@conductor-run/checkpointing';
import { createManualClock } from '@conductor-run/clock';
import { describe, expect, test } from 'vitest';

import { runStep, type StepResult } from '../src/index.ts';
import { createCadence } from '../src/checkpoint-cadence.ts';
import { makeGitRepo } from './fixtures/git-repo.ts';
import { setup } from './fixtures/setup.ts';

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
    expect(records.map((record) => record.type)).toEqual(['summary', 'log_tail', 'git_diff', 'test_output']);
    expect(records[0]).toMatchObject({ summary: 'Before anything' });
    expect(records[1]).toMatchObject({ lines: ['out'] });
    expect(records[2]).toMatchObject({ diffStat: { filesChanged: 2 } });
    expect(records[3]).toMatchObject({ totals: { total: 2, failed: 1 } });
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
    expect(diffs.map((record) => record.diffStat.filesChanged)).toEqual([1, 0]);
  });

  test('given a work tree that is no repository, when captured, it is a warning and the step goes on', async () => {
    const { requestOf, worktree } = setup();

    const result = await runStep(requestOf('echo out', { checkpoint: {}, runtime: { repoRoot: worktree } }));

    expect(result).toMatchObject({ outcome: 'completed', checkpoint: { failedCount: 1 } });
    const failures = result.lifecycleEvents.filter((event) => isFailure(event.type));
    expect(failures).toHaveLength(1);
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
