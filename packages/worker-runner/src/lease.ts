/** The lease port: how the right to run a step is renewed, from whichever process looks after it. */

/** What a keeper says about one lease. */
export type LeaseAnswer = 'ok' | 'lease-lost' | 'cancel-requested';

/** Renews leases. The app makes one on top of its job store. */
export interface LeaseKeeper {
  /**
   * Renews all of `leases` for another `leaseMs` from now.
   *
   * @param leases - as they were handed over; plain JSON
   * @param leaseMs - how long, in ms
   * @returns one answer per lease, in order. `cancel-requested` renews too. A rejection renews nothing and is tried again.
   */
  renewMany(leases: readonly unknown[], leaseMs: number): Promise<readonly LeaseAnswer[]>;
  /**
   * Gives up what the keeper holds open. Called once, when its process no longer needs it; a supervisor waits at most 2 s for
   * it and then ends, whatever is still open.
   */
  close?(): Promise<void>;
}

/** Names an export of a module, so that another process can make the same object. */
export interface ModuleSpec {
  /** A `file:` URL of an ES module. */
  readonly module: string;
  /** The name of an exported function that takes the options and returns the object, or a promise of it. */
  readonly export: string;
  /** Handed to that function. Plain JSON. */
  readonly options: unknown;
}

/** The lease a step works under. */
export interface StepLease {
  /** Plain JSON, handed to the keeper as it is. */
  readonly lease: unknown;
  /** How long one renewal lasts, in ms; at least 1,000. */
  readonly leaseMs: number;
  /**
   * When the lease runs out, on the machine's monotonic clock, in ms. Without it the lease is renewed before the step starts.
   */
  readonly expiresAtMonotonicMs?: number;
}

/** A lease and who renews it, for a step that runs in this process. */
export interface AttachedLease extends StepLease {
  /** Who renews it. Not closed by the runner. */
  readonly keeper: LeaseKeeper;
}

/** Smallest lease: below it, an ordinary pause of the machine looks like a lost one. */
export const MIN_LEASE_MS = 1000;

/** How long before the end of a lease what happens, in ms. Each is a share of the lease, and bounded. */
export interface LeaseMargins {
  /** Between two renewals. */
  readonly renewEveryMs: number;
  /** Between two tries after a failed renewal. */
  readonly retryEveryMs: number;
  /** SIGTERM comes so long before the end. */
  readonly softLeadMs: number;
  /** SIGKILL by the process that looks after the step. */
  readonly hardLeadMs: number;
  /** SIGKILL by the guard, should that process be stopped or dead. */
  readonly guardLeadMs: number;
}

/**
 * The margins of a lease.
 *
 * @param leaseMs - how long one renewal lasts
 * @param killGraceMs - the step's grace
 */
export function leaseMarginsOf(leaseMs: number, killGraceMs: number): LeaseMargins {
  return {
    renewEveryMs: leaseMs / 3,
    retryEveryMs: leaseMs / 15,
    softLeadMs: Math.min(leaseMs * 0.5, killGraceMs + MAX_HARD_LEAD_MS),
    hardLeadMs: Math.min(leaseMs * 0.35, MAX_HARD_LEAD_MS),
    guardLeadMs: Math.min(leaseMs * 0.25, MAX_GUARD_LEAD_MS),
  };
}

const MAX_HARD_LEAD_MS = 6000;
const MAX_GUARD_LEAD_MS = 4000;
