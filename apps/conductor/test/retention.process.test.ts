import { existsSync, mkdirSync, readdirSync, renameSync, utimesSync } from 'node:fs';
import path from 'node:path';

import { createRealClock } from '@conductor-run/clock';
import { openJobStore } from '@conductor-run/job-store';
import { describe, expect, onTestFinished, test } from 'vitest';

import { pruneTaskWorktrees } from '../src/task-worktrees.ts';
import { logOf, TIMES } from './fixtures/daemon.ts';
import { createScratch, type Scratch, until } from './fixtures/scratch.ts';
import { beginRun } from './fixtures/written-run.ts';

const WAIT = 'while [ ! -e ../../../go ] && [ ! -e go ]; do sleep 0.05; done';

async function runsOf(scratch: Scratch): Promise<readonly { job: string; status: string }[]> {
  const { stdout } = await scratch.conductor('runs', 'list', '--limit', '10000', '--json');
  return (JSON.parse(stdout) as { runs: { job: string; status: string }[] }).runs;
}

/** The work tree as it would be a week later. */
function age(scratch: Scratch, worktree: string): void {
  const weekAgo = new Date(Date.parse('2026-01-01'));
  utimesSync(path.join(scratch.dir, '.conductor/worktrees', worktree, '.git'), weekAgo, weekAgo);
}

function repository(config: string): Scratch {
  const scratch = createScratch({ 'conductor.yaml': config, 'a.txt': 'one\n' });
  scratch.git('init', '--quiet', '--initial-branch=main');
  scratch.git('add', '--all');
  scratch.git('commit', '--quiet', '--message=start');
  return scratch;
}

describe('retention', () => {
  test('given more runs than are kept, the oldest go, but no step of a task that is at work', async () => {
    const scratch = createScratch({
      'conductor.yaml': `${TIMES}retainRuns: 1
retentionEveryTicks: 1
jobs:
  two:
    steps:
      - { name: first, command: "true" }
      - { name: second, command: "while [ ! -e go ]; do sleep 0.05; done" }
`,
    });
    const task = scratch.start('run', 'two');
    await until('the second step runs', async () =>
      (await runsOf(scratch)).some((run) => run.status === 'running'),
    );
    for (let count = 0; count < 3; count += 1) await scratch.conductor('exec', '--', 'true');
    scratch.start('start');
    await until('old runs went', () => logOf(scratch, 'retention.removed').length > 0);
    const runs = await runsOf(scratch);

    scratch.write({ go: '' });

    expect(runs.filter((run) => run.job === 'exec')).toHaveLength(1);
    expect(
      runs
        .filter((run) => run.job === 'two')
        .map((run) => run.status)
        .toSorted(),
    ).toEqual(['completed', 'running']);
    expect((await task.ended).exitCode).toBe(0);
  });

  test('given every limit is 0, nothing goes', async () => {
    const scratch = createScratch({
      'conductor.yaml': `${TIMES}retainRuns: 0
retainRunsDays: 0
retainHistoryDays: 0
retainWorktreesDays: 0
retentionEveryTicks: 1
jobs:
  tick: { command: "true", schedule: { every: 300ms } }
`,
    });
    await scratch.conductor('exec', '--', 'true');
    scratch.start('start');
    await until('slots ran', async () => (await runsOf(scratch)).length >= 4);

    expect((await runsOf(scratch)).some((run) => run.job === 'exec')).toBe(true);
    expect(logOf(scratch, 'retention.removed')).toEqual([]);
  });
});

describe('conductor worktrees', () => {
  test('given old work trees, only those go that hold nothing and whose task has ended', async () => {
    const scratch = repository(`jobs:
  live: { command: "${WAIT}", worktree: { base: main } }
  dirty: { command: "echo two >> a.txt", worktree: { base: main } }
`);
    await scratch.conductor('run', 'dirty');
    const live = scratch.start('run', 'live');
    const folder = path.join(scratch.dir, '.conductor/worktrees');
    await until('the live one is there', async () =>
      (await runsOf(scratch)).some((run) => run.job === 'live'),
    );
    scratch.git('worktree', 'add', '--quiet', '-b', 'conductor/left', '.conductor/worktrees/left', 'main');
    scratch.git('worktree', 'add', '--quiet', '-b', 'mine', '../mine', 'main');
    for (const name of readdirSync(folder)) age(scratch, name);

    const dry = await scratch.conductor('worktrees', 'prune', '--dry-run', '--json');
    const afterDry = readdirSync(folder).length;
    const { stdout } = await scratch.conductor('worktrees', 'prune', '--older-than', '1d');
    const listed = await scratch.conductor('worktrees', 'list', '--json');

    expect((JSON.parse(dry.stdout) as { removed: unknown[] }).removed).toHaveLength(2);
    expect(afterDry).toBe(3);
    expect(stdout).toContain('removed 1 work tree, ');
    expect(stdout).toContain('changed or untracked files');
    expect(
      (JSON.parse(listed.stdout) as { worktrees: { taskId: string; isTaskLive: boolean }[] }).worktrees.map(
        ({ taskId, isTaskLive }) => [taskId.replace(/-.*/, ''), isTaskLive],
      ),
    ).toEqual(
      expect.arrayContaining([
        ['dirty', false],
        ['live', true],
      ]),
    );
    expect(existsSync(path.join(scratch.dir, '../mine/a.txt'))).toBe(true);
    scratch.write({ go: '' });
    expect((await live.ended).exitCode).toBe(0);
  });

  test('given a task that begins while the trees are looked at, its tree stays however old it looks', async () => {
    const scratch = repository('jobs: {}\n');
    const { taskId } = await beginRun(path.join(scratch.dir, 'later'), 'late');
    const worktreesDir = path.join(scratch.dir, '.conductor/worktrees');
    const runsDir = path.join(scratch.dir, '.conductor/runs');
    const worktree = `.conductor/worktrees/${taskId}`;
    scratch.git('worktree', 'add', '--quiet', '-b', `conductor/${taskId}`, worktree, 'main');
    age(scratch, taskId);
    const real = createRealClock();
    const store = await openJobStore({ path: path.join(scratch.dir, 'store.db'), clock: real });
    onTestFinished(() => store.close());
    mkdirSync(runsDir);
    const began = path.join(scratch.dir, 'later/.conductor/runs', taskId);
    const clock = {
      ...real,
      // Ages are told once the trees are listed: only now is there a run.
      nowMs() {
        if (existsSync(began)) renameSync(began, path.join(runsDir, taskId));
        return real.nowMs();
      },
    };

    const { removed } = await pruneTaskWorktrees(
      { repoRoot: scratch.dir, store, settings: { worktreesDir, runsDir }, clock },
      { maxAgeMs: 0, dryRun: false },
    );

    expect(removed).toEqual([]);
    expect(existsSync(path.join(scratch.dir, worktree, 'a.txt'))).toBe(true);
  });

  test('given no repository, it says so', async () => {
    const scratch = createScratch();

    const { exitCode, stderr } = await scratch.conductor('worktrees');

    expect(exitCode).toBe(1);
    expect(stderr).toContain('is not in a git repository');
  });
});
