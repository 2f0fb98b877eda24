/** The limit that jobs share by a concurrency key, for claims of one named job: the store knows it for claims of the next ones. */
import type { ClaimRequest, ClaimResult, JobStoreTransaction } from '@conductor-run/job-store';

import type { JobDefinition } from './job-config.ts';

/**
 * Claims a named job unless those that share its concurrency key leave no room.
 *
 * @param tx - the transaction; whoever is refused rolls it back, because the claim has been made by then
 * @param job - its definition; `undefined` knows no limits
 * @param claim - what to claim
 */
export function claimUnderLimits(
  tx: JobStoreTransaction,
  job: Pick<JobDefinition, 'concurrency' | 'concurrencyKey'> | undefined,
  claim: ClaimRequest,
): ClaimResult {
  const result = tx.claim({ ...claim, ...(job !== undefined && { maxConcurrent: job.concurrency }) });
  const shared = job?.concurrencyKey;
  if (result.outcome === 'refused' || shared === undefined) return result;
  // Leases that have run out were ended by the claim, and the claim itself is among those that run.
  return countRunning(tx, shared.name) > shared.max
    ? { outcome: 'refused', reason: 'concurrency_limit' }
    : result;
}

function countRunning(tx: JobStoreTransaction, concurrencyKey: string): number {
  let running = 0;
  let cursor: string | undefined;
  do {
    const page = tx.list({ status: 'running', limit: 1_000, ...(cursor !== undefined && { cursor }) });
    running += page.jobs.filter((job) => job.concurrencyKey === concurrencyKey).length;
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return running;
}
