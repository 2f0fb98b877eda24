/** Config, store, work trees and what else keeps a place in order, as `--json` and the HTTP API show them. */
import type { PruneWorktreesResult, WorktreeEntry } from '@conductor-run/worker-runner';
import { z } from 'zod';

import type { CommandNode } from '../command-tree.ts';
import type { TaskWorktree } from '../task-worktrees.ts';
import type {
  BackupView,
  CommandView,
  CompletionView,
  ConfigCheckView,
  ConfigView,
  DoctorView,
  ExportView,
  FindingView,
  ImportView,
  InitView,
  KeptWorktreeView,
  MigrateView,
  OptionView,
  PruneStoreView,
  PruneWorktreesView,
  SettingView,
  WorktreeListView,
  WorktreeView,
} from './types.ts';
import { count, flag, listOf, nextCursor, oneOf, orNull, text, view } from './view.ts';

const storeFile = text('The file of the store, absolute');

/** `init`. */
export const initView: z.ZodType<InitView> = view<InitView>('InitView', 'A new config', {
  path: text('The file that was written, absolute'),
});

const settingView: z.ZodType<SettingView> = view<SettingView>(
  'SettingView',
  'A setting and where it came from',
  {
    key: text('Its key in the config file'),
    value: z.union([z.string(), z.number()]).describe('What is in force; secrets are never shown'),
    source: oneOf(['flag', 'environment', 'file', 'default'], 'Where it came from'),
  },
);

/** `config show`. */
export const configView: z.ZodType<ConfigView> = view<ConfigView>('ConfigView', 'What is in force', {
  configPath: orNull(text('The config file, absolute')),
  settings: listOf(settingView, 'Every setting'),
  jobs: listOf(text('A job'), 'The jobs of the config'),
});

/** `config check`. */
export const configCheckView: z.ZodType<ConfigCheckView> = view<ConfigCheckView>(
  'ConfigCheckView',
  'A config that can be used; one that cannot is an error',
  {
    isUsable: flag('Always true'),
    configPath: text('The config file, absolute'),
    jobs: listOf(text('A job'), 'The jobs of the config'),
    warnings: listOf(text('One sentence'), 'What can be used and is hardly meant'),
  },
);

const findingView: z.ZodType<FindingView> = view<FindingView>('FindingView', 'What a check came to', {
  name: text('The check'),
  status: oneOf(['ok', 'warn', 'bad'], 'warn will bite one day, bad bites now'),
  detail: text('What was seen'),
  mend: orNull(text('How to mend it')),
});

/** `doctor`. */
export const doctorView: z.ZodType<DoctorView> = view<DoctorView>('DoctorView', 'What will bite at night', {
  isHealthy: flag('Whether nothing is bad'),
  checks: listOf(findingView, 'In the order they were made'),
});

/** `store migrate`. */
export const migrateView: z.ZodType<MigrateView> = view<MigrateView>(
  'MigrateView',
  'A store that is up to date',
  {
    path: storeFile,
    isCurrent: flag('Always true'),
  },
);

/** `store backup`. */
export const backupView: z.ZodType<BackupView> = view<BackupView>('BackupView', 'A copy of the store', {
  path: text('The copy, absolute'),
});

/** `store export`. */
export const exportView: z.ZodType<ExportView> = view<ExportView>('ExportView', 'An export of the store', {
  path: text('The file that was written, absolute'),
  lines: count('Its lines'),
});

/** `store import`. */
export const importView: z.ZodType<ImportView> = view<ImportView>('ImportView', 'An import into the store', {
  path: storeFile,
  records: count('Records that were taken in'),
});

/** `store prune`. */
export const pruneStoreView: z.ZodType<PruneStoreView> = view<PruneStoreView>(
  'PruneStoreView',
  'What the store forgot',
  { attempts: count('Attempts'), jobs: count('Jobs') },
);

const worktree = {
  taskId: text('The task it was made for'),
  path: text('Where it is, absolute'),
  branch: orNull(text('Its branch')),
  head: text('The commit it stands on'),
  bytes: count('Its size'),
  ageMs: count('How long ago it was made, milliseconds'),
  isLocked: flag('Whether git keeps it from being removed'),
  isMissing: flag('Whether its folder is gone'),
};

/** One work tree. */
const worktreeView: z.ZodType<WorktreeView> = view<WorktreeView>('WorktreeView', 'A work tree of a task', {
  ...worktree,
  isTaskLive: flag('Whether its task has not ended'),
});

/** `worktrees list`. */
export const worktreeListView: z.ZodType<WorktreeListView> = view<WorktreeListView>(
  'WorktreeListView',
  'Work trees of tasks, one page',
  { worktrees: listOf(worktreeView, 'Oldest first'), nextCursor },
);

const keptWorktreeView: z.ZodType<KeptWorktreeView> = view<KeptWorktreeView>(
  'KeptWorktreeView',
  'A work tree that stays',
  { path: worktree.path, why: text('Why') },
);

/** `worktrees prune`. */
export const pruneWorktreesView: z.ZodType<PruneWorktreesView> = view<PruneWorktreesView>(
  'PruneWorktreesView',
  'What pruning work trees removed',
  {
    removed: listOf(worktree.path, 'Those that went'),
    freedBytes: count('Bytes they took together'),
    kept: listOf(keptWorktreeView, 'Those that hold something'),
    isDryRun: flag('Whether this only says what would be looked at'),
  },
);

const optionView: z.ZodType<OptionView> = view<OptionView>('OptionView', 'An option of a command', {
  flags: text('As in the help, such as -f, --follow'),
  long: text('Such as --follow'),
  short: orNull(text('Such as -f')),
  description: text('What it does'),
  takesValue: flag('Whether a value follows'),
  defaultValue: orNull(text('What it is when not given')),
});

const commandView: z.ZodType<CommandView> = view<CommandView>('CommandView', 'A command', {
  path: text('Its words behind the name of the program'),
  description: text('What it does'),
  args: listOf(text('Such as <job>'), 'Its arguments'),
  options: listOf(optionView, 'Its options'),
  children: listOf(
    z.lazy(() => commandView),
    'The commands below it',
  ),
  isCallable: flag('Whether it can be called, or only its children can'),
});

/** `completion`. */
export const completionView: z.ZodType<CompletionView> = view<CompletionView>(
  'CompletionView',
  'What a completion script is made from',
  { shell: oneOf(['bash', 'zsh', 'fish'], 'For which shell'), program: commandView },
);

/** Shows a command and all below it. */
export function toCommandView(node: CommandNode): CommandView {
  const { path, description, args, options, children, isCallable } = node;
  return {
    path,
    description,
    args,
    options: options.map(({ short, defaultValue, ...option }) => ({
      ...option,
      short: short ?? null,
      defaultValue: defaultValue ?? null,
    })),
    children: children.map(toCommandView),
    isCallable,
  };
}

/** Shows a work tree. */
export function toWorktreeView(entry: TaskWorktree): WorktreeView {
  const { taskId, isTaskLive } = entry;
  return { taskId, ...toEntry(entry), isTaskLive };
}

function toEntry(entry: WorktreeEntry): Omit<WorktreeView, 'taskId' | 'isTaskLive'> {
  const { path, branch, head, bytes, ageMs, isLocked, isMissing } = entry;
  return { path, branch: branch ?? null, head, bytes, ageMs: Math.round(ageMs), isLocked, isMissing };
}

/** Shows what pruning did. */
export function toPruneWorktreesView(result: PruneWorktreesResult, isDryRun: boolean): PruneWorktreesView {
  return {
    removed: result.removed.map((entry) => entry.path),
    freedBytes: result.removed.reduce((sum, entry) => sum + entry.bytes, 0),
    kept: result.kept.map(({ entry, why }) => ({ path: entry.path, why })),
    isDryRun,
  };
}
