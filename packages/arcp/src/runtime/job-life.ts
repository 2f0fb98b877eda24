/**
 * A job from its acceptance to its one terminal message. Invariant: the terminal message is the last thing in the
 * job's stream, it comes exactly once, and it is stored together with the job's final status.
 */
import { formatAgentRef } from '../agent-ref.ts';
import { ArcpError, errorToPayload, payloadToError, type ArcpErrorPayload } from '../errors.ts';
import { isFinal, transition, type FinalStatus } from '../job-state.ts';
import { formatDecimal } from '../decimal.ts';
import type { AgentOutcome } from './agent-host.ts';
import {
  accountOf,
  keySlot,
  releaseAccount,
  type Core,
  type Job,
  type NewEvent,
  type ResultStream,
} from './core.ts';
import type { StoredJob } from './event-store.ts';
import { revokeCredentials } from './credentials.ts';
import { appendEvent } from './stream.ts';

/** Puts an event into the owner's stream and into those of the observers. */
export function publish(core: Core, job: Job, type: NewEvent['type'], payloadJson: string, kind = ''): void {
  const event: NewEvent = { jobId: job.id, type, traceId: job.traceId, payloadJson };
  // Touched first: should this very event fill the turn, the job is committed with it.
  core.ledger.touchJob(job);
  job.lastEventSeq = job.session.lastSeq + 1;
  appendEvent(core, job.session, event);
  for (const subscription of job.observers) {
    if (subscription.isReplaying) continue;
    subscription.copiedSeq = job.lastEventSeq;
    const copy = copyForObserver(event, kind, subscription.session.features);
    if (copy !== undefined) appendEvent(core, subscription.session, copy);
  }
}

/**
 * What an observer gets of an event: never the secret of a rotated credential, and nothing of a feature it does not know.
 *
 * @returns `undefined` when it gets nothing
 */
export function copyForObserver(
  event: NewEvent,
  kind: string,
  features: ReadonlySet<string>,
): NewEvent | undefined {
  if ((kind === 'progress' || kind === 'result_chunk') && !features.has(kind)) return undefined;
  if (kind !== 'status' || !event.payloadJson.includes('"credential_rotated"')) return event;
  const payload: unknown = JSON.parse(event.payloadJson);
  return {
    ...event,
    payloadJson: JSON.stringify(payload, (key, value: unknown) => (key === 'value' ? undefined : value)),
  };
}

/** The job's agent has shown that it works. */
export function markRunning(core: Core, job: Job): void {
  job.misses = 0;
  if (job.status !== 'pending') return;
  job.status = transition(job.id, job.status, 'running');
  core.ledger.touchJob(job);
}

/** Ends a job with a result. Does nothing when it has ended already. */
export function succeed(core: Core, job: Job, outcome: AgentOutcome): void {
  if (isFinal(job.status)) return;
  let payloadJson: string;
  try {
    payloadJson = resultJson(core, job, outcome);
  } catch (error) {
    fail(core, job, 'error', errorToPayload(error));
    return;
  }
  markRunning(core, job);
  closeStream(core, job);
  close(core, job, 'success');
  publish(core, job, 'job.result', payloadJson);
  job.settled.resolve(outcome);
  settle(core, job);
}

/** Ends a job without one. Does nothing when it has ended already. */
export function fail(
  core: Core,
  job: Job,
  finalStatus: Exclude<FinalStatus, 'success'>,
  error: ArcpErrorPayload,
): void {
  if (isFinal(job.status)) return;
  job.end = error;
  close(core, job, finalStatus);
  publish(core, job, 'job.error', JSON.stringify({ final_status: finalStatus, ...error }));
  job.settled.reject(payloadToError(error));
  settle(core, job);
}

/** Ends a job because somebody wanted it to. */
export function cancel(core: Core, job: Job, reason: string | undefined): void {
  const message = reason === undefined ? 'The job was cancelled' : `The job was cancelled: ${reason}`;
  fail(core, job, 'cancelled', { code: 'CANCELLED', message, retryable: false });
}

/** Sets the job's own timers: its time limit, and the watchdog over its agent. */
export function armJob(core: Core, job: Job): void {
  const { clock, watchdog } = core.settings;
  if (job.deadlineAtMs !== undefined) {
    const leftMs = Math.max(0, job.deadlineAtMs - clock.nowMs());
    const onTimeUp = (): void => {
      const message = `The job ran longer than its ${job.submit.max_runtime_sec ?? 0} s`;
      fail(core, job, 'timed_out', { code: 'TIMEOUT', message, retryable: false });
    };
    job.timeLimit = clock.setTimer(leftMs, onTimeUp, { keepAlive: false });
  }
  if (watchdog === undefined) return;
  const look = (): void => {
    job.misses += 1;
    if (job.misses > watchdog.allowedMisses) {
      const message = `The agent gave no sign of life in ${job.misses} intervals of ${watchdog.intervalMs} ms`;
      fail(core, job, 'error', { code: 'HEARTBEAT_LOST', message, retryable: true });
      return;
    }
    arm();
  };
  const arm = (): void => {
    job.watchdog = clock.setTimer(watchdog.intervalMs, look, { keepAlive: false });
  };
  arm();
}

/** The stored form of a job, taken when the turn ends. */
export function jobToStored(job: Job): StoredJob {
  const { stream } = job;
  return {
    jobId: job.id,
    sessionId: job.session.id,
    principal: job.principal,
    agent: formatAgentRef(job.agentName, job.agentVersion),
    status: job.status,
    createdAtMs: job.createdAtMs,
    finishedAtMs: job.finishedAtMs,
    lastEventSeq: job.lastEventSeq,
    parentJobId: job.parent?.id,
    traceId: job.traceId,
    idempotencyKey: job.idempotencyKey,
    requestHash: job.requestHash,
    acceptedJson: job.acceptedJson,
    submitJson: job.submitJson,
    budget: job.budget.toStored(),
    expiresAtMs: job.expiresAtMs,
    deadlineAtMs: job.deadlineAtMs,
    position: job.position,
    stream:
      stream === undefined
        ? undefined
        : {
            resultId: stream.resultId,
            nextChunk: stream.nextChunk,
            size: stream.size,
            isDone: stream.isDone,
          },
  };
}

/** The payload of `job.result`. Throws when the outcome contradicts the stream, or is no JSON, or no message holds it. */
function resultJson(core: Core, job: Job, outcome: AgentOutcome): string {
  const { stream } = job;
  if (stream !== undefined && outcome.result !== undefined) {
    throw new ArcpError('INTERNAL_ERROR', 'The agent streamed a result and gave another one inline');
  }
  const json = JSON.stringify({
    final_status: 'success',
    ...(stream === undefined ? { result: outcome.result ?? null } : streamedResult(stream)),
    ...(outcome.summary === undefined ? {} : { summary: outcome.summary }),
  });
  if (json.length <= core.settings.limits.maxMessageLength) return json;
  throw new ArcpError('INTERNAL_ERROR', `The result has ${json.length} characters, expected it streamed`);
}

/** A stream always says that it is over, also when its agent forgot to. */
function closeStream(core: Core, job: Job): void {
  const { stream } = job;
  if (stream === undefined || stream.isDone || stream.joined !== undefined) return;
  const ts = new Date(core.settings.clock.nowMs()).toISOString();
  const end = {
    result_id: stream.resultId,
    chunk_seq: stream.nextChunk,
    data: '',
    encoding: 'utf8',
    more: false,
  };
  stream.nextChunk += 1;
  stream.isDone = true;
  publish(core, job, 'job.event', JSON.stringify({ kind: 'result_chunk', ts, body: end }), 'result_chunk');
}

function streamedResult({ joined, resultId, size, isBinary }: ResultStream): object {
  if (joined === undefined) return { result_id: resultId, result_size: size };
  return { result: Buffer.concat(joined).toString(isBinary ? 'base64' : 'utf8') };
}

function close(core: Core, job: Job, status: FinalStatus): void {
  job.status = transition(job.id, job.status, status);
  job.finishedAtMs = core.settings.clock.nowMs();
  job.timeLimit?.cancel();
  job.watchdog?.cancel();
}

/** What follows from an end: children end, keys are taken back, observers let go, the agent is told. */
function settle(core: Core, job: Job): void {
  core.jobsById.delete(job.id);
  const { idempotencyKey } = job;
  if (idempotencyKey !== undefined) {
    core.ledger.afterCommit(() => core.jobsByKey.delete(keySlot(job.principal, idempotencyKey)));
  }
  job.session.jobs.delete(job);
  const account = accountOf(core, job.principal);
  account.jobs -= 1;
  releaseAccount(core, job.principal);
  for (const child of job.children) cancel(core, child, 'its parent ended');
  job.parent?.children.delete(job);
  for (const subscription of job.observers) {
    if (subscription.isReplaying) continue;
    subscription.session.subscriptions.delete(job.id);
    core.ledger.touchSession(subscription.session);
  }
  revokeCredentials(core, job.id);
  endSpan(job);
  const error = job.end;
  // An agent that returned a result has nothing left to stop.
  if (error !== undefined) job.abort.abort(payloadToError(error));
  core.settings.logger.info(
    { jobId: job.id, principal: job.principal, status: job.status, code: error?.code },
    'job.ended',
  );
}

function endSpan(job: Job): void {
  const { span } = job;
  if (span === undefined) return;
  for (const [currency, left] of job.budget.remaining()) {
    span.setAttribute('arcp.budget.remaining', `${currency}:${formatDecimal(left)}`);
  }
  span.setAttribute('arcp.job.status', job.status);
  span.end();
}
