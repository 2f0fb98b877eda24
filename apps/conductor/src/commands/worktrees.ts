/** `conductor worktrees list|prune`: the git work trees made for tasks. */
import type { Command } from 'commander';

import {
  type CliOptions,
  type Context,
  createContext,
  createReadingContext,
  withCommonOptions,
} from '../context.ts';
import { parseDuration } from '../duration.ts';
import { ConductorError } from '../errors.ts';
import { findGitPlace, noGitPlace } from '../git-place.ts';
import type { CliIo } from '../io.ts';
import type { Settings } from '../settings.ts';
import {
  listTaskWorktrees,
  pruneTaskWorktrees,
  type TaskWorktree,
  type TaskWorktreesOptions,
} from '../task-worktrees.ts';
import { formatBytes } from '../terminal/bytes.ts';
import { plural } from '../terminal/plural.ts';
import { formatTable } from '../terminal/table.ts';
import { formatRelative } from '../terminal/time.ts';
import {
  pruneWorktreesView,
  toPruneWorktreesView,
  toWorktreeView,
  worktreeListView,
} from '../views/upkeep-views.ts';
import { withStoreThatIsThere } from '../wire.ts';

const SETTINGS_HERE: readonly (keyof Settings)[] = ['store', 'stateDir', 'runsDir', 'worktreesDir'];

/** Adds `worktrees` and its subcommands. */
export function addWorktreesCommand(program: Command, io: CliIo): void {
  const worktrees = program
    .command('worktrees')
    .description('git work trees made for tasks')
    .addHelpText('after', '\nExamples:\n  conductor worktrees\n  conductor worktrees prune --dry-run');
  addList(worktrees, io);
  addPrune(worktrees, io);
}

function addList(worktrees: Command, io: CliIo): void {
  withCommonOptions(
    worktrees
      .command('list', { isDefault: true })
      .description('every work tree of a task, its size and state')
      .addHelpText('after', '\nExample:\n  conductor worktrees list'),
    SETTINGS_HERE,
  ).action(async (options: CliOptions) => {
    const context = createReadingContext(io, options);
    const listed = await withWorktrees(context, listTaskWorktrees);
    if (context.json) {
      context.printJson(worktreeListView, { worktrees: listed.map(toWorktreeView), nextCursor: null });
    } else printWorktrees(context, listed);
  });
}

function addPrune(worktrees: Command, io: CliIo): void {
  withCommonOptions(
    worktrees
      .command('prune')
      .description('remove work trees of ended tasks that hold nothing which exists nowhere else')
      .option('--older-than <duration>', 'only those made longer ago than this', '0s')
      .option('--dry-run', 'only say what would go')
      .addHelpText('after', '\nExample:\n  conductor worktrees prune --older-than 7d --dry-run'),
    SETTINGS_HERE,
  ).action(async (options: CliOptions) => {
    const { olderThan, dryRun, ...common } = options;
    const context = createContext(io, common);
    const olderThanMs = parseDuration(String(olderThan));
    if (olderThanMs === undefined) {
      throw new ConductorError(
        'usage',
        `Cannot use --older-than "${String(olderThan)}": expected a duration such as 7d`,
      );
    }
    const limits = { maxAgeMs: olderThanMs, dryRun: dryRun === true };
    const result = await withWorktrees(context, (place) => pruneTaskWorktrees(place, limits));
    if (context.json) {
      context.printJson(pruneWorktreesView, toPruneWorktreesView(result, limits.dryRun));
      return;
    }
    for (const { path } of result.removed) context.print(`${path}\n`);
    for (const { entry, why } of result.kept) {
      context.print(`${context.paint('warn', 'kept')} ${entry.path}: ${why}\n`);
    }
    const verb = limits.dryRun ? 'would remove' : 'removed';
    const bytes = result.removed.reduce((sum, entry) => sum + entry.bytes, 0);
    context.print(`${verb} ${plural(result.removed.length, 'work tree')}, ${formatBytes(bytes)}\n`);
  });
}

async function withWorktrees<Result>(
  context: Context,
  use: (place: TaskWorktreesOptions) => Promise<Result>,
): Promise<Result> {
  const { rootDir, settings } = context.config;
  const git = await findGitPlace(rootDir);
  if (git === undefined) {
    const hint = 'Work trees are made for jobs with `worktree`, which need a repository.';
    throw await noGitPlace('Cannot list work trees', rootDir, hint);
  }
  const { repoRoot } = git;
  return withStoreThatIsThere(context, (store) =>
    use({ repoRoot, store, settings, clock: context.io.clock }),
  );
}

function printWorktrees(context: Context, worktrees: readonly TaskWorktree[]): void {
  if (worktrees.length === 0) {
    context.print(`no work trees in ${context.config.settings.worktreesDir}\n`);
    return;
  }
  const nowMs = context.io.clock.nowMs();
  context.print(
    formatTable(
      worktrees,
      [
        { head: 'TASK', cell: (worktree) => worktree.taskId },
        { head: 'MADE', cell: (worktree) => formatRelative(nowMs - worktree.ageMs, nowMs) },
        { head: 'SIZE', cell: (worktree) => formatBytes(worktree.bytes), align: 'right' },
        { head: 'STATE', cell: stateOf },
        { head: 'BRANCH', cell: (worktree) => worktree.branch ?? '-' },
      ],
      context.paint,
    ),
  );
}

function stateOf(worktree: TaskWorktree): string {
  if (worktree.isMissing) return 'missing';
  if (worktree.isTaskLive) return 'task runs';
  return worktree.isLocked ? 'locked' : 'task ended';
}
