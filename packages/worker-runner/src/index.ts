export { WorkerRunnerError, type WorkerRunnerErrorCode } from './errors.ts';
export { startDeciding, type Deciding, type StartDecidingOptions } from './deciding.ts';
export { readStepEvents } from './event-log.ts';
export { followStepEvents, type FollowStepEventsOptions } from './follow-events.ts';
export type { AuthorizationAnswer, AuthorizationQuestion, Authorizer } from './answers.ts';
export type { EndRequest, ResourceSample, StepContext, StepExit, WorkerExecutor } from './executor.ts';
export { createHost, type Host } from './host.ts';
export {
  MIN_LEASE_MS,
  type AttachedLease,
  type LeaseAnswer,
  type LeaseKeeper,
  type ModuleSpec,
  type StepLease,
} from './lease.ts';
export { createLinuxProcessTable } from './linux-process-table.ts';
export { createFunctionExecutor, createPrepareOnlyExecutor, type StepFunction } from './other-executors.ts';
export { createProcessExecutor } from './process-executor.ts';
export {
  identifyProcess,
  isProcessAlive,
  type ProcessEntry,
  type ProcessIdentity,
  type ProcessListing,
  type ProcessTable,
  type RunMark,
} from './process-table.ts';
export { createPsProcessTable, type RunProgram } from './ps-process-table.ts';
export type { CheckedRequest } from './request-schema.ts';
export type {
  CheckpointRequest,
  StepIdentity,
  StepJob,
  StepKind,
  StepLimits,
  StepRequest,
  StepRuntime,
  StepSecret,
  WorkerKind,
} from './request.ts';
export { parseStepResult, readStepResult, stepResultJsonSchema } from './result-schema.ts';
export type {
  CheckpointState,
  EndReason,
  LogSummary,
  ResultPaths,
  StepArtifact,
  StepMetrics,
  StepOutcome,
  StepResult,
  StepUsage,
  Straggler,
} from './result.ts';
export { runStep, type RunStepOptions } from './run-step.ts';
export { STEP_EVENT_KINDS, type ReportedEvent, type StepEvent, type StepEventKind } from './step-events.ts';
export type { Logger, StepSink } from './step-sink.ts';
export { adoptRuns, type AdoptedRun, type AdoptRunsOptions } from './adopt-runs.ts';
export type { AdoptionKind } from './adopt-run.ts';
export {
  acknowledgeRun,
  cancelRun,
  checkpointNow,
  isAcknowledged,
  runStatus,
  type ControlOptions,
  type RunStatusReport,
} from './control.ts';
export {
  startSupervised,
  type StartSupervisedOptions,
  type SupervisedLease,
  type SupervisedStep,
} from './start-supervised.ts';
export type { SetupCommand } from './worktree-setup.ts';
export {
  listWorktrees,
  pruneWorktrees,
  type ListWorktreesOptions,
  type PruneWorktreesOptions,
  type PruneWorktreesResult,
  type WorktreeEntry,
} from './worktree-list.ts';
export {
  prepareWorktree,
  removeWorktree,
  type PreparedWorktree,
  type PrepareWorktreeOptions,
  type RemoveWorktreeOptions,
  type WorktreeDeps,
} from './worktrees.ts';
export type { StepDeps } from './open-step.ts';
export type { SupervisorAccess } from './supervisor-client.ts';
