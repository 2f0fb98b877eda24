export { CheckpointError, type CheckpointErrorCode } from './errors.ts';
export {
  createCheckpointManager,
  type CheckpointManager,
  type CheckpointManagerOptions,
  type ResumePoint,
  type SummaryOptions,
} from './checkpoint-manager.ts';
export {
  diffCheckpoints,
  type CheckpointDiff,
  type DiffOptions,
  type FileDiff,
  type FileStatus,
} from './diff.ts';
export type { GitDiffOptions } from './git-diff.ts';
export type { LogTailOptions } from './log-tail.ts';
export type { ReplayConflicts } from './merge.ts';
export type { GitOptions, Logger, Redactor } from './options.ts';
export type { PrunePolicy, PruneResult } from './prune.ts';
export { readCheckpoints, type CheckpointListing } from './record-store.ts';
export {
  forkCheckpoint,
  replayCheckpoint,
  type ForkOptions,
  type ReplayedSnapshot,
  type ReplayOptions,
} from './replay.ts';
export { restoreCheckpoint, type RestoredSnapshot, type RestoreOptions } from './restore.ts';
export type { SnapshotOptions } from './snapshot-source.ts';
export type { TestOutputOptions } from './test-report.ts';
export type {
  CheckpointFile,
  CheckpointOfType,
  CheckpointRecord,
  CheckpointRecordCommon,
  CheckpointType,
  DiffStat,
  GitDiffRecord,
  IndexSnapshot,
  LeftOutPath,
  LeftOutReason,
  LogTailRecord,
  LogTailSource,
  RecordedPath,
  ReplayRecipe,
  SummaryRecord,
  TestFailure,
  TestOutputRecord,
  TestReportFormat,
  TestTotals,
} from './record.ts';
export { verifyCheckpoints, type VerifyOptions, type VerifyProblem, type VerifyReport } from './verify.ts';
