/** `conductor checkpoints replay|restore|fork`: bringing a snapshot back. */
import path from 'node:path';

import {
  createCheckpointManager,
  forkCheckpoint,
  type GitDiffRecord,
  readCheckpoints,
  replayCheckpoint,
  type RestoredSnapshot,
  restoreCheckpoint,
} from '@conductor-run/checkpointing';
import { createRun, resolveRunPaths } from '@conductor-run/logging';
import type { Command } from 'commander';
import { ulid } from 'ulid';

import { parseSeq, requireGitDiff } from '../checkpoint-selector.ts';
import { type CliOptions, type Context, createContext, withCommonOptions } from '../context.ts';
import { ConductorError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import type { CliIo } from '../io.ts';
import { selectRun } from '../run-selector.ts';
import { ensureStateDir } from '../state-dir.ts';
import { newTaskId } from '../step-request.ts';
import { stripControl } from '../terminal/style.ts';
import {
  forkView,
  replayView,
  restoreView,
  toForkView,
  toReplayView,
  toRestoreView,
} from '../views/snapshot-views.ts';

/** Adds `checkpoints replay`, `restore` and `fork`. */
export function addBringBackCommands(
  checkpoints: Command,
  io: CliIo,
  finish: (exitCode: number) => void,
): void {
  addReplay(checkpoints, io, finish);
  addRestore(checkpoints, io);
  addFork(checkpoints, io);
}

function addReplay(checkpoints: Command, io: CliIo, finish: (exitCode: number) => void): void {
  withCommonOptions(
    checkpoints
      .command('replay <run> [seq]')
      .description('bring a snapshot back as a new work tree and prove that it is exact')
      .requiredOption('--into <dir>', 'the new work tree; must not exist or be empty')
      .option('--from <source>', 'ref or patch; default: the ref where the repository has it')
      .option('--onto <commit>', 'another commit to merge the changes onto')
      .option('--repo <dir>', 'a repository that has the base; default: where the snapshot was taken')
      .addHelpText('after', '\nExample:\n  conductor checkpoints replay last --into /tmp/again --from patch'),
  ).action(async (selector: string, seq: string | undefined, options: CliOptions) => {
    const { into, from, onto, repo, ...common } = options;
    const context = createContext(io, common);
    const record = await findSnapshot(context, selector, seq);
    const source = parseSource(from);
    const result = await replayCheckpoint(record, {
      directory: path.resolve(io.cwd, String(into)),
      ...(source !== undefined && { from: source }),
      ...(typeof onto === 'string' && { onto }),
      ...(typeof repo === 'string' && { repo: path.resolve(io.cwd, repo) }),
    });
    if (result.outcome === 'conflicts') finish(EXIT.failed);
    if (context.json) {
      context.printJson(replayView, toReplayView(record, result));
    } else if (result.outcome === 'conflicts') {
      context.print(`${context.paint('bad', 'conflicts')}: nothing was made\n`);
      for (const conflict of result.conflicts) context.print(`  ${stripControl(conflict.path)}\n`);
    } else {
      context.print(
        `${context.paint('good', 'replayed')} ${record.checkpointId} from its ${result.source} into ${result.worktree}\ntree ${result.tree}${result.tree === record.tree ? ', as recorded' : ', merged'}\n`,
      );
    }
  });
}

function addRestore(checkpoints: Command, io: CliIo): void {
  withCommonOptions(
    checkpoints
      .command('restore <run> [seq]')
      .description('make an existing work tree equal to a snapshot; what is there is recorded first')
      .option('--worktree <dir>', 'top of the work tree; default: where the snapshot was taken')
      .addHelpText('after', '\nExample:\n  conductor checkpoints restore last 3'),
  ).action(async (selector: string, seq: string | undefined, options: CliOptions) => {
    const { worktree, ...common } = options;
    const context = createContext(io, common);
    const record = await findSnapshot(context, selector, seq);
    const target = typeof worktree === 'string' ? path.resolve(io.cwd, worktree) : record.worktree;
    const { runId, result } = await restoreAsRun(context, record, target);
    if (context.json) {
      context.printJson(restoreView, toRestoreView(record.checkpointId, runId, result));
      return;
    }
    context.print(
      `${context.paint('good', 'restored')} ${record.checkpointId}: ${result.written} files written, ${result.removed} removed\n`,
    );
    context.print(`to undo: conductor checkpoints restore ${runId}\n`);
    for (const left of result.untouched)
      context.print(`  untouched: ${stripControl(left.path)} (${left.reason})\n`);
  });
}

function addFork(checkpoints: Command, io: CliIo): void {
  withCommonOptions(
    checkpoints
      .command('fork <run> [seq]')
      .description('a new work tree and branch from a snapshot, its changes uncommitted')
      .requiredOption('--into <dir>', 'the new work tree; must not exist or be empty')
      .requiredOption('--branch <name>', 'the new branch')
      .addHelpText('after', '\nExample:\n  conductor checkpoints fork last --into ../retry --branch retry'),
  ).action(async (selector: string, seq: string | undefined, options: CliOptions) => {
    const { into, branch, ...common } = options;
    const context = createContext(io, common);
    const record = await findSnapshot(context, selector, seq);
    const result = await forkCheckpoint(record, {
      directory: path.resolve(io.cwd, String(into)),
      branch: String(branch),
    });
    if (context.json) {
      context.printJson(forkView, toForkView(record.checkpointId, String(branch), result));
    } else
      context.print(`${context.paint('good', 'forked')} ${result.worktree} on branch ${String(branch)}\n`);
  });
}

/** What was there before a restore becomes a run of its own, so that it is found and brought back like any other. */
async function restoreAsRun(
  context: Context,
  record: GitDiffRecord,
  worktree: string,
): Promise<{ readonly runId: string; readonly result: RestoredSnapshot }> {
  const { settings } = context.config;
  const { clock } = context.io;
  ensureStateDir(settings.stateDir);
  const runId = ulid(clock.nowMs());
  const taskId = newTaskId('restore', clock);
  const paths = resolveRunPaths({ runsDir: settings.runsDir, taskId, runId });
  const step = {
    stepId: 'restore',
    stepName: 'restore',
    stepKind: 'git',
    workerKind: 'function',
    attempt: 1,
  };
  await using writer = await createRun(paths, { ...step, worktreePath: worktree }, { clock });
  await writer.updateState({ status: 'running' });
  try {
    const manager = createCheckpointManager({
      taskId,
      stepId: step.stepId,
      runId,
      directory: paths.checkpointsDir,
      clock,
    });
    const result = await restoreCheckpoint(record, { worktree, manager });
    const summary = `Restored ${record.checkpointId}: ${result.written} files written, ${result.removed} removed`;
    await writer.updateState({ status: 'completed', checkpointSeq: result.before.seq, summary });
    return { runId, result };
  } catch (error) {
    const summary = error instanceof Error ? error.message : String(error);
    await writer.updateState({ status: 'failed', summary });
    throw error;
  }
}

async function findSnapshot(
  context: Context,
  selector: string,
  seq: string | undefined,
): Promise<GitDiffRecord> {
  const run = await selectRun(context.config.settings.runsDir, selector, context.io.clock);
  const { records } = await readCheckpoints(run.paths.checkpointsDir);
  return requireGitDiff(records, run.paths.runId, parseSeq(seq));
}

function parseSource(value: CliOptions[string]): 'ref' | 'patch' | undefined {
  if (value === undefined || value === 'ref' || value === 'patch') return value;
  throw new ConductorError('usage', `Cannot use --from "${String(value)}": expected ref or patch`);
}
