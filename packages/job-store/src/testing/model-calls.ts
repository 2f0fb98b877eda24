/** How the model names jobs, calls the store, and sees a job on both sides. */
import type { JobStore } from '../job-store.ts';
import type { Job, Lease } from '../jobs.ts';
import type { ClaimNextRequest } from '../requests.ts';
import type { ModelClaim } from './model-command.ts';
import type { ReferenceJob } from './reference-job.ts';

/** @internal */
export const LEASE_MS = 3000;

/** @internal What an owner does with a lease. */
export type LeaseUse = 'heartbeat' | 'succeed' | 'fail' | 'release';

/** @internal */
export function kindName(kind = 0): string {
  return kind === 0 ? 'k' : `k${kind}`;
}

/** @internal */
export function nameOf({ kind, key }: { readonly kind: string; readonly key: string }): string {
  return `${kind}/${key}`;
}

/** @internal */
export function kindOf(name: string): string {
  return name.slice(0, name.indexOf('/'));
}

/** @internal */
export function claimRequest(worker: number, claim: ModelClaim): ClaimNextRequest {
  const { limit, kinds, perKind, perConcurrencyKey } = claim;
  const limits = {
    ...(perKind === undefined ? {} : { perKind }),
    ...(perConcurrencyKey === undefined ? {} : { perConcurrencyKey }),
  };
  return {
    workerId: `w${worker}`,
    leaseMs: LEASE_MS,
    limit,
    ...(kinds === undefined ? {} : { kinds: kinds.map(kindName) }),
    ...(Object.keys(limits).length === 0 ? {} : { limits }),
  };
}

/** @internal */
export function useLease(
  store: JobStore,
  type: LeaseUse,
  lease: Lease,
  result: string | undefined,
): Promise<{ readonly outcome: string }> {
  switch (type) {
    case 'heartbeat':
      return store.heartbeat(lease, LEASE_MS);
    case 'succeed':
      return store.succeed(lease, result === undefined ? {} : { result });
    case 'fail':
      return store.fail(lease, { error: 'broken' });
    case 'release':
      break;
  }
  return store.release(lease);
}

/** @internal */
export function actualView(job: Job): object {
  return {
    name: nameOf(job),
    status: job.status,
    input: job.inputWatermark,
    success: job.lastSuccessWatermark,
    isDirty: job.isDirty,
    dueAtMs: job.dueAtMs,
    retryAtMs: job.retryAtMs,
    failed: job.failedAttempts,
    attempt: job.attempt,
    token: job.token,
    concurrencyKey: job.concurrencyKey,
    payload: job.payload,
    result: job.result,
  };
}

/** @internal */
export function expectedView(name: string, job: ReferenceJob): object {
  return {
    name,
    status: job.status,
    input: job.input,
    success: job.success,
    isDirty: job.input > job.success,
    dueAtMs: job.dueAtMs,
    retryAtMs: job.retryAtMs,
    failed: job.failed,
    attempt: job.attempt,
    token: job.token,
    concurrencyKey: job.concurrencyKey,
    payload: job.payload,
    result: job.result,
  };
}
