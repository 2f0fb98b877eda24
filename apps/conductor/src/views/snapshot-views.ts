/** What is done with checkpoints — verified, brought back, removed — as `--json` shows it. */
import type {
  PruneResult,
  ReplayConflicts,
  ReplayedSnapshot,
  RestoredSnapshot,
  VerifyReport,
} from '@conductor-run/checkpointing';
import type { z } from 'zod';

import { leftOutPathView, toLeftOutPathView } from './checkpoint-views.ts';
import type {
  CheckpointProblemView,
  ForkView,
  PruneCheckpointsView,
  ReplayView,
  RestoreView,
  UnreachableRepositoryView,
  VerifyView,
} from './types.ts';
import { count, listOf, oneOf, orNull, text, view } from './view.ts';

const runId = text("The run's id, a ULID");
const checkpointId = text("The checkpoint's id");
const filePath = text('Path within the work tree');

const checkpointProblemView: z.ZodType<CheckpointProblemView> = view<CheckpointProblemView>(
  'CheckpointProblemView',
  'Why a checkpoint cannot be trusted',
  {
    seq: count('The checkpoint'),
    problem: oneOf(
      ['file-missing', 'file-changed', 'original-missing', 'ref-unusable', 'patch-unusable'],
      'What is wrong',
    ),
    detail: text('One sentence'),
  },
);

/** `checkpoints verify`. */
export const verifyView: z.ZodType<VerifyView> = view<VerifyView>(
  'VerifyView',
  'Whether checkpoints are exact',
  {
    runId,
    verified: listOf(count('A checkpoint'), 'Those that are exact'),
    problems: listOf(checkpointProblemView, 'Those that are not'),
    skippedLines: listOf(count('A line number'), 'Lines of the index that could not be read'),
    unfinished: listOf(count('A checkpoint'), 'Those whose writer died'),
  },
);

/** `checkpoints replay`. */
export const replayView: z.ZodType<ReplayView> = view<ReplayView>('ReplayView', 'A snapshot brought back', {
  checkpointId,
  recordedTree: text('The tree of the snapshot'),
  outcome: oneOf(['replayed', 'conflicts'], 'Whether it was; with conflicts nothing is made'),
  source: orNull(oneOf(['ref', 'patch'], 'What it was brought back from')),
  worktree: orNull(text('The new work tree, absolute')),
  head: orNull(text('The commit it stands on')),
  tree: orNull(text('The tree it has; the recorded one unless it was merged onto another commit')),
  filtered: listOf(filePath, 'Files a filter of git changes when checked out'),
  conflicts: listOf(filePath, 'Files that conflict'),
});

/** `checkpoints restore`. */
export const restoreView: z.ZodType<RestoreView> = view<RestoreView>(
  'RestoreView',
  'A work tree made equal',
  {
    checkpointId,
    undoRunId: text('The run that recorded what was there before'),
    written: count('Files written'),
    removed: count('Files removed'),
    untouched: listOf(leftOutPathView, 'Files that were left alone'),
  },
);

/** `checkpoints fork`. */
export const forkView: z.ZodType<ForkView> = view<ForkView>('ForkView', 'A branch made of a snapshot', {
  checkpointId,
  branch: text('The new branch'),
  worktree: text('The new work tree, absolute'),
  head: text('The commit it stands on'),
  tree: text('The tree it has'),
});

const unreachableRepositoryView: z.ZodType<UnreachableRepositoryView> = view<UnreachableRepositoryView>(
  'UnreachableRepositoryView',
  'A repository whose refs could not be removed',
  { repository: text('Its git directory, absolute'), reason: text('Why') },
);

/** `checkpoints prune`. */
export const pruneCheckpointsView: z.ZodType<PruneCheckpointsView> = view<PruneCheckpointsView>(
  'PruneCheckpointsView',
  'What pruning checkpoints removed',
  {
    runId,
    removed: listOf(count('A checkpoint'), 'Those that went'),
    kept: listOf(count('A checkpoint'), 'Those that stay'),
    removedRefs: listOf(text('A ref'), 'Refs that went'),
    unreachable: listOf(unreachableRepositoryView, 'Repositories that could not be reached'),
  },
);

/** Shows whether checkpoints are exact. */
export function toVerifyView(id: string, report: VerifyReport): VerifyView {
  const { verified, problems, skippedLines, unfinished } = report;
  return { runId: id, verified, problems, skippedLines, unfinished };
}

/** Shows a snapshot that was brought back, or was not. */
export function toReplayView(
  record: { readonly checkpointId: string; readonly tree: string },
  result: ReplayedSnapshot | ReplayConflicts,
): ReplayView {
  const made = result.outcome === 'replayed' ? result : undefined;
  return {
    checkpointId: record.checkpointId,
    recordedTree: record.tree,
    outcome: result.outcome,
    source: made?.source ?? null,
    worktree: made?.worktree ?? null,
    head: made?.head ?? null,
    tree: made?.tree ?? null,
    filtered: made?.filtered.map((each) => each.path) ?? [],
    conflicts: result.outcome === 'conflicts' ? result.conflicts.map((each) => each.path) : [],
  };
}

/** Shows a work tree that was made equal. */
export function toRestoreView(id: string, undoRunId: string, result: RestoredSnapshot): RestoreView {
  const { written, removed, untouched } = result;
  return { checkpointId: id, undoRunId, written, removed, untouched: untouched.map(toLeftOutPathView) };
}

/** Shows a branch that was made. */
export function toForkView(id: string, branch: string, result: ReplayedSnapshot): ForkView {
  const { worktree, head, tree } = result;
  return { checkpointId: id, branch, worktree, head, tree };
}

/** Shows what pruning did. */
export function toPruneCheckpointsView(id: string, result: PruneResult): PruneCheckpointsView {
  const { removed, kept, removedRefs, unreachable } = result;
  return { runId: id, removed, kept, removedRefs, unreachable };
}
