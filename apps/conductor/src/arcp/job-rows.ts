/** The rows of the store that are ARCP jobs. Invariant: a row that was not submitted over ARCP is never among them. */
import type { Job, JobStatus, JobStore } from '@conductor-run/job-store';

import { type ArcpOrigin, parseJobInput } from '../job-input.ts';

/** A row, and where it comes from. */
export interface ArcpRow {
  readonly row: Job;
  readonly origin: ArcpOrigin;
}

/**
 * Goes through them, a page at a time.
 *
 * @param store - the job store
 * @param statuses - which ones
 */
export async function* arcpRows(
  store: JobStore,
  statuses: readonly JobStatus[],
): AsyncGenerator<ArcpRow, void, undefined> {
  for (const status of statuses) {
    let cursor: string | undefined;
    do {
      const page = await store.list({
        status,
        keyPrefix: KEY_PREFIX,
        limit: PAGE_SIZE,
        ...(cursor !== undefined && { cursor }),
      });
      for (const row of page.jobs) {
        const { arcp } = parseJobInput(row.kind, row.payload);
        if (arcp !== undefined) yield { row, origin: arcp };
      }
      cursor = page.nextCursor;
    } while (cursor !== undefined);
  }
}

/** How ARCP names its jobs. */
const KEY_PREFIX = 'job_';
const PAGE_SIZE = 1_000;
