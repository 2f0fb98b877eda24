/**
 * What the owner of a lease may do with it. Runs inside the caller's write transaction.
 * Invariant: every statement names the job and its token; a stale token changes no row and is answered `lease-lost`.
 */
import { isLarge } from './enqueue.ts';
import type { JobStatus, Lease } from './jobs.ts';
import { addMs, requireInteger, requireMs, requireNumber, requireText, toJson } from './options.ts';
import type { AttemptRun, FailOptions, ReleaseOptions, SucceedOptions } from './requests.ts';
import type {
  AttemptRunResult,
  FailResult,
  HeartbeatResult,
  LeaseLost,
  ReleaseResult,
  SucceedResult,
} from './results.ts';
import { requireRetryPolicy, retryDelayMs, type RetryPolicy } from './retry-policy.ts';
import {
  LARGE_VALUE_BITS,
  parseEndedRow,
  parseFailedRow,
  parseHeartbeatRow,
  parseInteger,
  parseStatus,
} from './rows.ts';
import type { Prepared, WriteStatements } from './statements.ts';

/** @internal What finishing needs of its connection. */
export interface FinishContext {
  readonly writes: WriteStatements;
  readonly selectFailures: Prepared;
  readonly retry: RetryPolicy;
  readonly random: () => number;
}

/** @internal A checked success. */
export interface PreparedSuccess {
  readonly jobId: number;
  readonly token: number;
  readonly watermark: number | null;
  readonly result: string | null;
}

/** @internal Checks a lease that came back from a caller. */
export function requireLease(lease: Lease): Lease {
  requireInteger('lease.jobId', lease.jobId, 1);
  requireInteger('lease.token', lease.token, 1);
  return lease;
}

/** @internal Checks a success; throws TypeError or RangeError. */
export function prepareSuccess(lease: Lease, options: SucceedOptions = {}): PreparedSuccess {
  requireLease(lease);
  const { watermark } = options;
  return {
    jobId: lease.jobId,
    token: lease.token,
    watermark: watermark === undefined ? null : requireNumber('watermark', watermark),
    result: toJson('result', options.result),
  };
}

/** @internal Checks a failure; throws TypeError or RangeError. */
export function requireFail(options: FailOptions): FailOptions {
  if (typeof options.error !== 'string') {
    throw new TypeError(`Cannot use error of type "${typeof options.error}": expected text`);
  }
  if (options.retry !== undefined && options.retry !== false) requireRetryPolicy(options.retry);
  return options;
}

/** @internal Checks a release; throws RangeError. */
export function requireRelease(
  lease: Lease,
  options: ReleaseOptions = {},
): { readonly lease: Lease; readonly options: ReleaseOptions } {
  if (options.dueAtMs !== undefined) requireMs('dueAtMs', options.dueAtMs);
  return { lease: requireLease(lease), options };
}

/** @internal Checks what is noted with an attempt; throws TypeError. */
export function requireRun(run: AttemptRun): AttemptRun {
  if (run.runDir !== undefined) requireText('runDir', run.runDir);
  if (run.node !== undefined) requireText('node', run.node);
  return run;
}

/** @internal Ends many attempts well: with one statement, however many there are, once that costs less. */
export function succeedMany(
  context: FinishContext,
  successes: readonly PreparedSuccess[],
  nowMs: number,
): SucceedResult[] {
  const jobIds = new Set(successes.map(({ jobId }) => jobId));
  // Two leases of one job cannot both be current; one by one, each gets its own answer.
  if (successes.length < MIN_SET || jobIds.size !== successes.length)
    return successes.map((success) => succeedOne(context, success, nowMs));
  const statusByJobId = succeedDistinct(context, successes, nowMs);
  return successes.map((success) => toSucceedResult(context, success, statusByJobId.get(success.jobId)));
}

/** @internal Ends one attempt well. */
export function succeedOne(context: FinishContext, success: PreparedSuccess, nowMs: number): SucceedResult {
  const { jobId, token, watermark, result } = success;
  const isResultLarge = isLarge(result);
  const status = context.writes.succeedOne.get({
    jobId,
    token,
    watermark,
    result: isResultLarge ? null : result,
    largeResult: isResultLarge ? LARGE_VALUE_BITS.result : 0,
    nowMs,
  });
  return toSucceedResult(context, success, status === undefined ? undefined : parseStatus(status));
}

/** Answers the new status of each job whose lease was current. */
function succeedDistinct(
  context: FinishContext,
  successes: readonly PreparedSuccess[],
  nowMs: number,
): Map<number, JobStatus> {
  const leases = JSON.stringify(
    successes.map(({ jobId, token, watermark, result }) =>
      isLarge(result)
        ? [jobId, token, watermark, null, LARGE_VALUE_BITS.result]
        : [jobId, token, watermark, result, 0],
    ),
  );
  const rows = context.writes.succeedMany.all({ leases, nowMs }).map(parseEndedRow);
  return new Map(rows.map((row) => [row.job_id, row.status]));
}

function toSucceedResult(
  context: FinishContext,
  { jobId, result }: PreparedSuccess,
  status: JobStatus | undefined,
): SucceedResult {
  if (status === undefined) return LEASE_LOST;
  if (isLarge(result)) context.writes.putLargeValue.run({ jobId, name: 'result', value: result });
  return { outcome: 'succeeded', status };
}

/** @internal Ends an attempt badly. */
export function failOne(
  context: FinishContext,
  lease: Lease,
  options: FailOptions,
  nowMs: number,
): FailResult {
  const { jobId, token } = lease;
  const failures = context.selectFailures.get({ jobId, token });
  if (failures === undefined) return LEASE_LOST;
  const policy = options.retry ?? context.retry;
  const failedAttempts = parseInteger(failures) + 1;
  const retryAtMs =
    policy === false ? null : addMs(nowMs, retryDelayMs(policy, failedAttempts, context.random()));
  const error = options.error.slice(0, MAX_ERROR_LENGTH);
  const row = parseFailedRow(context.writes.fail.get({ jobId, token, nowMs, error, retryAtMs }));
  return {
    outcome: 'failed',
    status: row.status,
    retryAtMs: row.retry_at_ms ?? undefined,
    isExhausted: row.status === 'error' && row.retry_at_ms === null,
  };
}

/** @internal Gives an attempt back untouched. */
export function releaseOne(
  context: FinishContext,
  lease: Lease,
  options: ReleaseOptions,
  nowMs: number,
): ReleaseResult {
  const { jobId, token } = lease;
  const row = context.writes.release.get({ jobId, token, nowMs, dueAtMs: options.dueAtMs ?? null });
  return row === undefined ? LEASE_LOST : { outcome: 'released', status: parseEndedRow(row).status };
}

/** @internal Makes a lease end that long from now. */
export function heartbeatOne(
  context: FinishContext,
  lease: Lease,
  leaseMs: number,
  nowMs: number,
): HeartbeatResult {
  const { jobId, token } = lease;
  const leaseUntilMs = addMs(nowMs, leaseMs);
  const found = context.writes.heartbeat.get({ jobId, token, leaseUntilMs });
  if (found === undefined) return LEASE_LOST;
  const row = parseHeartbeatRow(found);
  return {
    outcome: 'extended',
    leaseUntilMs: row.lease_until_ms,
    isCancelRequested: row.is_cancel_requested === 1,
  };
}

/** @internal Notes where an attempt runs. */
export function noteRun(context: FinishContext, lease: Lease, run: AttemptRun): AttemptRunResult {
  const { jobId, token } = lease;
  const { runDir, node } = run;
  const { changes } = context.writes.setRun.run({ jobId, token, runDir: runDir ?? null, node: node ?? null });
  return changes === 0 ? LEASE_LOST : { outcome: 'noted' };
}

const LEASE_LOST: LeaseLost = { outcome: 'lease-lost' };
const MAX_ERROR_LENGTH = 16_000;
const MIN_SET = 4;
