/** Raising watermarks. Invariant: a watermark never goes down, and a raised job is due again. */
import {
  MAX_KIND_LENGTH,
  MAX_NUMBER,
  requireInteger,
  requireMs,
  requireNumber,
  requireText,
  toJson,
} from './options.ts';
import type { EnqueueRequest } from './requests.ts';
import type { EnqueueResult } from './results.ts';
import { parseEnqueuedRow } from './rows.ts';
import type { Params, Prepared, WriteStatements } from './statements.ts';

/** @internal A checked enqueue: what callers may change afterwards no longer matters. */
export interface PreparedEnqueue {
  readonly kind: string;
  readonly key: string;
  readonly watermark: number | null;
  readonly dueAtMs: number | null;
  readonly priority: number | null;
  readonly retries: number | null;
  readonly concurrencyKey: string | null;
  readonly payload: string | null;
}

/** @internal Checks a request; throws TypeError or RangeError. */
export function prepareEnqueue(request: EnqueueRequest): PreparedEnqueue {
  const { watermark, dueAtMs, priority, retries, concurrencyKey } = request;
  return {
    kind: requireText('kind', request.kind, MAX_KIND_LENGTH),
    key: requireText('key', request.key),
    watermark: watermark === undefined ? null : requireNumber('watermark', watermark),
    dueAtMs: dueAtMs === undefined ? null : requireMs('dueAtMs', dueAtMs),
    priority: priority === undefined ? null : requireInteger('priority', priority, Number.MIN_SAFE_INTEGER),
    retries: retries === undefined ? null : requireInteger('retries', retries, 0),
    concurrencyKey: concurrencyKey === undefined ? null : requireText('concurrencyKey', concurrencyKey),
    payload: toJson('payload', request.payload),
  };
}

/** @internal What enqueueing needs of its connection. */
export interface EnqueueContext {
  readonly statements: WriteStatements;
  readonly selectWatermark: Prepared;
  readonly defaultRetries: number;
}

/** @internal Raises one job inside the caller's transaction. */
export function enqueueOne(context: EnqueueContext, request: PreparedEnqueue, nowMs: number): EnqueueResult {
  const row = context.statements.enqueueReturning.get(enqueueParams(context, request, nowMs));
  if (row === undefined) {
    requireRoom(request);
    const kept = parseEnqueuedRow(context.selectWatermark.get({ kind: request.kind, key: request.key }));
    return { jobId: kept.job_id, watermark: kept.input_watermark, isRaised: false };
  }
  const raised = parseEnqueuedRow(row);
  if (isLarge(request.payload)) {
    const jobId = raised.job_id;
    context.statements.markLargePayload.run({ jobId });
    context.statements.putLargeValue.run({ jobId, name: 'payload', value: request.payload });
  }
  return { jobId: raised.job_id, watermark: raised.input_watermark, isRaised: true };
}

/** @internal Raises many jobs inside the caller's transaction; answers how many changed. */
export function enqueueBatch(
  context: EnqueueContext,
  requests: readonly PreparedEnqueue[],
  nowMs: number,
): number {
  let raised = 0;
  for (const request of requests) {
    if (isLarge(request.payload)) {
      if (enqueueOne(context, request, nowMs).isRaised) raised += 1;
    } else {
      const { changes } = context.statements.enqueue.run(enqueueParams(context, request, nowMs));
      if (changes === 0) requireRoom(request);
      raised += changes;
    }
  }
  return raised;
}

/** Called when nothing was raised: without a watermark of its own, a request only fails to raise at the very end. */
function requireRoom({ kind, key, watermark }: PreparedEnqueue): void {
  if (watermark !== null) return;
  throw new RangeError(
    `Cannot raise job "${kind}" "${key}": its watermark is ${MAX_NUMBER}, expected one with a next integer`,
  );
}

/** @internal Whether a value's JSON goes to the side table: measured, wide rows slow every claim of their neighbours. */
export function isLarge(json: string | null): json is string {
  return json !== null && json.length > MAX_INLINE_LENGTH;
}

function enqueueParams(context: EnqueueContext, request: PreparedEnqueue, nowMs: number): Params {
  return {
    kind: request.kind,
    key: request.key,
    priority: request.priority,
    concurrencyKey: request.concurrencyKey,
    watermark: request.watermark,
    dueAtMs: request.dueAtMs ?? nowMs,
    retries: request.retries,
    defaultRetries: context.defaultRetries,
    payload: isLarge(request.payload) ? null : request.payload,
    nowMs,
  };
}

const MAX_INLINE_LENGTH = 500;
