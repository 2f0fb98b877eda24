export { ConductorApiError, type ConductorApiErrorCode } from './client/api-error.ts';
export {
  type CallOptions,
  type ConductorClient,
  type ConductorClientOptions,
  createConductorClient,
} from './client/conductor-client.ts';
export type { FollowRunOptions, RunStreamItem } from './client/follow.ts';
export type { Fetch } from './client/transport.ts';
export type { KeyQuery, PageQuery } from './api/endpoint.ts';
export type { EnqueueBody, JobListQuery, WhyQuery } from './api/job-endpoints.ts';
export type {
  CheckpointDiffQuery,
  FollowQuery,
  OutputQuery,
  PruneRunsBody,
  RunListQuery,
  TailQuery,
} from './api/run-endpoints.ts';
export type {
  ForecastQuery,
  PruneStoreBody,
  PruneWorktreesBody,
  SimulateBody,
} from './api/state-endpoints.ts';
export type * from './views/types.ts';
