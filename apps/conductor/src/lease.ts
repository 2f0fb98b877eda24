/** How a job's lease is renewed while its step runs, from this process or from the supervisor's. */
import type { Clock } from '@conductor-run/clock';
import { type JobStore, type Lease, openJobStore } from '@conductor-run/job-store';
import type { AttachedLease, LeaseAnswer, LeaseKeeper, ModuleSpec } from '@conductor-run/worker-runner';
import { z } from 'zod';

import type { Settings } from './settings.ts';

/**
 * The lease of a step that runs in this process.
 *
 * @param store - where it is renewed
 * @param lease - the claim
 * @param leaseMs - how long each renewal lasts
 */
export function attachLease(store: JobStore, lease: Lease, leaseMs: number): AttachedLease {
  return { lease, leaseMs, keeper: createLeaseKeeper(store) };
}

/** What holding a lease takes. */
interface HoldOptions {
  readonly store: JobStore;
  readonly clock: Clock;
  /** How long each renewal lasts, in ms. */
  readonly leaseMs: number;
  /** Told of a renewal that failed; the next one may not. */
  readonly note?: ((message: string) => void) | undefined;
}

/**
 * Renews a lease while something is at work that is no step, such as the making of a work tree. Nothing is ended when the
 * lease is lost: the next step asks before it starts, and the store refuses late answers.
 *
 * @param lease - the claim
 * @param options - where and how long
 * @param work - what takes its time
 */
export async function holdLease<Result>(
  lease: Lease,
  { store, clock, leaseMs, note }: HoldOptions,
  work: () => Promise<Result>,
): Promise<Result> {
  const ending = new AbortController();
  const renew = async (): Promise<void> => {
    while (!ending.signal.aborted) {
      await clock.sleep(leaseMs / RENEWALS_PER_LEASE, { signal: ending.signal });
      try {
        await store.heartbeat(lease, leaseMs);
      } catch (error) {
        note?.(`Lease not renewed: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  };
  // The sleep ends with the reason of its signal, and nothing else is thrown.
  const renewing = renew().catch(() => undefined);
  try {
    return await work();
  } finally {
    ending.abort();
    await renewing;
  }
}

/** Renews leases in a store, which stays open. */
function createLeaseKeeper(store: JobStore): LeaseKeeper {
  return {
    async renewMany(leases, leaseMs): Promise<readonly LeaseAnswer[]> {
      const answers = await store.heartbeatMany(
        leases.map((lease) => leaseSchema.parse(lease)),
        leaseMs,
      );
      return answers.map((answer) => {
        if (answer.outcome === 'lease-lost') return 'lease-lost';
        return answer.isCancelRequested ? 'cancel-requested' : 'ok';
      });
    },
  };
}

/**
 * Names `openLeaseKeeper` to a supervisor, which runs in another process and makes a keeper of its own.
 *
 * @param settings - where the store is
 */
export function keeperModule(settings: Pick<Settings, 'store' | 'durability'>): ModuleSpec {
  return {
    module: import.meta.url,
    export: openLeaseKeeper.name,
    options: { path: settings.store.slice('sqlite:'.length), durability: settings.durability },
  };
}

/**
 * Opens a keeper of its own in another process: the supervisor calls this by its module and name.
 *
 * @param options - where the store is
 * @public
 */
export async function openLeaseKeeper(options: unknown): Promise<LeaseKeeper> {
  const { path, durability } = keeperOptions.parse(options);
  const store = await openJobStore({ path, durability });
  return { ...createLeaseKeeper(store), close: () => store.close() };
}

const keeperOptions = z.object({ path: z.string(), durability: z.enum(['process', 'power']) });

/** Leases cross process borders as JSON; the payload is not needed to renew one. */
const leaseSchema = z
  .object({
    jobId: z.number(),
    token: z.number(),
    kind: z.string(),
    key: z.string(),
    workerId: z.string(),
    attempt: z.number(),
    watermark: z.number(),
    leaseUntilMs: z.number(),
    startedAtMs: z.number(),
  })
  .transform((lease): Lease => lease);

const RENEWALS_PER_LEASE = 3;
