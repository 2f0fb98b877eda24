/**
 * From a request to a running job (sections 7.1, 7.2 and 10). Invariant: an agent is started only after its job is
 * stored, and a key that was accepted once never starts a second job.
 */
import { createHash, randomUUID } from 'node:crypto';
import { formatAgentRef, resolveAgent } from '../agent-ref.ts';
import { createBudget } from '../budget.ts';
import { decimalToNumber } from '../decimal.ts';
import { createDeferred } from '../deferred.ts';
import { ArcpError, errorToPayload } from '../errors.ts';
import { compileLease, parseExpiresAt, requireSubset, type CompiledLease } from '../lease.ts';
import { createTraceId, createTraceparent } from '../trace-context.ts';
import type { Credential, JobAccepted, JobSubmit } from '../wire.ts';
import type { AgentOutcome } from './agent-host.ts';
import { accountOf, keySlot, type Core, type Job, type Session } from './core.ts';
import { issueCredentials, revokeCredentials, wantedCredentials } from './credentials.ts';
import { armJob, fail, jobToStored, succeed } from './job-life.ts';

/** A submit and what came with it. */
export interface Submission {
  /** The parameters. */
  readonly submit: JobSubmit;
  /** The envelope's trace, if it had one. */
  readonly traceId: string | undefined;
  /** The delegating job. */
  readonly parent: Job | undefined;
}

/** An accepted job; `job` is absent when an idempotency key stood for it. */
export interface Accepted {
  readonly job: Job | undefined;
  readonly jobId: string;
  readonly traceId: string;
  readonly acceptedJson: string;
}

/**
 * Accepts a job, or says why not. Synchronous unless keys must be issued.
 *
 * @param core - the runtime
 * @param session - whose job
 * @param submission - what is asked
 * @throws ArcpError with the code of the refusal
 */
export function submitJob(
  core: Core,
  session: Session,
  submission: Submission,
): Accepted | Promise<Accepted> {
  const { submit } = submission;
  const requestHash = submit.idempotency_key === undefined ? '' : hashRequest(submit);
  const known = acceptedBefore(core, session, submit, requestHash);
  if (known !== undefined) return known;
  if (isBeingAccepted(core, session, submit)) {
    throw new ArcpError('INTERNAL_ERROR', 'Cannot accept job: the same key is being accepted right now');
  }
  const plan = planJob(core, session, submission, requestHash);
  const credentialIds = wantedCredentials(core, plan);
  if (credentialIds.length === 0 || !session.features.has('provisioned_credentials')) {
    return accept(core, session, plan, []);
  }
  return acceptWithCredentials(core, session, plan, credentialIds);
}

/** Hands a stored job to its agent. */
export function startJob(core: Core, job: Job, run: () => Promise<AgentOutcome> | undefined): void {
  let outcome: Promise<AgentOutcome> | undefined;
  try {
    outcome = run();
  } catch (error) {
    outcome = Promise.reject(error instanceof Error ? error : new Error(String(error), { cause: error }));
  }
  if (outcome === undefined) {
    const message = 'The runtime was restarted and the agent could not go on';
    fail(core, job, 'error', { code: 'INTERNAL_ERROR', message, retryable: true });
    return;
  }
  outcome.then(
    (value) => {
      if (!core.isStopping) succeed(core, job, value);
    },
    (error: unknown) => {
      if (core.isStopping) return;
      core.settings.logger.warn({ jobId: job.id, err: error }, 'agent failed');
      const payload = errorToPayload(error);
      fail(core, job, finalStatusOf(payload.code), payload);
    },
  );
}

/** What is settled about a job before it is accepted. */
export interface JobPlan {
  readonly jobId: string;
  readonly principal: string;
  readonly agentName: string;
  readonly agentVersion: string;
  readonly submit: JobSubmit;
  readonly compiled: CompiledLease;
  readonly lease: CompiledLease['lease'];
  readonly budget: CompiledLease['budget'];
  readonly expiresAtMs: number | undefined;
  readonly parent: Job | undefined;
  readonly traceId: string;
  readonly requestHash: string;
}

function planJob(core: Core, session: Session, submission: Submission, requestHash: string): JobPlan {
  const { submit, parent } = submission;
  const { clock, host, limits } = core.settings;
  const { name, version } = resolveAgent(submit.agent, host.inventory());
  const compiled = compileLease(submit.lease_request ?? {});
  const wanted = submit.lease_constraints?.expires_at;
  let expiresAtMs = wanted === undefined ? undefined : parseExpiresAt(wanted, clock.nowMs());
  if (parent !== undefined) {
    expiresAtMs = requireSubset(compiled, expiresAtMs, {
      lease: parent.lease,
      remaining: parent.budget.remaining(),
      expiresAtMs: parent.expiresAtMs,
    });
  }
  const held = accountOf(core, session.principal).jobs;
  if (held >= limits.maxJobsPerPrincipal || core.isStopping) {
    const message = `Cannot accept job: the principal has ${held} unfinished jobs, expected fewer`;
    throw new ArcpError('INTERNAL_ERROR', message, { details: { reason: 'job-limit' } });
  }
  return {
    jobId: newJobId(clock.nowMs()),
    principal: session.principal,
    agentName: name,
    agentVersion: version,
    submit,
    compiled,
    lease: compiled.lease,
    budget: compiled.budget,
    expiresAtMs,
    parent,
    traceId: submission.traceId ?? parent?.traceId ?? createTraceId(),
    requestHash,
  };
}

async function acceptWithCredentials(
  core: Core,
  session: Session,
  plan: JobPlan,
  credentialIds: readonly string[],
): Promise<Accepted> {
  const key = plan.submit.idempotency_key;
  const slot = key === undefined ? undefined : keySlot(session.principal, key);
  if (slot !== undefined) core.reservedKeys.add(slot);
  // Held from the start, so that many slow providers cannot carry a principal over its cap.
  const account = accountOf(core, session.principal);
  account.jobs += 1;
  try {
    const credentials = await issueCredentials(core, plan, credentialIds);
    if (core.isStopping || plan.parent?.end !== undefined || plan.parent?.finishedAtMs !== undefined) {
      revokeCredentials(core, plan.jobId);
      throw new ArcpError('INTERNAL_ERROR', 'Cannot accept job: what it belongs to ended meanwhile');
    }
    return accept(core, session, plan, credentials);
  } finally {
    account.jobs -= 1;
    if (slot !== undefined) core.reservedKeys.delete(slot);
  }
}

function accept(core: Core, session: Session, plan: JobPlan, credentials: readonly Credential[]): Accepted {
  const job = createJob(core, session, plan, credentials);
  core.ledger.touchJob(job);
  return { job, jobId: job.id, traceId: job.traceId, acceptedJson: job.acceptedJson };
}

function createJob(core: Core, session: Session, plan: JobPlan, credentials: readonly Credential[]): Job {
  const { clock, leaseGraceMs } = core.settings;
  const { parent, submit, expiresAtMs } = plan;
  const nowMs = clock.nowMs();
  const job: Job = {
    id: plan.jobId,
    session,
    principal: plan.principal,
    agentName: plan.agentName,
    agentVersion: plan.agentVersion,
    submit,
    submitJson: JSON.stringify(submit),
    lease: plan.compiled,
    budget: createBudget(plan.budget, parent?.budget),
    expiresAtMs,
    expiresMonotonicMs:
      expiresAtMs === undefined
        ? Number.POSITIVE_INFINITY
        : clock.monotonicMs() + (expiresAtMs - nowMs) + leaseGraceMs,
    deadlineAtMs: submit.max_runtime_sec === undefined ? undefined : nowMs + submit.max_runtime_sec * 1_000,
    parent,
    children: new Set(),
    depth: (parent?.depth ?? 0) + 1,
    traceId: plan.traceId,
    traceparent: createTraceparent(plan.traceId),
    createdAtMs: nowMs,
    idempotencyKey: submit.idempotency_key,
    requestHash: plan.requestHash,
    acceptedJson: acceptedJson(plan, credentials, nowMs),
    status: 'pending',
    finishedAtMs: undefined,
    lastEventSeq: 0,
    position: undefined,
    stream: undefined,
    credentials,
    abort: new AbortController(),
    observers: new Set(),
    timeLimit: undefined,
    watchdog: undefined,
    misses: 0,
    end: undefined,
    span: startSpan(core, plan),
    settled: createDeferred<AgentOutcome>(),
    toStored: () => jobToStored(job),
  };
  enrolJob(core, job);
  return job;
}

/** Enters a live job into every table and sets its timers. */
export function enrolJob(core: Core, job: Job): void {
  // Most jobs have nobody who waits for them.
  job.settled.promise.catch(() => undefined);
  core.jobsById.set(job.id, job);
  if (job.idempotencyKey !== undefined) core.jobsByKey.set(keySlot(job.principal, job.idempotencyKey), job);
  job.session.jobs.add(job);
  job.parent?.children.add(job);
  accountOf(core, job.principal).jobs += 1;
  armJob(core, job);
}

/** Keys that wait for their credentials stand in no table yet. */
function isBeingAccepted(core: Core, session: Session, submit: JobSubmit): boolean {
  const key = submit.idempotency_key;
  return key !== undefined && core.reservedKeys.has(keySlot(session.principal, key));
}

function acceptedBefore(
  core: Core,
  session: Session,
  submit: JobSubmit,
  requestHash: string,
): Accepted | undefined {
  const key = submit.idempotency_key;
  if (key === undefined) return undefined;
  // Live jobs, and those of this turn, are here; older ones only in the store.
  const live = core.jobsByKey.get(keySlot(session.principal, key))?.toStored();
  const stored = live ?? core.settings.store.readJobByKey(session.principal, key);
  if (stored === undefined) return undefined;
  if (stored.requestHash !== requestHash) {
    throw new ArcpError(
      'DUPLICATE_KEY',
      'Cannot accept job: its idempotency_key belongs to other parameters',
    );
  }
  return {
    job: undefined,
    jobId: stored.jobId,
    traceId: stored.traceId,
    acceptedJson: stored.acceptedJson,
  };
}

function acceptedJson(plan: JobPlan, credentials: readonly Credential[], nowMs: number): string {
  const budget = Array.from(
    plan.budget,
    ([currency, amount]) => [currency, decimalToNumber(amount)] as const,
  );
  const accepted: JobAccepted = {
    job_id: plan.jobId,
    agent: formatAgentRef(plan.agentName, plan.agentVersion),
    lease: plan.lease,
    ...(plan.expiresAtMs === undefined
      ? {}
      : { lease_constraints: { expires_at: new Date(plan.expiresAtMs).toISOString() } }),
    ...(budget.length === 0 ? {} : { budget: Object.fromEntries(budget) }),
    ...(credentials.length === 0 ? {} : { credentials }),
    accepted_at: new Date(nowMs).toISOString(),
    ...(plan.parent === undefined ? {} : { parent_job_id: plan.parent.id }),
    trace_id: plan.traceId,
  };
  return JSON.stringify(accepted);
}

function startSpan(core: Core, plan: JobPlan): Job['span'] {
  return core.settings.tracer?.startSpan('arcp.job', {
    attributes: {
      'arcp.job.id': plan.jobId,
      'arcp.agent': formatAgentRef(plan.agentName, plan.agentVersion),
      'arcp.trace.id': plan.traceId,
      ...(plan.expiresAtMs === undefined
        ? {}
        : { 'arcp.lease.expires_at': new Date(plan.expiresAtMs).toISOString() }),
    },
  });
}

/** Begins with the time, so that new rows of a store lie side by side; unguessable all the same. */
function newJobId(nowMs: number): string {
  return `job_${nowMs.toString(36).padStart(9, '0')}_${randomUUID()}`;
}

function finalStatusOf(code: string): 'error' | 'cancelled' | 'timed_out' {
  if (code === 'CANCELLED') return 'cancelled';
  return code === 'TIMEOUT' ? 'timed_out' : 'error';
}

/** Equal for requests that mean the same, whatever the order of their keys. */
function hashRequest(submit: JobSubmit): string {
  return createHash('sha256').update(JSON.stringify(submit, sortKeys)).digest('hex');
}

function sortKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1)));
}
