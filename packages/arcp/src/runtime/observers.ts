/**
 * Subscriptions and lists (sections 6.6 and 7.6). Invariant: a principal learns of another's job only through the
 * policy, every decision is logged, and looking never holds or changes the job.
 */
import { ArcpError } from '../errors.ts';
import { isFinal } from '../job-state.ts';
import type {
  Credential,
  JobAccepted,
  JobListEntry,
  JobSubscribed,
  ListJobsRequest,
  SessionJobs,
} from '../wire.ts';
import type { Core, Job, Session, Subscription } from './core.ts';
import type { JobQuery, StoredEvent, StoredJob } from './event-store.ts';
import { copyForObserver } from './job-life.ts';
import { appendEvent } from './stream.ts';

/** What a subscribe asks for. */
export interface SubscribeRequest {
  readonly jobId: string;
  readonly fromEventSeq: number | undefined;
  readonly history: boolean;
}

/**
 * Attaches a session to a job and answers.
 *
 * @throws ArcpError with code PERMISSION_DENIED for another's job and for none alike, INTERNAL_ERROR above the cap
 */
export function subscribe(core: Core, session: Session, request: SubscribeRequest): void {
  const { jobId, history } = request;
  core.ledger.flush();
  const stored = core.settings.store.readJob(jobId);
  const isAllowed = stored !== undefined && mayObserve(core, session.principal, stored);
  core.settings.logger.info(
    { principal: session.principal, sessionId: session.id, jobId, owner: stored?.principal, isAllowed },
    'job.subscribe-decided',
  );
  if (stored === undefined || !isAllowed) {
    throw new ArcpError('PERMISSION_DENIED', `Cannot subscribe to job "${jobId}": it is not yours to see`, {
      details: { job_id: jobId },
    });
  }
  if (session.subscriptions.size >= core.settings.limits.maxSubscriptionsPerSession) {
    throw new ArcpError('INTERNAL_ERROR', `Cannot subscribe to job "${jobId}": the session has too many`, {
      details: { job_id: jobId, reason: 'subscription-limit' },
    });
  }
  unsubscribe(core, session, jobId);
  const job = core.jobsById.get(jobId);
  const isReplaying = history && (job !== undefined || hasEnd(core, stored));
  const payload = subscribedPayload(session, stored, job, isReplaying);
  session.link?.reply('job.subscribed', payload, { jobId, traceId: stored.traceId });
  const isOwnStream = stored.sessionId === session.id && job !== undefined;
  // The owner's stream carries its live jobs already; only history can be added to it.
  if (isOwnStream || (!isReplaying && job === undefined)) return;
  const copiedSeq = history ? (request.fromEventSeq ?? 0) : stored.lastEventSeq;
  attach(core, { jobId, session, copiedSeq, isReplaying }, stored.sessionId);
}

/** Whether the end of a finished job can still be replayed: its session may have expired, or its stream been cut. */
function hasEnd(core: Core, { sessionId, lastEventSeq }: StoredJob): boolean {
  const owner = core.sessionsById.get(sessionId);
  return owner !== undefined && owner.evictedSeq < lastEventSeq;
}

/** Detaches a session from a job. Has no answer. */
export function unsubscribe(core: Core, session: Session, jobId: string): void {
  const subscription = session.subscriptions.get(jobId);
  if (subscription === undefined) return;
  session.subscriptions.delete(jobId);
  core.jobsById.get(jobId)?.observers.delete(subscription);
  core.ledger.touchSession(session);
}

/** After a restart: a subscription goes on where its copies end. */
export function restoreSubscription(core: Core, session: Session, jobId: string, copiedSeq: number): void {
  const stored = core.settings.store.readJob(jobId);
  if (stored === undefined) return;
  attach(core, { jobId, session, copiedSeq, isReplaying: true }, stored.sessionId);
}

/** Answers `session.list_jobs`. */
export function listJobs(
  core: Core,
  session: Session,
  request: ListJobsRequest,
  requestId: string,
): SessionJobs {
  const limit = request.limit ?? DEFAULT_LIMIT;
  const filter = request.filter ?? {};
  const query: JobQuery = {
    principals: [
      session.principal,
      ...(core.settings.observePolicy?.listablePrincipals?.(session.principal) ?? []),
    ],
    statuses: filter.status,
    agent: filter.agent,
    createdAfterMs: filter.created_after === undefined ? undefined : Date.parse(filter.created_after),
    createdBeforeMs: filter.created_before === undefined ? undefined : Date.parse(filter.created_before),
    after: parseCursor(request.cursor ?? undefined),
    limit: limit + 1,
  };
  core.ledger.flush();
  const found = core.settings.store.listJobs(query);
  const page = found.slice(0, limit);
  const last = page.at(-1);
  return {
    request_id: requestId,
    jobs: page.map(listEntry),
    next_cursor: found.length > limit && last !== undefined ? formatCursor(last) : null,
  };
}

/** Whether a principal may see a job. */
export function mayObserve(
  core: Core,
  principal: string,
  job: Pick<StoredJob, 'principal' | 'jobId'>,
): boolean {
  if (job.principal === principal) return true;
  return core.settings.observePolicy?.mayObserve(principal, job.principal, job.jobId) === true;
}

function attach(core: Core, subscription: Subscription, ownerSessionId: string): void {
  const { session, jobId } = subscription;
  session.subscriptions.set(jobId, subscription);
  core.jobsById.get(jobId)?.observers.add(subscription);
  core.ledger.touchSession(session);
  if (subscription.isReplaying) replay(core, subscription, ownerSessionId);
}

/**
 * Copies history page by page, a page a turn, until it meets what is live. Live events wait in the owner's stream
 * meanwhile, so the copy has neither a gap nor a duplicate.
 */
function replay(core: Core, subscription: Subscription, ownerSessionId: string): void {
  const { session, jobId } = subscription;
  const next = (): void => {
    if (session.subscriptions.get(jobId) !== subscription || core.isStopping || core.ledger.hasFailed())
      return;
    core.ledger.flush();
    const page = core.settings.store.readEvents({
      sessionId: ownerSessionId,
      afterSeq: subscription.copiedSeq,
      limit: PAGE_EVENTS,
      jobId,
    });
    for (const event of page) copy(core, subscription, event);
    if (page.length === PAGE_EVENTS) setImmediate(next);
    else finishReplay(core, subscription, page.at(-1));
  };
  setImmediate(next);
}

function copy(core: Core, subscription: Subscription, event: StoredEvent): void {
  subscription.copiedSeq = event.seq;
  const { jobId, type, traceId, payloadJson } = event;
  const kind = type === 'job.event' ? (KIND.exec(payloadJson)?.[1] ?? '') : '';
  const copied = copyForObserver({ jobId, type, traceId, payloadJson }, kind, subscription.session.features);
  if (copied !== undefined) appendEvent(core, subscription.session, copied);
}

function finishReplay(core: Core, subscription: Subscription, last: StoredEvent | undefined): void {
  const { session, jobId } = subscription;
  subscription.isReplaying = false;
  const job = core.jobsById.get(jobId);
  const isOver = job === undefined || (last !== undefined && last.type !== 'job.event');
  if (!isOver && job.session !== session) return;
  session.subscriptions.delete(jobId);
  job?.observers.delete(subscription);
  core.ledger.touchSession(session);
}

function subscribedPayload(
  session: Session,
  stored: StoredJob,
  job: Job | undefined,
  replayed: boolean,
): JobSubscribed {
  const accepted = JSON.parse(stored.acceptedJson) as JobAccepted;
  const budget = job?.budget.toJson() ?? accepted.budget;
  const credentials = credentialsFor(session, job);
  return {
    job_id: stored.jobId,
    current_status: stored.status,
    agent: stored.agent,
    lease: accepted.lease,
    ...(accepted.lease_constraints === undefined ? {} : { lease_constraints: accepted.lease_constraints }),
    ...(budget === undefined ? {} : { budget }),
    ...(credentials.length === 0 ? {} : { credentials }),
    parent_job_id: stored.parentJobId ?? null,
    trace_id: stored.traceId,
    subscribed_from: stored.lastEventSeq,
    replayed,
  };
}

/** Keys follow the submitter, never an observer; a child's keys are its agent's alone. */
function credentialsFor(session: Session, job: Job | undefined): readonly Credential[] {
  if (job === undefined || isFinal(job.status) || job.parent !== undefined) return [];
  return job.principal === session.principal && session.features.has('provisioned_credentials')
    ? job.credentials
    : [];
}

function listEntry(job: StoredJob): JobListEntry {
  const accepted = JSON.parse(job.acceptedJson) as JobAccepted;
  return {
    job_id: job.jobId,
    agent: job.agent,
    status: job.status,
    lease: accepted.lease,
    parent_job_id: job.parentJobId ?? null,
    created_at: new Date(job.createdAtMs).toISOString(),
    trace_id: job.traceId,
    last_event_seq: job.lastEventSeq,
  };
}

function formatCursor(job: StoredJob): string {
  return Buffer.from(`${job.createdAtMs} ${job.jobId}`).toString('base64url');
}

/** A cursor is a place in the order of jobs, nothing more: a forged one shows nothing the filter would not. */
function parseCursor(cursor: string | undefined): JobQuery['after'] {
  if (cursor === undefined) return undefined;
  const match = CURSOR.exec(Buffer.from(cursor, 'base64url').toString('utf8'));
  if (match === null) throw new ArcpError('INVALID_REQUEST', 'Cannot list jobs: the cursor is none of ours');
  return { createdAtMs: Number(match[1]), jobId: match[2] ?? '' };
}

const CURSOR = /^(\d{1,15}) (job_[\w-]+)$/;
const KIND = /^\{"kind":"([^"\\]*)"/;
const PAGE_EVENTS = 256;
const DEFAULT_LIMIT = 100;
