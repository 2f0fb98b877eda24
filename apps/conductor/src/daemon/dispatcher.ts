/**
 * Claims due jobs and runs them, as many at once as this node may.
 * Invariant: after `stop` resolves no task of this dispatcher runs and none will be claimed.
 */
import type { Clock } from '@conductor-run/clock';
import type { ClaimLimits, JobStore, Lease } from '@conductor-run/job-store';

import type { JobDefinition } from '../job-config.ts';
import type { ClaimReport } from './observer.ts';

/** What a dispatcher works with. */
export interface DispatcherOptions {
  readonly store: JobStore;
  /** Who claims. */
  readonly workerId: string;
  readonly node: string;
  /** Asked anew for each claim; what it says then holds for the tasks of that claim to their end. */
  readonly terms: () => DispatchTerms;
  readonly jobLeaseMs: number;
  readonly clock: Clock;
  /** Told of each claim that got something. */
  readonly onClaimed?: (report: ClaimReport) => void;
  readonly onError: (error: unknown, doing: string) => void;
}

/** What a dispatcher may claim, and how it is run. */
export interface DispatchTerms {
  /** Jobs this node knows, and how many tasks of each may run at once over all nodes. */
  readonly jobs: ReadonlyMap<string, Pick<JobDefinition, 'concurrency' | 'concurrencyKey' | 'priority'>>;
  /** Tasks of this node at once. */
  readonly maxParallel: number;
  /** Runs one task to its end. What it throws is told to `onError`; the dispatcher goes on. */
  readonly runTask: (lease: Lease) => Promise<void>;
}

/** A running dispatcher; whoever starts it stops it. */
export interface Dispatcher {
  /** Tasks that run now. */
  runningCount(): number;
  /** Counts a task in that a dead process left. What it throws is told to `onError`. */
  takeOn(what: string, task: Promise<void>): void;
  /** Resolves once nothing is due and nothing runs. */
  drained(): Promise<void>;
  /** Claims nothing more and resolves when the running tasks have ended. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Starts to claim.
 *
 * @param options - what it works with
 */
export function startDispatcher(options: DispatcherOptions): Dispatcher {
  const { store, clock } = options;
  const abort = new AbortController();
  const running = new Set<Promise<void>>();
  const idleWaiters: (() => void)[] = [];
  // Renewed for each look. Waiting for the tasks themselves would leave something behind on each until its end.
  let reason = new AbortController();

  /** Claims for the free places, those of the highest priority first; true when it got something. */
  const claim = async ({ jobs, maxParallel, runTask }: DispatchTerms): Promise<boolean> => {
    const limits = limitsOf(jobs);
    let hasClaimed = false;
    for (const kinds of byPriority(jobs)) {
      const free = maxParallel - running.size;
      if (free <= 0) break;
      const [startedAtMs, begunMs] = [clock.nowMs(), clock.monotonicMs()];
      const leases = await store.claimNext({
        workerId: options.workerId,
        node: options.node,
        leaseMs: options.jobLeaseMs,
        kinds,
        limit: Math.min(free, MAX_CLAIM),
        limits,
      });
      const durationMs = clock.monotonicMs() - begunMs;
      if (leases.length === 0) continue;
      hasClaimed = true;
      options.onClaimed?.({ startedAtMs, durationMs, leases });
      for (const lease of leases) takeOn(`run job ${lease.kind}`, runTask(lease));
    }
    return hasClaimed;
  };
  const takeOn = (what: string, work: Promise<void>): void => {
    const task = work
      .catch((error: unknown) => options.onError(error, what))
      .finally(() => {
        running.delete(task);
        reason.abort();
      });
    running.add(task);
  };
  /** Looks once; true when it claimed something. */
  const pass = async (): Promise<boolean> => {
    const hasClaimed = await claim(options.terms());
    if (!hasClaimed && running.size === 0) for (const wake of idleWaiters.splice(0)) wake();
    return hasClaimed;
  };
  const loop = async (): Promise<void> => {
    while (!abort.signal.aborted) {
      reason = new AbortController();
      try {
        // A freed place is as good a reason to look again as new work; due times that pass make no noise, hence the limit.
        const hasClaimed = await pass();
        if (!hasClaimed) await untilWork(store, reason.signal);
      } catch (error) {
        if (abort.signal.aborted) break;
        options.onError(error, 'claim jobs');
        // The sleep ends with the reason of its signal, and nothing else is thrown.
        await clock.sleep(RETRY_MS, { keepAlive: false, signal: abort.signal }).catch(() => undefined);
      }
    }
  };
  // A turn later, so that what is taken on right after the start counts before anything is claimed.
  const looping = Promise.resolve().then(loop);

  return {
    runningCount: () => running.size,
    takeOn,
    drained: () => new Promise((resolve) => void idleWaiters.push(resolve)),
    async stop() {
      abort.abort();
      reason.abort();
      await looping;
      await Promise.all(running);
    },
  };
}

/** Until something is due, or `reason` says that it is time to look again. */
async function untilWork(store: JobStore, reason: AbortSignal): Promise<void> {
  try {
    await store.waitForDue({ signal: reason, maxWaitMs: LOOK_AGAIN_MS });
  } catch (error) {
    if (!reason.aborted) throw error;
  }
}

/** The limits of jobs and of the concurrency keys they share. */
function limitsOf(jobs: DispatchTerms['jobs']): ClaimLimits {
  const keys = [...jobs.values()].flatMap(({ concurrencyKey }) => concurrencyKey ?? []);
  return {
    kinds: Object.fromEntries([...jobs].map(([name, { concurrency }]) => [name, concurrency])),
    ...(keys.length > 0 && { concurrencyKeys: Object.fromEntries(keys.map(({ name, max }) => [name, max])) }),
  };
}

/** The jobs of each priority, the highest first. */
function byPriority(jobs: DispatchTerms['jobs']): readonly (readonly string[])[] {
  const groups = new Map<number, string[]>([...jobs.values()].map(({ priority }) => [priority, []]));
  for (const [name, { priority }] of jobs) groups.get(priority)?.push(name);
  // A claim of nothing still ends leases that have run out.
  if (groups.size === 0) return [[]];
  return [...groups].toSorted(([one], [other]) => other - one).map(([, names]) => names);
}

/** What the store gives at once. */
const MAX_CLAIM = 1_000;
const LOOK_AGAIN_MS = 1_000;
const RETRY_MS = 1_000;
