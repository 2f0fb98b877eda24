/** What an enqueue says about a job of the config, whoever enqueues it. Invariant: a row is as the config was when it was raised. */
import type { EnqueueRequest } from '@conductor-run/job-store';

import type { JobDefinition } from './job-config.ts';

/**
 * Makes the request that raises a job by one.
 *
 * @param job - its definition
 * @param key - which one of its kind
 */
export function toEnqueueRequest(job: JobDefinition, key: string): EnqueueRequest {
  return {
    kind: job.name,
    key,
    retries: job.retry.max,
    priority: job.priority,
    // The store keeps a key it is not told about: one that was taken out of the config is replaced by the job's own.
    concurrencyKey: job.concurrencyKey?.name ?? ownKey(job.name),
  };
}

/**
 * The concurrency key of a job that has none in the config: no key of the config can be called so, and nothing limits it.
 *
 * @param name - the job
 */
export function ownKey(name: string): string {
  return `job:${name}`;
}
