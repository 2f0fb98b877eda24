/** How a contract case gets its store. Cases use `node:assert` alone, so that any test runner can run them. */
import assert from 'node:assert/strict';
import { createManualClock, type ManualClock } from '@conductor-run/clock';
import type { JobStore } from '../job-store.ts';
import type { Job, Lease } from '../jobs.ts';
import type { EnqueueRequest } from '../requests.ts';

/** One fresh, empty store that can be opened several times, as several processes would. */
export interface ContractStores {
  /** Opens it once more; the case closes what it opened. */
  open(): Promise<JobStore>;
  /** Destroys it. */
  dispose(): Promise<void>;
}

/**
 * Makes a fresh, empty store whose time is `clock`, whose default retry is fixed at 1,000 ms and whose default number
 * of retries is 2.
 */
export type ContractSetup = (clock: ManualClock) => Promise<ContractStores>;

/** One behaviour of the contract. */
export interface ContractCase {
  /** What is given, what happens, and what must hold. */
  readonly name: string;
  /** Throws when it does not hold. */
  readonly run: () => Promise<void>;
}

/** @internal What a case works with. */
export interface Bundle {
  readonly clock: ManualClock;
  readonly store: JobStore;
  /** Opens the store again, as another worker; closed with the case. */
  readonly another: () => Promise<JobStore>;
}

/** @internal */
export function contractCase(
  setup: ContractSetup,
  name: string,
  body: (bundle: Bundle) => Promise<void>,
): ContractCase {
  const run = async (): Promise<void> => {
    using clock = createManualClock();
    const stores = await setup(clock);
    const opened: JobStore[] = [];
    const another = async (): Promise<JobStore> => {
      const store = await stores.open();
      opened.push(store);
      return store;
    };
    try {
      await body({ clock, store: await another(), another });
    } finally {
      for (const store of opened) await store.close();
      await stores.dispose();
    }
  };
  return { name, run };
}

/** @internal The job everything is tried on. */
export const BUILD: { readonly kind: string; readonly key: string } = { kind: 'build', key: 'app' };
/** @internal */
export const LEASE_MS = 10_000;
/** @internal */
export const BY_ALICE: { readonly workerId: string; readonly leaseMs: number } = {
  workerId: 'alice',
  leaseMs: LEASE_MS,
};

/** @internal Enqueues and claims one job. */
export async function enqueueAndClaim(
  store: JobStore,
  request: Partial<EnqueueRequest> = {},
): Promise<Lease> {
  await store.enqueue({ ...BUILD, ...request });
  return claimOnly(store);
}

/** @internal Claims the one job that is due. */
export async function claimOnly(store: JobStore): Promise<Lease> {
  const leases = await store.claimNext({ ...BY_ALICE, limit: 10 });
  const [lease] = leases;
  assert.equal(leases.length, 1);
  assert.ok(lease !== undefined);
  return lease;
}

/** @internal The job, which must exist. */
export async function jobOf(store: JobStore, key: string = BUILD.key): Promise<Job> {
  const job = await store.get(BUILD.kind, key);
  assert.ok(job !== undefined);
  return job;
}

/** @internal The keys of leases, in their order. */
export function keysOf(leases: readonly Lease[]): readonly string[] {
  return leases.map(({ key }) => key);
}
