/** Checkpoints of a run, as `--json` and the HTTP API show them. */
import type {
  CheckpointDiff,
  CheckpointRecord,
  FileDiff,
  GitDiffRecord,
  LeftOutPath,
} from '@conductor-run/checkpointing';
import { z } from 'zod';

import type {
  CheckpointDetailView,
  CheckpointDiffView,
  CheckpointFileView,
  CheckpointListView,
  CheckpointView,
  DiffStatView,
  FileDiffView,
  GitDiffView,
  LeftOutPathView,
  LogTailView,
  RunDiffView,
  SummaryView,
  TestFailureView,
  TestOutputView,
} from './types.ts';
import { anyJson, atMs, count, flag, listOf, oneOf, orNull, text, view } from './view.ts';

const runId = text("The run's id, a ULID");
const filePath = text('Path within the work tree');

const checkpointFileView: z.ZodType<CheckpointFileView> = view<CheckpointFileView>(
  'CheckpointFileView',
  'A file of a checkpoint',
  {
    fileName: text('Its name in the directory of the checkpoint'),
    format: text('What it holds, such as git-patch'),
    mediaType: text('Its media type'),
    bytes: count('Its size'),
    sha256: text('Its SHA-256, hexadecimal'),
  },
);

const common = {
  checkpointId: text("The checkpoint's id"),
  seq: count('Its number within the run, from 1'),
  runId,
  taskId: text('The task it belongs to'),
  stepId: text('The step it belongs to'),
  createdAtMs: atMs('When it was taken'),
  summary: text('One sentence'),
  directory: text('Where its files are, absolute, on the machine that ran it'),
  files: listOf(checkpointFileView, 'Its files'),
  resumedFrom: orNull(text('The checkpoint the run went on from')),
};

const summaryView: z.ZodType<SummaryView> = view<SummaryView>('SummaryView', 'A checkpoint of words', {
  type: z.literal('summary'),
  ...common,
  detail: orNull(text('More than one sentence')),
  json: anyJson('What a program left; null when none did'),
});

const logTailView: z.ZodType<LogTailView> = view<LogTailView>('LogTailView', 'A checkpoint of last lines', {
  type: z.literal('log_tail'),
  ...common,
  source: oneOf(['worker', 'stdout', 'stderr', 'combined'], 'Whose lines'),
  lines: listOf(text('One line'), 'Oldest first'),
  isTruncated: flag('Whether there was more'),
});

const diffStatView: z.ZodType<DiffStatView> = view<DiffStatView>('DiffStatView', 'The size of a change', {
  filesChanged: count('Files that differ'),
  insertions: count('Lines that came'),
  deletions: count('Lines that went'),
});

/** A file that was not captured. */
export const leftOutPathView: z.ZodType<LeftOutPathView> = view<LeftOutPathView>(
  'LeftOutPathView',
  'A file that was not captured',
  {
    path: filePath,
    reason: text('Why, such as too-large or submodule-changed'),
    bytes: orNull(count('Its size')),
  },
);

/** A picture of a git work tree. */
const gitDiffView: z.ZodType<GitDiffView> = view<GitDiffView>('GitDiffView', 'A checkpoint of a work tree', {
  type: z.literal('git_diff'),
  ...common,
  repository: text('The git directory the snapshot was written to, absolute'),
  worktree: text('The work tree that was captured, absolute'),
  branch: orNull(text('The branch that was checked out')),
  ref: text('The ref that keeps the snapshot'),
  commit: text('The commit of the snapshot'),
  tree: text('The tree of the snapshot'),
  baseRef: text('What it was compared with, as it was named'),
  baseCommit: orNull(text('The commit it was compared with; null for the empty tree')),
  baseTree: text('The tree it was compared with'),
  diffStat: diffStatView,
  leftOut: listOf(leftOutPathView, 'What was not captured'),
  secretPaths: listOf(filePath, 'Files that held a secret'),
  unchangedSince: orNull(count('The checkpoint it equals, whose files stand for it')),
});

const testFailureView: z.ZodType<TestFailureView> = view<TestFailureView>(
  'TestFailureView',
  'A failed test',
  {
    name: text('The test'),
    message: text('What it said'),
    file: orNull(text('Where it is')),
  },
);

const testOutputView: z.ZodType<TestOutputView> = view<TestOutputView>(
  'TestOutputView',
  'A checkpoint of a test report',
  {
    type: z.literal('test_output'),
    ...common,
    format: oneOf(['junit', 'tap', 'vitest-json', 'jest-json'], 'What the report was written in'),
    total: count('Tests'),
    passed: count('Tests that passed'),
    failed: count('Tests that failed'),
    skipped: count('Tests that were skipped'),
    failures: listOf(testFailureView, 'The failed ones'),
    isTruncated: flag('Whether there were more failures'),
  },
);

/** One checkpoint. */
const checkpointView: z.ZodType<CheckpointView> = z
  .union([summaryView, logTailView, gitDiffView, testOutputView])
  .meta({ id: 'CheckpointView', description: 'A numbered record inside a run' });

/** `checkpoints list`. */
export const checkpointListView: z.ZodType<CheckpointListView> = view<CheckpointListView>(
  'CheckpointListView',
  'Checkpoints of a run, one page',
  {
    runId,
    checkpoints: listOf(checkpointView, 'Oldest first'),
    skippedLines: listOf(count('A line number'), 'Lines of the index that could not be read'),
    nextCursor: orNull(text('Where the next page begins; null on the last one')),
  },
);

/** `checkpoints show`. */
export const checkpointDetailView: z.ZodType<CheckpointDetailView> = view<CheckpointDetailView>(
  'CheckpointDetailView',
  'One checkpoint',
  { runId, checkpoint: checkpointView },
);

const fileDiffView: z.ZodType<FileDiffView> = view<FileDiffView>('FileDiffView', 'A file that differs', {
  path: filePath,
  status: oneOf(['added', 'deleted', 'modified', 'type-changed'], 'How it differs'),
  insertions: orNull(count('Lines that came; null for a binary file')),
  deletions: orNull(count('Lines that went; null for a binary file')),
  oldMode: text('Its mode before'),
  newMode: text('Its mode after'),
});

/** `runs diff`. */
export const runDiffView: z.ZodType<RunDiffView> = view<RunDiffView>(
  'RunDiffView',
  'What a run changed in its work tree',
  {
    runId,
    startSeq: orNull(
      count(
        'The checkpoint from before its first instruction; null when there is none and the base of `checkpoint` stands for it',
      ),
    ),
    diffStat: diffStatView,
    files: orNull(listOf(fileDiffView, 'By path; null when the repository is gone')),
    checkpoint: gitDiffView,
  },
);

/** `checkpoints diff`. */
export const checkpointDiffView: z.ZodType<CheckpointDiffView> = view<CheckpointDiffView>(
  'CheckpointDiffView',
  'What differs between two checkpoints',
  {
    runId,
    fromSeq: orNull(count('The older one; null for what the run began with')),
    toSeq: count('The newer one'),
    diffStat: diffStatView,
    files: listOf(fileDiffView, 'By path'),
  },
);

/** Shows a checkpoint. */
export function toCheckpointView(record: CheckpointRecord): CheckpointView {
  switch (record.type) {
    case 'summary':
      return {
        type: 'summary',
        ...toCommon(record),
        detail: record.detail ?? null,
        json: record.json ?? null,
      };
    case 'log_tail': {
      const { source, lines, truncated } = record;
      return { type: 'log_tail', ...toCommon(record), source, lines, isTruncated: truncated };
    }
    case 'test_output': {
      const { format, totals, failures, truncated } = record;
      return {
        type: 'test_output',
        ...toCommon(record),
        format,
        ...totals,
        failures: failures.map(({ name, message, file }) => ({ name, message, file: file ?? null })),
        isTruncated: truncated,
      };
    }
    case 'git_diff':
      return toGitDiffView(record);
  }
}

/** Shows a checkpoint of a work tree. */
export function toGitDiffView(record: GitDiffRecord): GitDiffView {
  return {
    type: 'git_diff',
    ...toCommon(record),
    repository: record.repository,
    worktree: record.worktree,
    branch: record.branch,
    ref: record.ref,
    commit: record.commit,
    tree: record.tree,
    baseRef: record.baseRef,
    baseCommit: record.baseCommit,
    baseTree: record.baseTree,
    diffStat: record.diffStat,
    leftOut: record.leftOut.map(toLeftOutPathView),
    secretPaths: record.secretPaths.map((each) => each.path),
    unchangedSince: record.unchangedSince ?? null,
  };
}

function toCommon(record: CheckpointRecord): Omit<SummaryView, 'type' | 'detail' | 'json'> {
  return {
    checkpointId: record.checkpointId,
    seq: record.seq,
    runId: record.runId,
    taskId: record.taskId,
    stepId: record.stepId,
    createdAtMs: Date.parse(record.createdAt),
    summary: record.summary,
    directory: record.directory,
    files: record.files,
    resumedFrom: record.resumedFrom ?? null,
  };
}

/** Shows what differs. */
export function toCheckpointDiffView(
  id: string,
  [fromSeq, toSeq]: readonly [number | null, number],
  diff: Pick<CheckpointDiff, 'files' | 'diffStat'>,
): CheckpointDiffView {
  return { runId: id, fromSeq, toSeq, diffStat: diff.diffStat, files: diff.files.map(toFileDiffView) };
}

function toFileDiffView(file: FileDiff): FileDiffView {
  const { path, status, insertions, deletions, oldMode, newMode } = file;
  return { path, status, insertions, deletions, oldMode, newMode };
}

/** Shows a file that was not captured. */
export function toLeftOutPathView({ path, reason, bytes }: LeftOutPath): LeftOutPathView {
  return { path, reason, bytes: bytes ?? null };
}
