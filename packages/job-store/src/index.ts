export {
  createHolderId,
  startElection,
  type Election,
  type ElectionOptions,
  type ElectionState,
} from './election.ts';
export { JobStoreError, type JobStoreErrorCode } from './errors.ts';
export type {
  Asynchronous,
  AttemptPage,
  DueSignals,
  JobReads,
  JobStore,
  JobWrites,
  SlotPage,
  StoreUpkeep,
  WaitForDueOptions,
} from './job-store.ts';
export type { Attempt, AttemptOutcome, Job, JobRef, JobStatus, JsonValue, Lease } from './jobs.ts';
export type {
  AcquireLeadershipRequest,
  AcquireLeadershipResult,
  Leadership,
  LeadershipStore,
  LeadershipTerm,
  NodeHeartbeat,
  NodeRecord,
} from './leadership.ts';
export type { Logger } from './logger.ts';
export { openJobStore } from './open-job-store.ts';
export type {
  AttemptRun,
  ClaimLimits,
  ClaimNextRequest,
  ClaimRequest,
  EnqueueRequest,
  FailOptions,
  ListRequest,
  PruneRequest,
  ReleaseOptions,
  SlotRequest,
  SucceedOptions,
} from './requests.ts';
export type {
  AttemptRunResult,
  CancelResult,
  ClaimRefusal,
  ClaimResult,
  CompleteAndClaimResult,
  EnqueueManyResult,
  EnqueueResult,
  FailResult,
  HeartbeatResult,
  JobPage,
  KindStats,
  LeaseLost,
  PruneResult,
  ReleaseResult,
  RemoveResult,
  RetryResult,
  Slot,
  SlotResult,
  StoreStats,
  SucceedResult,
} from './results.ts';
export { retryDelayMs, type RetryPolicy } from './retry-policy.ts';
export type {
  JobStoreTransaction,
  OpenJobStoreOptions,
  SqliteJobStore,
  SqlValue,
  SyncJobStore,
} from './sqlite-job-store.ts';
