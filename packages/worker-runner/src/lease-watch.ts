/**
 * Keeps the leases of everything this process runs, in one batch, and ends what can no longer be kept.
 * Invariant: a step is told to end, killed, and killed by the guard, in this order, all before its lease runs out.
 */
import { join } from 'node:path';

import type { Clock, Timer } from '@conductor-run/clock';

import { messageOf } from './errors.ts';
import { ATTACHED_GUARD_DIR, readUptimeMs, startGuard, type Guard } from './guard.ts';
import {
  leaseMarginsOf,
  MIN_LEASE_MS,
  type AttachedLease,
  type LeaseAnswer,
  type LeaseKeeper,
  type LeaseMargins,
  type StepLease,
} from './lease.ts';
import type { StepSession } from './step-session.ts';
import type { Logger } from './step-sink.ts';

/** A run whose lease is kept. */
export interface KeptRun {
  readonly runDir: string;
  /** The directory as it was named when the run was started; `runDir` by default. */
  readonly markedDir?: string;
  /** The epoch of our ownership. */
  readonly epoch: number;
  readonly lease: StepLease;
  readonly killGraceMs: number;
  /**
   * Whether it is at work already, under the guard of its former owner: then a first renewal that fails is tried again for
   * as long as the lease can last, before the run is taken from that guard.
   */
  readonly isAtWork?: boolean;
  /** The lease cannot be kept: end the step now; `isUrgent` when there is no time for grace. */
  readonly onLost: (text: string, isUrgent: boolean) => void;
  /** The owner of the job wants it cancelled. */
  readonly onCancel: () => void;
}

/** A lease being kept. */
export interface KeptLease {
  /** Whether the lease was ours when it was taken on. */
  readonly isHeld: boolean;
  /** Renews no longer. Does not give the lease back: whoever closes the job does. */
  release(): void;
}

/** Keeps leases. */
export interface LeaseWatch {
  /** Takes a run on; renews first unless it is known how long the lease still lasts. */
  keep(run: KeptRun): Promise<KeptLease>;
  /** Stops everything, the guard included. */
  stop(): void;
}

/** What a watch needs. */
export interface LeaseWatchOptions {
  readonly keeper: LeaseKeeper;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where the guard keeps its list. */
  readonly guardDir: string;
  /** Our pid. */
  readonly pid: number;
  /** Where the guard looks for programs, beside the usual places. */
  readonly searchPath?: string | undefined;
}

/**
 * Makes a watch; starts its guard with the first lease.
 *
 * @param options - keeper, clock and guard
 */
export function createLeaseWatch(options: LeaseWatchOptions): LeaseWatch {
  const { clock } = options;
  const entries = new Set<Entry>();
  let guard: Guard | undefined;
  let timer: Timer | undefined;
  let isStopped = false;
  let isGuardBehind = false;

  const writeGuardList = (): void => {
    guard ??= startGuard({
      directory: options.guardDir,
      watchedPid: options.pid,
      searchPath: options.searchPath,
      clock,
      logger: options.logger,
    });
    // Before its first answer nobody knows how long a lease lasts: the guard must not take that for its end.
    const known = [...entries].filter((entry) => entry.isKnown);
    const runs = known.map((entry) => ({
      runDir: entry.run.runDir,
      markedDir: entry.run.markedDir ?? entry.run.runDir,
      epoch: entry.run.epoch,
      killAtUptimeMs: entry.expiresAtUptimeMs - entry.margins.guardLeadMs,
    }));
    const shortestMs = Math.min(...known.map((entry) => entry.run.lease.leaseMs), MAX_POLL_MS * 20);
    guard.update(runs, Math.max(MIN_POLL_MS, shortestMs / 20));
  };
  /** Until the list can be written, the guard goes by the one before, whose deadlines are earlier. */
  const updateGuard = (): void => {
    try {
      writeGuardList();
      isGuardBehind = false;
    } catch (error) {
      if (!isGuardBehind) options.logger.error({ err: error }, 'lease-guard.list-unwritable');
      isGuardBehind = true;
    }
  };

  /** One batch for all leases of the same length. Resolves when each has its answer, or the time for one is over. */
  const renew = async (batch: readonly Entry[]): Promise<void> => {
    for (const entry of batch) entry.isAsking = true;
    const asked = await ask(options, batch);
    if (isStopped) return;
    batch.forEach((entry, index) => {
      entry.isAsking = false;
      entry.nextRenewalMs = clock.monotonicMs() + entry.margins.retryEveryMs;
      if (asked !== undefined && entries.has(entry)) takeAnswer(entry, asked.answers[index], asked);
    });
    updateGuard();
  };

  /** Nobody knows how long the lease of a run still lasts that another process renewed: not longer than a whole one. */
  const renewFirst = async (entry: Entry): Promise<void> => {
    const untilMs = clock.monotonicMs() + entry.run.lease.leaseMs;
    await renew([entry]);
    if (entry.run.isAtWork !== true) return;
    while (!entry.isKnown && !isStopped && clock.monotonicMs() < untilMs) {
      await clock.sleep(entry.margins.retryEveryMs);
      if (!entry.isKnown && !entry.isAsking) await renew([entry]);
    }
  };

  /** A store that takes its time with one batch must not hold up the next, which may be of shorter leases. */
  const renewDue = (): void => {
    const now = clock.monotonicMs();
    const due = [...entries].filter(
      (entry) => entry.nextRenewalMs <= now && !entry.isLost && !entry.isAsking,
    );
    for (const leaseMs of new Set(due.map((entry) => entry.run.lease.leaseMs))) {
      void renew(due.filter((entry) => entry.run.lease.leaseMs === leaseMs));
    }
  };
  const tick = (): void => {
    timer = undefined;
    if (isStopped || entries.size === 0) return;
    if (isGuardBehind) updateGuard();
    renewDue();
    const shortestMs = Math.min(...[...entries].map((entry) => entry.margins.retryEveryMs), 1000);
    timer = clock.setTimer(shortestMs / 2, tick);
  };

  return {
    async keep(run) {
      const entry = createEntry(run, clock);
      entries.add(entry);
      if (run.lease.expiresAtMonotonicMs === undefined) await renewFirst(entry);
      else updateGuard();
      armDeadlines(entry, clock);
      timer ??= clock.setTimer(0, tick);
      return {
        isHeld: !entry.isLost && entry.expiresAtMs > clock.monotonicMs(),
        release() {
          for (const pending of entry.timers) pending.cancel();
          if (entries.delete(entry) && !isStopped) updateGuard();
        },
      };
    },
    stop() {
      isStopped = true;
      timer?.cancel();
      for (const entry of entries) for (const pending of entry.timers) pending.cancel();
      entries.clear();
      guard?.stop();
    },
  };
}

/**
 * Keeps the lease of an attached run.
 *
 * @param lease - the lease and its keeper
 * @param session - the run
 * @throws RangeError when the lease is shorter than a second
 */
export async function keepLease(lease: AttachedLease, session: StepSession): Promise<{ stop(): void }> {
  const { writer, clock, logger, host, request } = session.options;
  const watch = createLeaseWatch({
    keeper: lease.keeper,
    clock,
    logger,
    pid: host.pid,
    searchPath: host.env['PATH'],
    guardDir: join(writer.paths.runDir, ATTACHED_GUARD_DIR),
  });
  await watch.keep(keptRunOf(session, lease, 1, request.limits.killGraceSec * 1000));
  return watch;
}

/** The lease of a session's run, as a watch keeps it. */
export function keptRunOf(
  session: StepSession,
  lease: StepLease,
  epoch: number,
  killGraceMs: number,
): KeptRun {
  requireLeaseMs(lease.leaseMs);
  return {
    runDir: session.options.writer.paths.runDir,
    epoch,
    lease,
    killGraceMs,
    onLost(text, isUrgent) {
      session.requestEnd({ reason: 'lease_lost', text });
      if (isUrgent) session.requestEnd({ reason: 'lease_lost', text });
    },
    onCancel: () => {
      if (session.endRequest() === undefined) session.requestEnd({ reason: 'lease_cancelled' });
    },
  };
}

/** @throws RangeError for a lease that is too short to be kept */
export function requireLeaseMs(leaseMs: number): void {
  if (Number.isFinite(leaseMs) && leaseMs >= MIN_LEASE_MS) return;
  throw new RangeError(`Cannot keep lease of "${leaseMs}" ms: expected at least ${MIN_LEASE_MS} ms`);
}

interface Entry {
  readonly run: KeptRun;
  readonly margins: LeaseMargins;
  readonly timers: Timer[];
  expiresAtMs: number;
  expiresAtUptimeMs: number;
  nextRenewalMs: number;
  isLost: boolean;
  isAsking: boolean;
  /** Whether its end is known: it came with the lease, or somebody was asked. */
  isKnown: boolean;
}

function createEntry(run: KeptRun, clock: Clock): Entry {
  // Uptime first: a pause between the two readings makes the guard early.
  const uptimeMs = readUptimeMs() ?? 0;
  const nowMs = clock.monotonicMs();
  const expiresAtMs = run.lease.expiresAtMonotonicMs ?? nowMs;
  const margins = leaseMarginsOf(run.lease.leaseMs, run.killGraceMs);
  return {
    run,
    margins,
    timers: [],
    expiresAtMs,
    expiresAtUptimeMs: uptimeMs + (expiresAtMs - nowMs),
    nextRenewalMs: Math.min(nowMs + margins.renewEveryMs, expiresAtMs - margins.renewEveryMs * 2),
    isLost: false,
    isAsking: false,
    isKnown: run.lease.expiresAtMonotonicMs !== undefined,
  };
}

function takeAnswer(
  entry: Entry,
  answer: LeaseAnswer | undefined,
  sent: { readonly sentAtMs: number; readonly uptimeMs: number },
): void {
  if (answer === undefined) return;
  entry.isKnown = true;
  if (answer === 'lease-lost') {
    entry.isLost = true;
    entry.run.onLost('The lease belongs to somebody else', true);
    return;
  }
  entry.expiresAtMs = Math.max(entry.expiresAtMs, sent.sentAtMs + entry.run.lease.leaseMs);
  entry.expiresAtUptimeMs = Math.max(entry.expiresAtUptimeMs, sent.uptimeMs + entry.run.lease.leaseMs);
  entry.nextRenewalMs = sent.sentAtMs + entry.margins.renewEveryMs;
  if (answer === 'cancel-requested') entry.run.onCancel();
}

/** Both deadlines move with each renewal: when one rings, it looks whether it still holds. */
function armDeadlines(entry: Entry, clock: Clock): void {
  const arm = (slot: number, leadMs: number, isUrgent: boolean): void => {
    const check = (): void => {
      const leftMs = entry.expiresAtMs - leadMs - clock.monotonicMs();
      if (leftMs > 0) entry.timers[slot] = clock.setTimer(leftMs, check);
      else {
        entry.isLost = true;
        entry.run.onLost('The lease could not be renewed in time', isUrgent);
      }
    };
    check();
  };
  arm(0, entry.margins.softLeadMs, false);
  arm(1, entry.margins.hardLeadMs, true);
}

/** What was answered, and the times before it was asked. */
interface Asked {
  readonly answers: readonly LeaseAnswer[];
  readonly sentAtMs: number;
  readonly uptimeMs: number;
}

/** Whatever fails on the way, a reading of the time for want of a descriptor too, is a renewal to be tried again. */
async function ask(options: LeaseWatchOptions, batch: readonly Entry[]): Promise<Asked | undefined> {
  const { clock, logger } = options;
  try {
    // Both read before the call: what the store grants lasts longer than what we count.
    const uptimeMs = readUptimeMs() ?? 0;
    const sentAtMs = clock.monotonicMs();
    const answers = await askInTime(options, batch);
    return answers === undefined ? undefined : { answers, sentAtMs, uptimeMs };
  } catch (error) {
    logger.warn({ err: error, count: batch.length, words: messageOf(error) }, 'lease.renewal-failed');
    return undefined;
  }
}

/** A store that hangs is as good as one that fails: the next try must not wait for it. */
async function askInTime(
  { keeper, clock }: LeaseWatchOptions,
  batch: readonly Entry[],
): Promise<readonly LeaseAnswer[] | undefined> {
  const leaseMs = batch[0]?.run.lease.leaseMs ?? MIN_LEASE_MS;
  const patience = new AbortController();
  const giveUp = clock.sleep(leaseMs / 3, { signal: patience.signal }).then(
    () => undefined,
    () => undefined,
  );
  try {
    const asked = keeper.renewMany(
      batch.map((entry) => entry.run.lease.lease),
      leaseMs,
    );
    // Too late an answer is dropped: the next renewal asks again.
    asked.catch(() => undefined);
    return await Promise.race([asked, giveUp]);
  } finally {
    patience.abort();
  }
}

const MIN_POLL_MS = 50;
const MAX_POLL_MS = 1000;
