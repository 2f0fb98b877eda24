/**
 * Handing out jobs. Runs inside the caller's write transaction.
 * Invariant: an expired lease is ended (its token made invalid) before the room it held is given away, so that live
 * leases never exceed a limit even when the late owner comes back.
 */
import type { Lease } from './jobs.ts';
import { addMs, MAX_KIND_LENGTH, requireInteger, requireMs, requireText } from './options.ts';
import type { ReadStatements } from './read-statements.ts';
import type { ClaimLimits, ClaimNextRequest, ClaimRequest } from './requests.ts';
import type { ClaimRefusal, ClaimResult } from './results.ts';
import {
  parseCandidateRow,
  parseClaimableRow,
  parseCountRow,
  parseGateRow,
  parseInteger,
  parseJobRow,
  parseText,
  rowToLease,
  type ClaimableRow,
  type GateRow,
  type JobRow,
  type ReadLargeValue,
} from './rows.ts';
import type { WriteStatements } from './statements.ts';
import type { TokenSource } from './tokens.ts';

/** @internal What claiming needs of its connection. */
export interface ClaimContext {
  readonly writes: WriteStatements;
  readonly reads: ReadStatements;
  readonly readLargeValue: ReadLargeValue;
  readonly tokens: TokenSource;
  readonly defaultRetries: number;
  /** The kind served last: the next claim starts after it, so that every kind gets its turn. Undefined before the first. */
  lastKind: string | undefined;
  /** Whether the last claim found nothing, so that a look without the write lock pays before the next. */
  isIdle: boolean;
  /** Whether the last claim left expired leases or jobs that have fallen due for the next one. */
  isBehind: boolean;
}

/** @internal Checks a claim of a named job; throws TypeError or RangeError. */
export function requireClaim(request: ClaimRequest): ClaimRequest {
  requireText('kind', request.kind, MAX_KIND_LENGTH);
  requireText('key', request.key);
  requireText('workerId', request.workerId);
  requireMs('leaseMs', request.leaseMs, 1);
  if (request.node !== undefined) requireText('node', request.node);
  if (request.runDir !== undefined) requireText('runDir', request.runDir);
  if (request.maxConcurrent !== undefined) requireInteger('maxConcurrent', request.maxConcurrent, 0);
  return request;
}

/** @internal Checks a claim of the next jobs; throws TypeError or RangeError. */
export function requireClaimNext(request: ClaimNextRequest): ClaimNextRequest {
  requireText('workerId', request.workerId);
  requireMs('leaseMs', request.leaseMs, 1);
  if (request.node !== undefined) requireText('node', request.node);
  if (request.limit !== undefined) requireInteger('limit', request.limit, 1, MAX_CLAIM);
  for (const kind of request.kinds ?? []) requireText('kind', kind, MAX_KIND_LENGTH);
  const { limits } = request;
  if (limits === undefined) return request;
  if (limits.perKind !== undefined) requireInteger('limits.perKind', limits.perKind, 0);
  if (limits.perConcurrencyKey !== undefined)
    requireInteger('limits.perConcurrencyKey', limits.perConcurrencyKey, 0);
  for (const [kind, limit] of Object.entries(limits.kinds ?? {}))
    requireInteger(`limits.kinds["${kind}"]`, limit, 0);
  for (const [key, limit] of Object.entries(limits.concurrencyKeys ?? {}))
    requireInteger(`limits.concurrencyKeys["${key}"]`, limit, 0);
  return request;
}

function lookAtGate(context: ClaimContext, nowMs: number): GateRow {
  return parseGateRow(context.writes.gate.get({ nowMs }));
}

/**
 * Ends expired leases and lets due jobs through the gate, a bounded number at a time: of each wanted kind, so that a
 * flood in one holds up no other.
 */
function sweep(
  context: ClaimContext,
  gate: GateRow,
  kinds: readonly string[] | undefined,
  nowMs: number,
): void {
  const { writes, reads } = context;
  const bounds = { nowMs, limit: SWEEP_LIMIT };
  context.isBehind = false;
  const sweepUp = ({ changes }: { readonly changes: number }): void => {
    if (changes >= SWEEP_LIMIT) context.isBehind = true;
  };
  if (gate.has_expired === 1) sweepUp(writes.expire.run({ ...bounds, retryAtMs: nowMs }));
  if (gate.has_waiting === 0) return;
  for (const kind of kinds ?? reads.waitingKinds.all({}).map(parseText)) {
    sweepUp(writes.promote.run({ ...bounds, kind }));
  }
}

/** @internal Whether a sweep or a claim may change anything; lets idle workers look without a write lock. */
export function isAnythingDue(context: ClaimContext, nowMs: number): boolean {
  if (!context.isIdle || context.reads.hasReady.get({}) !== undefined) return true;
  const gate = lookAtGate(context, nowMs);
  return gate.has_expired === 1 || gate.has_waiting === 1;
}

/** @internal Takes one named job. */
export function claimNamed(context: ClaimContext, request: ClaimRequest, nowMs: number): ClaimResult {
  const { kind, key } = request;
  if (isPaused(context, kind)) return { outcome: 'refused', reason: 'paused' };
  const gate = lookAtGate(context, nowMs);
  // This one first: a sweep ends a bounded number, and here it is known which one is asked for.
  if (gate.has_expired === 1) context.writes.expireNamed.run({ kind, key, nowMs, retryAtMs: nowMs });
  sweep(context, gate, [kind], nowMs);
  const stored = context.reads.job.get({ kind, key });
  const refusal = refusalOf(stored === undefined ? undefined : parseJobRow(stored), request, nowMs);
  if (refusal !== undefined) return refusal;
  if (request.maxConcurrent !== undefined) {
    const running = parseInteger(context.reads.runningOfKind.get({ kind }));
    if (running >= request.maxConcurrent) return { outcome: 'refused', reason: 'concurrency_limit' };
  }
  if (stored === undefined) {
    context.writes.createForClaim.run({ kind, key, nowMs, defaultRetries: context.defaultRetries });
  }
  const row = parseJobRow(stored ?? context.reads.job.get({ kind, key }));
  return {
    outcome: 'claimed',
    lease: claimRow(context, row, context.tokens.take(1, turnOf(context)), request, nowMs),
  };
}

/** @internal Takes the next due jobs: kinds in turn, within a kind by priority, due time and key. */
export function claimNext(
  context: ClaimContext,
  request: ClaimNextRequest,
  limit: number,
  nowMs: number,
): Lease[] {
  const leases = takeNext(context, request, limit, nowMs);
  context.isIdle = leases.length === 0;
  return leases;
}

function takeNext(context: ClaimContext, request: ClaimNextRequest, limit: number, nowMs: number): Lease[] {
  const gate = lookAtGate(context, nowMs);
  sweep(context, gate, request.kinds, nowMs);
  const isAnyJobWanted = request.kinds === undefined && request.limits === undefined;
  if (limit === 1 && isAnyJobWanted && gate.has_paused === 0) return claimInTurn(context, request, nowMs);
  const room = createRoom(context, request.limits);
  const leases: Lease[] = [];
  let kinds = kindsInTurn(context, request.kinds);
  while (kinds.length > 0 && leases.length < limit) {
    const served: string[] = [];
    let kindsLeft = kinds.length;
    for (const kind of kinds) {
      const share = Math.ceil((limit - leases.length) / kindsLeft);
      kindsLeft -= 1;
      if (share === 0) break;
      const taken = claimOfKind(context, kind, share, request, room, nowMs);
      if (taken.length > 0) context.lastKind = kind;
      leases.push(...taken);
      if (taken.length === share) served.push(kind);
    }
    kinds = served;
  }
  return leases;
}

/** The same for one job of whatever kind is next, with one query: half the statements of the general way. */
function claimInTurn(context: ClaimContext, request: ClaimNextRequest, nowMs: number): Lease[] {
  const stored = context.reads.readyInTurn.get({ lastKind: turnOf(context) });
  if (stored === undefined) return [];
  const row = parseClaimableRow(stored);
  context.lastKind = row.kind;
  return [claimRow(context, row, context.tokens.take(1, row.kind), request, nowMs)];
}

/** Which jobs may still start under the limits; counts what it gives away. */
interface Room {
  readonly ofKind: (kind: string) => number;
  readonly hasKeyLimits: boolean;
  readonly take: (kind: string, count: number) => void;
  /** Takes one place of a concurrency key; false when there is none. */
  readonly takeConcurrencyKey: (key: string) => boolean;
}

function claimOfKind(
  context: ClaimContext,
  kind: string,
  share: number,
  request: ClaimNextRequest,
  room: Room,
  nowMs: number,
): Lease[] {
  const { reads } = context;
  const limit = Math.min(share, room.ofKind(kind));
  if (limit <= 0) return [];
  const rows = room.hasKeyLimits
    ? pickUnderKeyLimits(context, kind, limit, room).map((jobId) => reads.claimable.get({ jobId }))
    : reads.readyOfKind.all({ kind, limit });
  room.take(kind, rows.length);
  const firstToken = context.tokens.take(rows.length, kind);
  return rows.map((row, index) =>
    claimRow(context, parseClaimableRow(row), firstToken + index, request, nowMs),
  );
}

function pickUnderKeyLimits(context: ClaimContext, kind: string, limit: number, room: Room): number[] {
  const picked: number[] = [];
  for (const value of context.reads.readyKeysOfKind.iterate({ kind })) {
    const row = parseCandidateRow(value);
    if (row.concurrency_key !== null && !room.takeConcurrencyKey(row.concurrency_key)) continue;
    picked.push(row.job_id);
    if (picked.length === limit) break;
  }
  return picked;
}

function claimRow(
  context: ClaimContext,
  row: ClaimableRow,
  token: number,
  request: ClaimRequest | ClaimNextRequest,
  nowMs: number,
): Lease {
  const { workerId, node } = request;
  const runDir = 'runDir' in request ? request.runDir : undefined;
  const leaseUntilMs = addMs(nowMs, request.leaseMs);
  const jobId = row.job_id;
  if (row.ended_token !== null) context.writes.moveEnded.run({ jobId });
  context.writes.claim.run({
    jobId,
    token,
    workerId,
    node: node ?? null,
    runDir: runDir ?? null,
    leaseUntilMs,
    nowMs,
  });
  return rowToLease(row, { token, workerId, node, leaseUntilMs, nowMs }, context.readLargeValue);
}

/** A claimer that lives for one claim goes on where the others were. */
function turnOf(context: ClaimContext): string {
  return (context.lastKind ??= context.tokens.lastKind());
}

/** The kinds to serve: those asked for, or all with ready jobs, starting after the one served last, without paused ones. */
function kindsInTurn(context: ClaimContext, asked: readonly string[] | undefined): string[] {
  const paused = new Set(context.reads.pausedKinds.all({}).map(parseText));
  if (paused.has('')) return [];
  const ready =
    asked === undefined
      ? context.reads.readyKinds.all({}).map(parseText)
      : [...new Set(asked)].filter((kind) => context.reads.hasReadyOfKind.get({ kind }) !== undefined);
  const open = ready.filter((kind) => !paused.has(kind)).sort();
  const lastKind = turnOf(context);
  const start = open.findIndex((kind) => kind > lastKind);
  return start <= 0 ? open : [...open.slice(start), ...open.slice(0, start)];
}

function isPaused(context: ClaimContext, kind: string): boolean {
  return context.reads.pausedKinds.all({}).some((paused) => paused === kind || paused === '');
}

function createRoom(context: ClaimContext, limits: ClaimLimits | undefined): Room {
  const kindLimits = new Map(Object.entries(limits?.kinds ?? {}));
  const keyLimits = new Map(Object.entries(limits?.concurrencyKeys ?? {}));
  const hasKindLimits = kindLimits.size > 0 || limits?.perKind !== undefined;
  const hasKeyLimits = keyLimits.size > 0 || limits?.perConcurrencyKey !== undefined;
  const byKind = hasKindLimits
    ? countsByName(context.reads.runningByKind.all({}))
    : new Map<string, number>();
  const byKey = hasKeyLimits
    ? countsByName(context.reads.runningByConcurrencyKey.all({}))
    : new Map<string, number>();
  return {
    hasKeyLimits,
    ofKind: (kind) => (kindLimits.get(kind) ?? limits?.perKind ?? Infinity) - (byKind.get(kind) ?? 0),
    take(kind, count) {
      byKind.set(kind, (byKind.get(kind) ?? 0) + count);
    },
    takeConcurrencyKey(key) {
      const taken = byKey.get(key) ?? 0;
      if (taken >= (keyLimits.get(key) ?? limits?.perConcurrencyKey ?? Infinity)) return false;
      byKey.set(key, taken + 1);
      return true;
    },
  };
}

function countsByName(rows: readonly unknown[]): Map<string, number> {
  return new Map(rows.map(parseCountRow).map((row) => [row.name, row.count]));
}

function refusalOf(job: JobRow | undefined, request: ClaimRequest, nowMs: number): ClaimResult | undefined {
  if (job === undefined) return request.create === false ? refuse('not_found', null) : undefined;
  switch (job.status) {
    case 'running':
      return refuse('already_running', job.lease_until_ms);
    case 'done':
      return refuse('up_to_date', null);
    case 'cancelled':
      return refuse('cancelled', null);
    case 'error':
      if (job.retry_at_ms === null) return refuse('retry_exhausted', null);
      return job.retry_at_ms > nowMs ? refuse('retry_pending', job.retry_at_ms) : undefined;
    case 'pending':
      break;
  }
  return job.due_at_ms > nowMs ? refuse('not_due', job.due_at_ms) : undefined;
}

function refuse(reason: ClaimRefusal, untilMs: number | null): ClaimResult {
  return { outcome: 'refused', reason, ...(untilMs === null ? {} : { untilMs }) };
}

const SWEEP_LIMIT = 500;
const MAX_CLAIM = 1000;
