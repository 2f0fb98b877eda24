/**
 * Runs ARCP jobs as jobs of the store: any dispatcher of the machine may claim them, this node tells their clients.
 * Invariant: what a client is told comes from the record (rows and run directories), so that it does not matter who ran
 * the steps, or how often this process died meanwhile.
 */
import type { AgentHost, AgentJob, AgentOutcome } from '@conductor-run/arcp/runtime';
import { ArcpError } from '@conductor-run/arcp';
import type { Clock } from '@conductor-run/clock';
import type { JobStore } from '@conductor-run/job-store';
import type { Logger } from '@conductor-run/logging';
import { cancelRun, WorkerRunnerError } from '@conductor-run/worker-runner';

import { toEnqueueRequest } from '../enqueue-request.ts';
import type { JobDefinition } from '../job-config.ts';
import { toPayload } from '../job-input.ts';
import type { Settings } from '../settings.ts';
import type { TaskBell } from '../task-bell.ts';
import { toAgents } from './agents.ts';
import { cursorAt, formatCursor, isBefore, parseCursor } from './cursor.ts';
import { type JobRun, outcomeOf, runsOf } from './job-record.ts';
import { arcpRows } from './job-rows.ts';
import { tellRun } from './run-teller.ts';

/** What the host works with. */
export interface JobHostOptions {
  readonly store: JobStore;
  readonly settings: Pick<Settings, 'nodeId' | 'runsDir'>;
  /** The jobs of the config as they are now. */
  readonly jobs: () => ReadonlyMap<string, JobDefinition>;
  readonly bell: TaskBell;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Aborted when nobody is told anything any more: what runs goes on, and the next process tells of it. */
  readonly stopping: AbortSignal;
}

/** The host of a runtime. */
export interface JobHost extends AgentHost {
  /**
   * Ends jobs of this node whose ARCP job is over: their end was promised by a process that died before it could see to
   * it. Call it once, after the runtime has adopted its jobs.
   */
  endOrphans(): Promise<void>;
}

/**
 * Makes the host.
 *
 * @param options - the daemon's
 */
export function createJobHost(options: JobHostOptions): JobHost {
  const { store, settings, jobs } = options;
  const live = new Set<string>();

  const run = async (job: AgentJob): Promise<AgentOutcome> => {
    live.add(job.jobId);
    const enqueued = job.position === undefined ? enqueue(job, options) : Promise.resolve();
    const end = (): void => void endWork(job, enqueued, options);
    job.signal.addEventListener('abort', end, { once: true });
    if (job.signal.aborted) end();
    try {
      await enqueued;
      return await follow(job, options);
    } finally {
      live.delete(job.jobId);
    }
  };
  return {
    inventory: () => toAgents(jobs()).inventory,
    start: run,
    adopt: run,
    async endOrphans() {
      for await (const { row, origin } of arcpRows(store, ['pending', 'running', 'error'])) {
        if (origin.node !== settings.nodeId || row.isExhausted || live.has(row.key)) continue;
        options.logger.info({ job: row.kind, key: row.key }, 'arcp.orphan-ended');
        await endRow(row, 'its ARCP job is over', options);
      }
    },
  };
}

/** The same watermark however often it is asked for: a job that was enqueued before a crash is not run again. */
async function enqueue(job: AgentJob, { store, settings, jobs }: JobHostOptions): Promise<void> {
  const definition = jobs().get(job.name);
  if (definition === undefined) return;
  const { input, version, traceparent } = job;
  await store.enqueue({
    ...toEnqueueRequest(definition, job.jobId),
    watermark: 1,
    payload: toPayload({ input, arcp: { node: settings.nodeId, version, traceparent } }),
  });
}

/** Tells run after run, until the row says that the job is over. */
async function follow(job: AgentJob, options: JobHostOptions): Promise<AgentOutcome> {
  const { store, settings, jobs, bell, clock } = options;
  const place = placeOf(job);
  const told = new Set<string>();
  let cursor = job.position === undefined ? undefined : parseCursor(job.position);
  const listener = bell.listen(place);
  try {
    for (;;) {
      // The row first: when it says that the job is over, all its runs are there.
      const row = await store.get(place.kind, place.key);
      if (row === undefined) throw removed(job);
      const attempts = await store.attempts(place.kind, place.key);
      const runs = runsOf(attempts, settings.runsDir);
      if (row.isExhausted && runs.length === 0 && attempts.at(-1)?.outcome === 'lost') {
        // A daemon died between its claim and the first run: nothing of the job has begun, so nothing begins twice.
        await store.retry(place.kind, place.key);
        continue;
      }
      for (const run of runs) {
        if (told.has(run.runId) || (cursor !== undefined && isBefore(run, cursor))) continue;
        if (cursor?.runId !== run.runId) {
          cursor = cursorAt(run);
          await job.emit('status', startOf(run), { position: formatCursor(cursor) });
        }
        await tellRun(job, run.paths, cursor, clock);
        told.add(run.runId);
      }
      const outcome = outcomeOf(row, runs);
      if (outcome !== undefined) return outcome;
      if (row.status !== 'running' && jobs().get(job.name)?.version !== job.version) {
        await endRow(row, 'the config no longer has it', options);
        throw gone(job);
      }
      await listener.next(LOOK_AGAIN_MS);
      job.signal.throwIfAborted();
    }
  } finally {
    listener.stop();
  }
}

/** The client has its terminal message; what still runs for it has to end, unless this process alone is what ends. */
async function endWork(job: AgentJob, enqueued: Promise<void>, options: JobHostOptions): Promise<void> {
  const reason: unknown = job.signal.reason;
  if (reason instanceof ArcpError && reason.code === 'closed') return;
  try {
    await enqueued;
    const why = reason instanceof Error ? reason.message : String(reason);
    await endRow(placeOf(job), why, options);
  } catch (error) {
    if (!options.stopping.aborted) options.logger.error({ err: error, jobId: job.jobId }, 'arcp.not-ended');
  }
}

/** Calls a job off. Its owner would hear of it at the next renewal of its lease: the run itself is told at once. */
async function endRow(
  place: { readonly kind: string; readonly key: string },
  reason: string,
  { store, settings, bell, stopping }: JobHostOptions,
): Promise<void> {
  const listener = bell.listen(place);
  const told = new Set<string>();
  try {
    while (!stopping.aborted && (await store.cancel(place.kind, place.key)) === 'requested') {
      const run = runsOf(await store.attempts(place.kind, place.key), settings.runsDir).at(-1);
      if (run !== undefined && !told.has(run.runId) && (await tryCancel(run, reason))) told.add(run.runId);
      await listener.next(LOOK_AGAIN_MS);
    }
  } finally {
    listener.stop();
  }
}

/** False for a run that nobody looks after right now. */
async function tryCancel(run: JobRun, reason: string): Promise<boolean> {
  try {
    await cancelRun(run.paths, reason);
    return true;
  } catch (error) {
    if (error instanceof WorkerRunnerError) return false;
    throw error;
  }
}

function placeOf(job: AgentJob): { readonly kind: string; readonly key: string } {
  return { kind: job.name, key: job.jobId };
}

/** The first of a run's events: from here on the job is running, and nothing of the run is told twice. */
function startOf(run: JobRun): { readonly phase: string; readonly message: string } {
  return { phase: 'running', message: `attempt ${run.attempt}, run ${run.runId}` };
}

function removed(job: AgentJob): ArcpError {
  return new ArcpError(
    'INTERNAL_ERROR',
    `Cannot go on with job "${job.jobId}": it is no longer in the store`,
  );
}

function gone(job: AgentJob): ArcpError {
  const agent = `${job.name}@${job.version}`;
  return new ArcpError(
    'AGENT_VERSION_NOT_AVAILABLE',
    `Cannot go on with job "${job.jobId}": agent "${agent}" is no longer in the config`,
  );
}

/** The longest it takes to see what another process did. */
const LOOK_AGAIN_MS = 1_000;
