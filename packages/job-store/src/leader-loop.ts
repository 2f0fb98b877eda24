/**
 * Leads, or stands by to lead: acquires and renews a leadership until told to stop.
 * Invariant: `leadingTerm()` is undefined from the renew deadline on, which lies before anybody else may lead, whatever
 * the loop itself is waiting for: it is judged by the clock at the moment of asking, not by a timer that may be late.
 */
import { type Clock, createRealClock, type Timer } from '@conductor-run/clock';

import type { LeadershipStore } from './leadership.ts';
import { requireInteger } from './options.ts';

/** What a leader loop works with. All durations are ms of monotonic time. */
export interface LeaderLoopOptions {
  /**
   * Which leadership.
   *
   * @defaultValue 'leader'
   */
  readonly name?: string;
  /** Who asks: host plus something random per start, see `createHolderId`. */
  readonly holderId: string;
  /** On which host, for people. */
  readonly host: string;
  /**
   * How long the leadership holds without renewal.
   *
   * @defaultValue 10_000
   */
  readonly ttlMs?: number;
  /**
   * How long after its last renewal a leader stops itself. Must be less than `ttlMs` and more than 1.2 × `retryMs`.
   *
   * @defaultValue 6_000
   */
  readonly renewDeadlineMs?: number;
  /**
   * Between two tries to acquire or renew.
   *
   * @defaultValue 2_000
   */
  readonly retryMs?: number;
  /**
   * Failed renewals in a row after which the state is `degraded`.
   *
   * @defaultValue 2
   */
  readonly renewFailureThreshold?: number;
  /** A holder or host to give precedence, see `acquireLeadership`. */
  readonly preferredHolderId?: string;
  /**
   * Where time comes from.
   *
   * @defaultValue the real clock
   */
  readonly clock?: Clock;
  /** Called after each change of role or term. Must not throw. */
  readonly onChange?: (state: LeaderState) => void;
  /** Called with what a try to acquire or renew threw; the loop goes on. Must not throw. */
  readonly onError?: (error: unknown) => void;
}

/** Where this node stands. */
export interface LeaderState {
  /** `degraded` still leads, but its last renewals failed. */
  readonly role: 'leader' | 'degraded' | 'standby';
  /** The term it leads; undefined for a standby. */
  readonly term: number | undefined;
  /** Who leads as far as this node knows. */
  readonly holderId: string | undefined;
  /** Failed tries in a row. */
  readonly failures: number;
}

/** A running loop; whoever starts it stops it. */
export interface LeaderLoop {
  /** Where this node stands now. */
  state(): LeaderState;
  /** The term this node leads right now; undefined when it does not, or when its renew deadline has passed. */
  leadingTerm(): number | undefined;
  /** Ends the loop and gives a leadership up, so that a standby need not wait. Idempotent. Nothing is left running. */
  stop(): Promise<void>;
}

/**
 * Starts to lead as soon as possible, and goes on until stopped.
 *
 * @param store - where the leadership is kept
 * @param options - who asks, and how patient it is
 * @throws RangeError when ttl, renew deadline and retry do not fit together
 */
export function startLeaderLoop(store: LeadershipStore, options: LeaderLoopOptions): LeaderLoop {
  const { name = 'leader', holderId, host, clock = createRealClock() } = options;
  const { ttlMs, renewDeadlineMs, retryMs, renewFailureThreshold } = resolveTimes(options);
  const abort = new AbortController();
  let term: number | undefined;
  let deadlineMonotonicMs = 0;
  let failures = 0;
  let knownHolder: string | undefined;
  let told = '';
  let watchdog: Timer | undefined;

  const leadingTerm = (): number | undefined =>
    clock.monotonicMs() < deadlineMonotonicMs ? term : undefined;
  const state = (): LeaderState => {
    const leads = leadingTerm();
    const role = leads === undefined ? 'standby' : failures >= renewFailureThreshold ? 'degraded' : 'leader';
    return { role, term: leads, holderId: knownHolder, failures };
  };
  const tell = (): void => {
    const now = state();
    const summary = `${now.role} ${now.term ?? '-'}`;
    if (summary === told) return;
    told = summary;
    options.onChange?.(now);
  };
  /** One try. The renewal counts from before it was asked for, so a slow store shortens the lease and never lengthens it. */
  const attempt = async (): Promise<void> => {
    const askedAtMs = clock.monotonicMs();
    try {
      const answer = await store.acquireLeadership({
        name,
        holderId,
        host,
        ttlMs,
        ...(options.preferredHolderId !== undefined && { preferredHolderId: options.preferredHolderId }),
      });
      failures = 0;
      knownHolder = answer.holderId;
      term = answer.isLeader ? answer.term : undefined;
      deadlineMonotonicMs = answer.isLeader ? askedAtMs + renewDeadlineMs : 0;
      watchdog?.cancel();
      // Tells of the end also while a later renewal hangs.
      if (answer.isLeader) {
        const remainingMs = Math.max(0, deadlineMonotonicMs - clock.monotonicMs());
        watchdog = clock.setTimer(remainingMs, tell, { keepAlive: false });
      }
    } catch (error) {
      failures += 1;
      options.onError?.(error);
    }
    tell();
  };

  const run = async (): Promise<void> => {
    while (!abort.signal.aborted) {
      // One try in flight at most: a second renewal behind a hanging one would not arrive sooner.
      await attempt();
      await clock.sleep(retryMs, { signal: abort.signal }).catch(ignoreAbort(abort.signal));
    }
  };
  const running = run();
  let stopping: Promise<void> | undefined;

  const stop = async (): Promise<void> => {
    abort.abort();
    await running;
    watchdog?.cancel();
    deadlineMonotonicMs = 0;
    term = undefined;
    tell();
    try {
      await store.resignLeadership(name, holderId);
    } catch (error) {
      // The leadership then ends by itself after its ttl; whoever stops must not fail for it.
      options.onError?.(error);
    }
  };
  return { state, leadingTerm, stop: () => (stopping ??= stop()) };
}

interface Times {
  readonly ttlMs: number;
  readonly renewDeadlineMs: number;
  readonly retryMs: number;
  readonly renewFailureThreshold: number;
}

function resolveTimes(options: LeaderLoopOptions): Times {
  const ttlMs = requireInteger('ttlMs', options.ttlMs ?? 10_000, 1);
  const renewDeadlineMs = requireInteger('renewDeadlineMs', options.renewDeadlineMs ?? 6_000, 1);
  const retryMs = requireInteger('retryMs', options.retryMs ?? 2_000, 1);
  if (ttlMs > renewDeadlineMs && renewDeadlineMs > 1.2 * retryMs) {
    const renewFailureThreshold = requireInteger(
      'renewFailureThreshold',
      options.renewFailureThreshold ?? 2,
      1,
    );
    return { ttlMs, renewDeadlineMs, retryMs, renewFailureThreshold };
  }
  throw new RangeError(
    `Cannot lead with ttlMs "${ttlMs}", renewDeadlineMs "${renewDeadlineMs}" and retryMs "${retryMs}": expected ttl > renew deadline > 1.2 × retry`,
  );
}

/** Only the abort of the loop's own signal ends its sleep. */
function ignoreAbort(signal: AbortSignal): (error: unknown) => void {
  return (error) => {
    if (!signal.aborted) throw error;
  };
}
