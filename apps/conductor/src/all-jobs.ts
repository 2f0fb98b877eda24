/** Every job of a store, page by page. */
import type { Job, JobStore, ListRequest } from '@conductor-run/job-store';

/**
 * Reads all pages of a listing.
 *
 * @param store - where
 * @param filter - which jobs
 */
export async function allJobs(
  store: JobStore,
  filter: Omit<ListRequest, 'limit' | 'cursor'>,
): Promise<readonly Job[]> {
  const jobs: Job[] = [];
  let cursor: string | undefined;
  do {
    const page = await store.list({ ...filter, limit: 1_000, ...(cursor !== undefined && { cursor }) });
    jobs.push(...page.jobs);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return jobs;
}
