/** What a client can ask of an open session. Invariant: every refusal names the request it refuses. */
import { randomUUID } from 'node:crypto';
import type { ClientMessage } from '../client-messages.ts';
import { ArcpError, errorToPayload } from '../errors.ts';
import { isFinal } from '../job-state.ts';
import { createTraceId } from '../trace-context.ts';
import { CLOSE_CODES } from '../transport.ts';
import type { Envelope } from '../wire.ts';
import { createAgentJob } from './agent-job.ts';
import type { Core, Session } from './core.ts';
import { cancel } from './job-life.ts';
import { listJobs, mayObserve, subscribe, unsubscribe } from './observers.ts';
import { confirmToken } from './sessions.ts';
import { acknowledge } from './stream.ts';
import { startJob, submitJob, type Accepted, type Submission } from './submission.ts';

/**
 * Answers one message.
 *
 * @throws ArcpError that is answered with `session.error`
 */
export function answer(core: Core, session: Session, envelope: Envelope, message: ClientMessage): void {
  confirmToken(core, session);
  switch (message.type) {
    case 'hello':
      throw refused(envelope, 'INVALID_REQUEST', 'the session is open already');
    case 'ping':
      session.link?.reply('session.pong', {
        ping_nonce: message.nonce,
        received_at: new Date(core.settings.clock.nowMs()).toISOString(),
      });
      return;
    case 'pong':
      return;
    case 'ack':
      requireFeature(session, envelope, 'ack');
      acknowledge(core, session, message.lastProcessedSeq);
      return;
    case 'list-jobs':
      requireFeature(session, envelope, 'list_jobs');
      withRequest(envelope, () => {
        session.link?.reply('session.jobs', listJobs(core, session, message.request, envelope.id));
      });
      return;
    case 'close':
      close(core, session);
      return;
    case 'submit':
      submit(core, session, envelope, {
        submit: message.submit,
        traceId: envelope.trace_id,
        parent: undefined,
      });
      return;
    case 'cancel':
      cancelJob(core, session, envelope, message.jobId, message.reason);
      return;
    case 'subscribe':
      requireFeature(session, envelope, 'subscribe');
      withRequest(envelope, () => subscribe(core, session, message));
      return;
    case 'unsubscribe':
      requireFeature(session, envelope, 'subscribe');
      unsubscribe(core, session, message.jobId);
  }
}

function submit(core: Core, session: Session, envelope: Envelope, submission: Submission): void {
  const accept = (accepted: Accepted): void => {
    const { job } = accepted;
    session.link?.replyJson('job.accepted', accepted.acceptedJson, {
      jobId: accepted.jobId,
      // A repeated submit is answered under its own trace, or its sender would not know the answer is for it.
      traceId: submission.traceId ?? accepted.traceId,
    });
    if (job === undefined) return;
    core.ledger.afterCommit(() => {
      if (!isFinal(job.status))
        startJob(core, job, () => core.settings.host.start(createAgentJob(core, job)));
    });
  };
  const refuse = (error: unknown): void => {
    if (!(error instanceof ArcpError)) core.settings.logger.error({ err: error }, 'submit failed');
    const payload = errorToPayload(error);
    // A job.error with a job nobody was promised: the one answer that reaches only the submit it belongs to.
    session.link?.reply(
      'job.error',
      { final_status: 'error', ...payload, details: { ...payload.details, request_id: envelope.id } },
      { jobId: `job_${randomUUID()}`, traceId: submission.traceId ?? createTraceId() },
    );
  };
  try {
    const accepted = submitJob(core, session, submission);
    if (accepted instanceof Promise) accepted.then(accept, refuse);
    else accept(accepted);
  } catch (error) {
    refuse(error);
  }
}

function cancelJob(
  core: Core,
  session: Session,
  envelope: Envelope,
  jobId: string,
  reason: string | undefined,
): void {
  const job = core.jobsById.get(jobId);
  if (job === undefined || job.session !== session) throw cancelRefusal(core, session, envelope, jobId);
  const about = { jobId, traceId: job.traceId };
  session.link?.reply('job.cancelled', { job_id: jobId, ...(reason === undefined ? {} : { reason }) }, about);
  cancel(core, job, reason);
}

/** A job of somebody else and no job at all look the same. */
function cancelRefusal(core: Core, session: Session, envelope: Envelope, jobId: string): ArcpError {
  core.ledger.flush();
  const stored = core.settings.store.readJob(jobId);
  if (stored === undefined || !mayObserve(core, session.principal, stored)) {
    return refused(envelope, 'JOB_NOT_FOUND', `no job "${jobId}"`, jobId);
  }
  if (stored.sessionId !== session.id) {
    return refused(envelope, 'PERMISSION_DENIED', `another session submitted job "${jobId}"`, jobId);
  }
  return refused(envelope, 'INVALID_REQUEST', `job "${jobId}" has ended as ${stored.status}`, jobId);
}

function close(core: Core, session: Session): void {
  session.isClosed = true;
  core.ledger.touchSession(session);
  session.link?.reply('session.closed', {});
  session.link?.cut(undefined, CLOSE_CODES.normal, 'session closed');
}

function requireFeature(session: Session, envelope: Envelope, feature: string): void {
  if (session.features.has(feature)) return;
  throw refused(envelope, 'INVALID_REQUEST', `feature "${feature}" was not negotiated`);
}

/** Adds the request's id to whatever is refused. */
function withRequest(envelope: Envelope, run: () => void): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof ArcpError)) throw error;
    throw new ArcpError(error.code, error.message, {
      cause: error,
      retryable: error.retryable,
      details: { ...error.details, request_id: envelope.id },
    });
  }
}

function refused(
  envelope: Envelope,
  code: 'INVALID_REQUEST' | 'JOB_NOT_FOUND' | 'PERMISSION_DENIED',
  why: string,
  jobId?: string,
): ArcpError {
  return new ArcpError(code, `Cannot answer "${envelope.type}": ${why}`, {
    details: { request_id: envelope.id, ...(jobId === undefined ? {} : { job_id: jobId }) },
  });
}
