/**
 * Continuing after a restart. Invariant: whatever the process was doing when it died, every stored job either goes on
 * from its stored position or gets its one terminal message, and every stream goes on with the next number.
 */
import { parseAgentRef } from '../agent-ref.ts';
import { restoreBudget } from '../budget.ts';
import { createDeferred } from '../deferred.ts';
import { ArcpError } from '../errors.ts';
import { compileLease } from '../lease.ts';
import { createTraceparent } from '../trace-context.ts';
import type { JobSubmit } from '../wire.ts';
import type { AgentOutcome } from './agent-host.ts';
import { createAgentJob } from './agent-job.ts';
import type { Core, Job, ResultStream, Session } from './core.ts';
import { restoreCredentials } from './credentials.ts';
import type { StoredJob } from './event-store.ts';
import { fail, jobToStored } from './job-life.ts';
import { restoreSubscription } from './observers.ts';
import { restoreSession } from './sessions.ts';
import { enrolJob, startJob } from './submission.ts';

/**
 * Takes up everything the store holds.
 *
 * @throws ArcpError with code store-unreadable when a row contradicts another
 */
export function recover(core: Core): void {
  const stored = core.settings.store.load();
  for (const { session, bufferedBytes } of stored.sessions) restoreSession(core, session, bufferedBytes);
  // Parents are older than their children, so their budgets are there first.
  const jobs = stored.jobs
    .toSorted((left, right) => left.createdAtMs - right.createdAtMs || depthOrder(left, right))
    .map((job) => restoreJob(core, job));
  for (const { session } of stored.sessions) {
    const live = core.sessionsById.get(session.sessionId);
    for (const { jobId, copiedSeq } of session.subscriptions) {
      if (live !== undefined) restoreSubscription(core, live, jobId, copiedSeq);
    }
  }
  for (const job of jobs) continueJob(core, job);
  restoreCredentials(core, stored.credentials);
}

function restoreJob(core: Core, stored: StoredJob): Job {
  const session = core.sessionsById.get(stored.sessionId);
  const parent = stored.parentJobId === undefined ? undefined : core.jobsById.get(stored.parentJobId);
  const agent = parseAgentRef(stored.agent);
  if (session === undefined || agent?.version === undefined) {
    throw new ArcpError(
      'store-unreadable',
      `Cannot restore job "${stored.jobId}": its session or agent is missing, expected both`,
    );
  }
  const { clock, leaseGraceMs } = core.settings;
  const submit = JSON.parse(stored.submitJson) as JobSubmit;
  const job: Job = {
    id: stored.jobId,
    session,
    principal: stored.principal,
    agentName: agent.name,
    agentVersion: agent.version,
    submit,
    submitJson: stored.submitJson,
    lease: compileLease(submit.lease_request ?? {}),
    budget: restoreBudget(stored.budget, parent?.budget),
    expiresAtMs: stored.expiresAtMs,
    expiresMonotonicMs:
      stored.expiresAtMs === undefined
        ? Number.POSITIVE_INFINITY
        : clock.monotonicMs() + (stored.expiresAtMs - clock.nowMs()) + leaseGraceMs,
    deadlineAtMs: stored.deadlineAtMs,
    parent,
    children: new Set(),
    depth: (parent?.depth ?? 0) + 1,
    traceId: stored.traceId,
    traceparent: createTraceparent(stored.traceId),
    createdAtMs: stored.createdAtMs,
    idempotencyKey: stored.idempotencyKey,
    requestHash: stored.requestHash,
    acceptedJson: stored.acceptedJson,
    status: stored.status,
    finishedAtMs: undefined,
    lastEventSeq: stored.lastEventSeq,
    position: stored.position,
    stream: restoreStream(session, stored),
    credentials: [],
    abort: new AbortController(),
    observers: new Set(),
    timeLimit: undefined,
    watchdog: undefined,
    misses: 0,
    end: undefined,
    span: undefined,
    settled: createDeferred<AgentOutcome>(),
    toStored: () => jobToStored(job),
  };
  enrolJob(core, job);
  return job;
}

function continueJob(core: Core, job: Job): void {
  if (job.finishedAtMs !== undefined) return;
  if (job.parent !== undefined || job.stream?.joined !== undefined) {
    // Whoever awaited a child is gone with the process, and so are pieces that were only joined in memory.
    const message = 'The runtime was restarted and the job could not go on';
    fail(core, job, 'error', { code: 'INTERNAL_ERROR', message, retryable: true });
    return;
  }
  startJob(core, job, () => core.settings.host.adopt?.(createAgentJob(core, job)));
}

function restoreStream(session: Session, { stream }: StoredJob): ResultStream | undefined {
  if (stream === undefined) return undefined;
  const joined = session.features.has('result_chunk') ? undefined : [];
  return { ...stream, joined, isBinary: false };
}

function depthOrder(left: StoredJob, right: StoredJob): number {
  if (left.parentJobId === right.jobId) return 1;
  return right.parentJobId === left.jobId ? -1 : 0;
}
