/** Every route below `/v1`. Invariant: what is not here is not mounted; a test compares with the server's own list. */
import type { AnyEndpoint } from './endpoint.ts';
import * as jobs from './job-endpoints.ts';
import * as raw from './raw-endpoints.ts';
import * as runs from './run-endpoints.ts';
import * as state from './state-endpoints.ts';

/** Those that answer with an envelope. */
export const ENDPOINTS: readonly AnyEndpoint[] = [
  state.readStatus,
  state.listNodes,
  state.readLeader,
  state.readStore,
  state.pruneStore,
  state.readConfig,
  state.reloadConfig,
  state.readForecast,
  state.simulateSpan,
  state.pauseAll,
  state.resumeAll,
  state.listWorktrees,
  state.pruneWorktrees,
  jobs.listJobs,
  jobs.showJob,
  jobs.listAttempts,
  jobs.explainJob,
  jobs.enqueueJob,
  jobs.cancelJob,
  jobs.retryJob,
  jobs.removeJob,
  jobs.pauseJob,
  jobs.resumeJob,
  runs.listRuns,
  runs.showRun,
  runs.listRunEvents,
  runs.tailRun,
  runs.diffRun,
  runs.cancelRun,
  runs.pruneRuns,
  runs.listCheckpoints,
  runs.showCheckpoint,
  runs.diffCheckpoint,
];

/** Those that answer with bytes, text or a stream. */
export const RAW_ENDPOINTS: readonly raw.RawEndpoint<object, object>[] = [
  raw.readOutput,
  raw.readPatch,
  raw.followRun,
];
