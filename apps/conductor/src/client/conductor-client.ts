/** The typed client of a daemon's HTTP API: one method for each route. It works in browsers and in Node alike. */
import type { Endpoint, KeyQuery, PageQuery } from '../api/endpoint.ts';
import * as jobs from '../api/job-endpoints.ts';
import type { EnqueueBody, JobListQuery, WhyQuery } from '../api/job-endpoints.ts';
import * as raw from '../api/raw-endpoints.ts';
import * as runs from '../api/run-endpoints.ts';
import type {
  CheckpointDiffQuery,
  OutputQuery,
  PruneRunsBody,
  RunListQuery,
  TailQuery,
} from '../api/run-endpoints.ts';
import * as state from '../api/state-endpoints.ts';
import type {
  ForecastQuery,
  PruneStoreBody,
  PruneWorktreesBody,
  SimulateBody,
} from '../api/state-endpoints.ts';
import type {
  AttemptListView,
  CheckpointDetailView,
  CheckpointDiffView,
  CheckpointListView,
  ConfigView,
  EnqueueView,
  ForecastView,
  JobDetailView,
  JobListView,
  JobOutcomeView,
  LeaderView,
  NodeListView,
  OutputTailView,
  PauseView,
  PruneRunsView,
  PruneStoreView,
  PruneWorktreesView,
  ReloadView,
  RunDetailView,
  RunDiffView,
  RunEventListView,
  RunListView,
  SimulationView,
  StatusView,
  StoreStatsView,
  WhyView,
  WorktreeListView,
} from '../views/types.ts';
import { type FollowRunOptions, followRunStream, type RunStreamItem } from './follow.ts';
import { createTransport, type Fetch } from './transport.ts';

/** How a daemon is reached. */
export interface ConductorClientOptions {
  /** Such as `http://127.0.0.1:7420`; a path before the API's own is kept. */
  readonly baseUrl: string;
  /** The shared token of the daemon. */
  readonly token: string;
  /**
   * Makes the requests.
   *
   * @defaultValue the global `fetch`
   */
  readonly fetch?: Fetch;
}

/** What every call may be given besides. */
export interface CallOptions {
  /** Gives the call up; it then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * A daemon, called over HTTP. Every method rejects with a `ConductorApiError` when the daemon refuses or cannot be reached.
 * Nothing needs to be closed.
 */
export interface ConductorClient {
  /** Who leads, who lives, what runs. */
  status(options?: CallOptions): Promise<StatusView>;
  /** Daemons that gave a sign of life. */
  nodes(options?: CallOptions): Promise<NodeListView>;
  /** Who leads and who led. */
  leader(options?: CallOptions): Promise<LeaderView>;
  /** How many jobs stand where. */
  storeStats(options?: CallOptions): Promise<StoreStatsView>;
  /** The settings of the daemon, without secrets. */
  config(options?: CallOptions): Promise<ConfigView>;
  /** Makes the daemon read its config file again; the answer says whether it is in use, and why not. */
  reload(options?: CallOptions): Promise<ReloadView>;
  /** Slots to come. */
  forecast(query?: ForecastQuery, options?: CallOptions): Promise<ForecastView>;
  /** Plays the schedules through a span of time. */
  simulate(body: SimulateBody, options?: CallOptions): Promise<SimulationView>;
  /** Starts nothing new, of one job or at all. */
  pause(job?: string, options?: CallOptions): Promise<PauseView>;
  /** Starts again, one job or all. */
  resume(job?: string, options?: CallOptions): Promise<PauseView>;

  /** Jobs of the store, one page. */
  listJobs(query?: JobListQuery, options?: CallOptions): Promise<JobListView>;
  /** One job. */
  showJob(job: string, query?: KeyQuery, options?: CallOptions): Promise<JobDetailView>;
  /** Attempts of a job, oldest first, one page. */
  listAttempts(job: string, query?: KeyQuery & PageQuery, options?: CallOptions): Promise<AttemptListView>;
  /** Why a job ran, did not run, or waits. */
  why(job: string, query?: WhyQuery, options?: CallOptions): Promise<WhyView>;
  /** Raises a job's watermark so that a daemon runs it. */
  enqueue(job: string, body?: EnqueueBody, options?: CallOptions): Promise<EnqueueView>;
  /** Calls a waiting job off, or asks the owner of a running one to stop. */
  cancelJob(job: string, query?: KeyQuery, options?: CallOptions): Promise<JobOutcomeView>;
  /** Makes a failed or exhausted job due again. */
  retryJob(job: string, query?: KeyQuery, options?: CallOptions): Promise<JobOutcomeView>;
  /** Forgets a job that is not running. */
  removeJob(job: string, query?: KeyQuery, options?: CallOptions): Promise<JobOutcomeView>;

  /** Runs, newest first, one page. */
  listRuns(query?: RunListQuery, options?: CallOptions): Promise<RunListView>;
  /** One run: `last`, a run id, or a task id or the name of a job for its newest run. */
  showRun(run: string, options?: CallOptions): Promise<RunDetailView>;
  /** Lifecycle events of a run, oldest first, one page. */
  listRunEvents(run: string, query?: PageQuery, options?: CallOptions): Promise<RunEventListView>;
  /** The last lines of a run. */
  tailRun(run: string, query?: TailQuery, options?: CallOptions): Promise<OutputTailView>;
  /** Bytes of a run's output as they were written; empty past the end. */
  readOutput(
    run: string,
    channel: 'stdout' | 'stderr',
    query?: OutputQuery,
    options?: CallOptions,
  ): Promise<Uint8Array>;
  /**
   * Output and events of a run as they come, until its `end`. A connection that breaks is made again, and goes on behind
   * the last item; leaving the loop closes it.
   */
  followRun(run: string, options?: FollowRunOptions): AsyncGenerator<RunStreamItem, void, undefined>;
  /** What a run changed in its work tree. */
  diffRun(run: string, options?: CallOptions): Promise<RunDiffView>;
  /** The same as a patch that `git apply` takes; empty when nothing changed. */
  readPatch(run: string, options?: CallOptions): Promise<string>;
  /** Asks the owner of the job that a run belongs to to stop it. */
  cancelRun(run: string, options?: CallOptions): Promise<JobOutcomeView>;
  /** Removes ended runs that are over a limit. */
  pruneRuns(body: PruneRunsBody, options?: CallOptions): Promise<PruneRunsView>;

  /** Checkpoints of a run, oldest first, one page. */
  listCheckpoints(run: string, query?: PageQuery, options?: CallOptions): Promise<CheckpointListView>;
  /** One checkpoint. */
  showCheckpoint(run: string, seq: number, options?: CallOptions): Promise<CheckpointDetailView>;
  /** Files that differ between a git checkpoint and an older one. */
  diffCheckpoint(
    run: string,
    seq: number,
    query?: CheckpointDiffQuery,
    options?: CallOptions,
  ): Promise<CheckpointDiffView>;

  /** Forgets attempts that ended long ago. */
  pruneStore(body: PruneStoreBody, options?: CallOptions): Promise<PruneStoreView>;
  /** Work trees of tasks, oldest first, one page. */
  listWorktrees(query?: PageQuery, options?: CallOptions): Promise<WorktreeListView>;
  /** Removes work trees of ended tasks that hold nothing which exists nowhere else. */
  pruneWorktrees(body?: PruneWorktreesBody, options?: CallOptions): Promise<PruneWorktreesView>;
}

/**
 * Makes a client; nothing is sent until a method is called.
 *
 * @param options - where the daemon is and how to get in
 */
export function createConductorClient(options: ConductorClientOptions): ConductorClient {
  const { baseUrl, token, fetch = (url, init) => globalThis.fetch(url, init) } = options;
  const transport = createTransport({ baseUrl, token, fetch });

  function call<Params extends object, Query extends object, Body, View>(
    endpoint: Endpoint<Params, Query, Body, View>,
    parts: { readonly params?: Params; readonly query?: Query | undefined; readonly body?: Body },
    { signal }: CallOptions = {},
  ): Promise<View> {
    const { method, path, view } = endpoint;
    const { params = {}, query = {}, body } = parts;
    return transport.call({ method, path, params, query, body, signal }, view);
  }

  return {
    status: (options) => call(state.readStatus, {}, options),
    nodes: (options) => call(state.listNodes, {}, options),
    leader: (options) => call(state.readLeader, {}, options),
    storeStats: (options) => call(state.readStore, {}, options),
    config: (options) => call(state.readConfig, {}, options),
    reload: (options) => call(state.reloadConfig, {}, options),
    forecast: (query, options) => call(state.readForecast, { query }, options),
    simulate: (body, options) => call(state.simulateSpan, { body }, options),
    pause: (job, options) =>
      job === undefined
        ? call(state.pauseAll, {}, options)
        : call(jobs.pauseJob, { params: { job } }, options),
    resume: (job, options) =>
      job === undefined
        ? call(state.resumeAll, {}, options)
        : call(jobs.resumeJob, { params: { job } }, options),

    listJobs: (query, options) => call(jobs.listJobs, { query }, options),
    showJob: (job, query, options) => call(jobs.showJob, { params: { job }, query }, options),
    listAttempts: (job, query, options) => call(jobs.listAttempts, { params: { job }, query }, options),
    why: (job, query, options) => call(jobs.explainJob, { params: { job }, query }, options),
    enqueue: (job, body = {}, options) => call(jobs.enqueueJob, { params: { job }, body }, options),
    cancelJob: (job, query, options) => call(jobs.cancelJob, { params: { job }, query }, options),
    retryJob: (job, query, options) => call(jobs.retryJob, { params: { job }, query }, options),
    removeJob: (job, query, options) => call(jobs.removeJob, { params: { job }, query }, options),

    listRuns: (query, options) => call(runs.listRuns, { query }, options),
    showRun: (run, options) => call(runs.showRun, { params: { run } }, options),
    listRunEvents: (run, query, options) => call(runs.listRunEvents, { params: { run }, query }, options),
    tailRun: (run, query, options) => call(runs.tailRun, { params: { run }, query }, options),
    async readOutput(run, channel, query = {}, { signal } = {}) {
      const { path } = raw.readOutput;
      const response = await transport.send({ method: 'GET', path, params: { run, channel }, query, signal });
      return new Uint8Array(await response.arrayBuffer());
    },
    followRun: (run, options = {}) => followRunStream(transport, run, options),
    diffRun: (run, options) => call(runs.diffRun, { params: { run } }, options),
    async readPatch(run, { signal } = {}) {
      const { path } = raw.readPatch;
      const response = await transport.send({ method: 'GET', path, params: { run }, query: {}, signal });
      return response.text();
    },
    cancelRun: (run, options) => call(runs.cancelRun, { params: { run } }, options),
    pruneRuns: (body, options) => call(runs.pruneRuns, { body }, options),

    listCheckpoints: (run, query, options) => call(runs.listCheckpoints, { params: { run }, query }, options),
    showCheckpoint: (run, seq, options) => call(runs.showCheckpoint, { params: { run, seq } }, options),
    diffCheckpoint: (run, seq, query, options) =>
      call(runs.diffCheckpoint, { params: { run, seq }, query }, options),

    pruneStore: (body, options) => call(state.pruneStore, { body }, options),
    listWorktrees: (query, options) => call(state.listWorktrees, { query }, options),
    pruneWorktrees: (body = {}, options) => call(state.pruneWorktrees, { body }, options),
  };
}
