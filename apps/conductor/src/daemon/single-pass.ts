/**
 * How long a single pass waits until it may plan.
 * Invariant: a dead leader's lease is waited for, a live leader never: whoever renews is alive.
 */
import type { Clock } from '@conductor-run/clock';
import type { Election, JobStore } from '@conductor-run/job-store';

import { LEADERSHIP } from '../leadership.ts';
import type { Settings } from '../settings.ts';

/** What waiting takes. */
export interface SinglePassOptions {
  readonly leader: Election;
  readonly store: JobStore;
  readonly settings: Settings;
  readonly clock: Clock;
  /** Aborted when the daemon begins to stop: nothing is waited for any more. */
  readonly stopping: AbortSignal;
}

/**
 * Resolves when this node leads, when another one has shown that it does, or when the last lease must have run out.
 *
 * @param options - who wants to lead, and how patiently
 */
export async function untilMayPlan({
  leader,
  store,
  settings,
  clock,
  stopping,
}: SinglePassOptions): Promise<void> {
  const first = await store.leadership(LEADERSHIP);
  const leaseMs = Math.max(settings.leaseTtlMs, first?.ttlMs ?? 0);
  const untilMs = clock.monotonicMs() + leaseMs + RETRIES * settings.leaseRetryMs;
  while (leader.term() === undefined && clock.monotonicMs() < untilMs && !stopping.aborted) {
    const now = await store.leadership(LEADERSHIP);
    const isOthers = now?.holderId !== undefined && now.holderId !== leader.holderId;
    if (isOthers && (now.term !== first?.term || now.renewedAtMs !== first.renewedAtMs)) return;
    await clock.sleep(LOOK_MS);
  }
}

/** Whoever asks for a leadership waits up to 2.2 times `lease-retry-ms` between two questions. */
const RETRIES = 3;
const LOOK_MS = 50;
