export { createRun, reopenRun } from './create-run.ts';
export { LoggingError, type LoggingErrorCode } from './errors.ts';
export type { ChannelSelection, FollowedEvent, FollowItem, FollowOptions, OutputChunk } from './follow.ts';
export type { NewLifecycleEvent } from './journal.ts';
export type { AnsiMode, LogLine } from './line-assembler.ts';
export {
  listRuns,
  type RunCursor,
  type RunFilter,
  type RunListing,
  type RunSummary,
  type UnreadableRun,
} from './list-runs.ts';
export type { LinesOptions } from './log-lines.ts';
export { listRotatedLogs } from './log-rotation.ts';
export {
  createLogger,
  type AppLogger,
  type LogFileDestination,
  type Logger,
  type LoggerOptions,
} from './logger.ts';
export {
  pruneRuns,
  type PrunedRun,
  type PruneOptions,
  type PruneReport,
  type RetentionPolicy,
} from './prune-runs.ts';
export {
  createRedactor,
  type RedactionScratch,
  type RedactionStep,
  type RedactionStream,
  type Redactor,
  type RedactorOptions,
} from './redactor.ts';
export { createRealRunFiles, type OpenMode, type RunFiles } from './run-files.ts';
export { resolveRunPaths, type RunLocation, type RunPaths } from './run-paths.ts';
export { openRun, type EventsOptions, type OpenRunOptions, type RunReader } from './run-reader.ts';
export {
  LAYOUT_VERSION,
  LIFECYCLE_EVENT_TYPES,
  OUTPUT_CHANNELS,
  type DroppedRange,
  type EventLevel,
  type LifecycleEvent,
  type LifecycleEventType,
  type NewRunMeta,
  type OutputChannelName,
  type ProcessIdentity,
  type RunMeta,
  type RunState,
  type TimelineRecord,
} from './run-records.ts';
export {
  isAllowedTransition,
  isTerminalStatus,
  RUN_STATUSES,
  RUN_TRANSITIONS,
  type RunStatus,
} from './run-status.ts';
export type {
  ChildDescriptor,
  OutputChannel,
  OutputLimitHit,
  RunStatePatch,
  RunWriter,
  RunWriterOptions,
} from './run-writer.ts';
export { MIN_SECRET_BYTES } from './secret-forms.ts';
export { stripAnsi } from './strip-ansi.ts';
export type { TailOptions, TailResult } from './tail.ts';
export { DEFAULT_TOKEN_SHAPES, type TokenShape } from './token-shapes.ts';
