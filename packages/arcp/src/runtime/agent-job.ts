/**
 * A job as its agent sees it. Invariant: nothing an agent does after its job has ended reaches anybody, and no agent,
 * however busy, keeps the loop from its sessions.
 */
import { randomUUID } from 'node:crypto';
import { decimalToNumber } from '../decimal.ts';
import { ArcpError, errorToPayload, payloadToError } from '../errors.ts';
import {
  requireEventBody,
  type DelegateBody,
  type MetricBody,
  type ResultChunkBody,
} from '../event-bodies.ts';
import { isFinal } from '../job-state.ts';
import type {
  AgentJob,
  DelegatedJob,
  DelegateRequest,
  EmitOptions,
  ToolOutcome,
  ToolRequest,
} from './agent-host.ts';
import { authorize } from './authority.ts';
import type { Core, Job } from './core.ts';
import { markRunning, publish } from './job-life.ts';
import { nextChunk, takeChunk } from './result-stream.ts';
import { isCrowded, lagOf, signalPressure } from './stream.ts';
import { startJob, submitJob } from './submission.ts';

/** Makes the agent's side of a job. */
export function createAgentJob(core: Core, job: Job): AgentJob {
  return {
    jobId: job.id,
    name: job.agentName,
    version: job.agentVersion,
    principal: job.principal,
    sessionId: job.session.id,
    parentJobId: job.parent?.id,
    input: job.submit.input,
    lease: job.lease.lease,
    expiresAtMs: job.expiresAtMs,
    traceparent: job.traceparent,
    credentials: job.credentials,
    position: job.position,
    signal: job.abort.signal,
    emit: async (kind: string, body: unknown, options: EmitOptions = {}) =>
      emit(core, job, kind, body, options),
    heartbeat() {
      job.misses = 0;
    },
    authorize: (namespace, resource) => authorize(core, job, namespace, resource),
    callTool: async (request, run) => callTool(core, job, request, run),
    delegate: async (request) => delegate(core, job, request, undefined),
    async writeResult(data, { isLast = false, position } = {}) {
      requireLive(core, job);
      const chunk = nextChunk(core, job, data, isLast);
      return publishChunk(core, job, chunk, position);
    },
  };
}

function emit(core: Core, job: Job, kind: string, body: unknown, options: EmitOptions): Promise<void> | void {
  requireLive(core, job);
  requireEventBody(kind, body);
  switch (kind) {
    case 'delegate':
      return emitDelegate(core, job, body as DelegateBody);
    case 'metric':
      return emitMetric(core, job, body as MetricBody, options);
    case 'result_chunk':
      return publishChunk(core, job, takeChunk(core, job, body as ResultChunkBody), options.position);
    case 'progress':
      // A client that does not know the kind loses the picture, not the job.
      if (job.session.features.has('progress')) break;
      markRunning(core, job);
      keepPosition(core, job, options.position);
      return undefined;
    default:
  }
  publishEvent(core, job, kind, body, options.position);
  return room(core, job);
}

function emitMetric(core: Core, job: Job, body: MetricBody, options: EmitOptions): Promise<void> | void {
  if (body.name === REMAINING) {
    throw new ArcpError('INVALID_REQUEST', `Cannot emit metric "${REMAINING}": it is the runtime's own`);
  }
  // Charged before it is published: should this event fill the turn, both are committed together.
  const isCost = body.name.startsWith('cost.') && body.unit !== undefined;
  const change = isCost ? job.budget.charge(body.unit, body.value) : undefined;
  if (isCost)
    for (let above = job.parent; above !== undefined; above = above.parent) core.ledger.touchJob(above);
  publishEvent(core, job, 'metric', body, options.position);
  if (change?.isMaterial === true && job.session.features.has('cost.budget')) {
    const value = decimalToNumber(change.remaining);
    publishEvent(core, job, 'metric', { name: REMAINING, value, unit: change.currency });
  }
  return room(core, job);
}

function publishChunk(
  core: Core,
  job: Job,
  chunk: ResultChunkBody,
  position: string | undefined,
): Promise<void> | void {
  if (job.stream?.joined === undefined) publishEvent(core, job, 'result_chunk', chunk, position);
  else {
    markRunning(core, job);
    keepPosition(core, job, position);
  }
  return room(core, job);
}

function publishEvent(core: Core, job: Job, kind: string, body: unknown, position?: string): void {
  const payloadJson = eventJson(core, kind, body);
  markRunning(core, job);
  keepPosition(core, job, position);
  publish(core, job, 'job.event', payloadJson, kind);
  if (lagOf(job.session) >= core.settings.backPressureEvents) signalPressure(core, job.session, job);
}

/** A message the peer would refuse to read must not get a number. */
function eventJson(core: Core, kind: string, body: unknown): string {
  const ts = new Date(core.settings.clock.nowMs()).toISOString();
  let json: string;
  try {
    json = JSON.stringify({ kind, ts, body });
  } catch (error) {
    throw new ArcpError('INVALID_REQUEST', `Cannot emit ${kind} event: its body is no JSON`, {
      cause: error,
    });
  }
  if (json.length <= core.settings.limits.maxMessageLength) return json;
  throw new ArcpError('INVALID_REQUEST', `Cannot emit ${kind} event: it has ${json.length} characters`);
}

/** Resolved at once, unless the turn is full or the reader is behind. */
function room(core: Core, job: Job): Promise<void> | void {
  if (core.ledger.pendingEvents() >= TURN_EVENTS) return core.ledger.nextCommit();
  if (!isCrowded(core, job.session)) {
    // What nobody is reading right now is in no hurry, and must not hold up what somebody is.
    return job.session.link?.isLive() === true ? undefined : core.unreadPace.take();
  }
  return new Promise((resolve) => {
    job.session.waiting.push(resolve);
  });
}

async function callTool<T>(
  core: Core,
  job: Job,
  { tool, args }: ToolRequest,
  run: () => Promise<T> | T,
): Promise<ToolOutcome<T>> {
  const callId = `call_${randomUUID()}`;
  await emit(core, job, 'tool_call', { tool, ...(args === undefined ? {} : { args }), call_id: callId }, {});
  const answer = authorize(core, job, 'tool.call', tool);
  if (!answer.isAllowed) {
    await emit(core, job, 'tool_result', { call_id: callId, error: answer.error }, {});
    return { isOk: false, error: answer.error };
  }
  try {
    const result = await run();
    await emit(core, job, 'tool_result', { call_id: callId, result: result ?? null }, {});
    return { isOk: true, result };
  } catch (error) {
    const payload = errorToPayload(error);
    requireLive(core, job);
    await emit(core, job, 'tool_result', { call_id: callId, error: payload }, {});
    return { isOk: false, error: payload };
  }
}

/** A delegation asked for by an event: its refusal is an event too, as the agent may be a process without answers. */
async function emitDelegate(core: Core, job: Job, body: DelegateBody): Promise<void> {
  const expiresAt = body.lease_constraints?.expires_at;
  const request: DelegateRequest = {
    agent: body.agent,
    input: body.input,
    ...(body.lease_request === undefined ? {} : { lease: body.lease_request }),
    ...(expiresAt === undefined ? {} : { expiresAt }),
  };
  try {
    await delegate(core, job, request, body.delegate_id);
  } catch (error) {
    requireLive(core, job);
    await emit(core, job, 'tool_result', { call_id: body.delegate_id, error: errorToPayload(error) }, {});
  }
}

async function delegate(
  core: Core,
  job: Job,
  request: DelegateRequest,
  delegateId = `del_${randomUUID()}`,
): Promise<DelegatedJob> {
  requireLive(core, job);
  const name = request.agent.split('@')[0] ?? request.agent;
  const answer = authorize(core, job, 'agent.delegate', name);
  if (!answer.isAllowed) throw payloadToError(answer.error);
  if (job.depth >= core.settings.limits.maxDelegationDepth) {
    throw new ArcpError(
      'PERMISSION_DENIED',
      `Cannot delegate from job "${job.id}": it is ${job.depth} levels deep`,
    );
  }
  const submit = {
    agent: request.agent,
    input: request.input,
    lease_request: request.lease ?? {},
    ...(request.expiresAt === undefined ? {} : { lease_constraints: { expires_at: request.expiresAt } }),
  };
  const { job: child } = await submitJob(core, job.session, { submit, traceId: job.traceId, parent: job });
  if (child === undefined) throw new ArcpError('INTERNAL_ERROR', 'Cannot delegate: the child has no life');
  const { lease_request: lease, lease_constraints: constraints, ...rest } = submit;
  publishEvent(core, job, 'delegate', {
    ...rest,
    delegate_id: delegateId,
    lease_request: lease,
    ...(constraints === undefined ? {} : { lease_constraints: constraints }),
    job_id: child.id,
  });
  core.ledger.afterCommit(() => {
    if (!isFinal(child.status))
      startJob(core, child, () => core.settings.host.start(createAgentJob(core, child)));
  });
  return { jobId: child.id, outcome: child.settled.promise };
}

function keepPosition(core: Core, job: Job, position: string | undefined): void {
  if (position === undefined) return;
  job.position = position;
  core.ledger.touchJob(job);
}

function requireLive(core: Core, job: Job): void {
  if (job.end !== undefined) throw payloadToError(job.end);
  if (!isFinal(job.status) && !core.isStopping && !core.ledger.hasFailed()) return;
  throw new ArcpError('closed', `Cannot report on job "${job.id}": it is over here, expected a live one`);
}

const REMAINING = 'cost.budget.remaining';
/** Events of a turn after which agents wait for its commit. */
const TURN_EVENTS = 512;
