/**
 * Keeps asking for a leadership and says when it is won and lost.
 * Invariant: the holder stops itself at the renew deadline, counted from before the last good renewal was asked for,
 * and so strictly before anybody else may start; also when a renewal hangs.
 */
import { randomBytes } from 'node:crypto';
import { createRealClock, type Clock, type Timer } from '@conductor-run/clock';
import type { LeadershipStore } from './leadership.ts';
import { silentLogger, type Logger } from './logger.ts';
import { requireInteger, requireText } from './options.ts';
import { systemRandom } from './random.ts';

/** How to run for a leadership. */
export interface ElectionOptions {
  /** Where the leadership is kept. Must stay open until `stop` has resolved. */
  readonly store: LeadershipStore;
  /**
   * Which leadership.
   *
   * @defaultValue 'leader'
   */
  readonly name?: string;
  /** The host, for people and as the first part of the holder's identity. */
  readonly host: string;
  /**
   * Who runs; must be new with each start.
   *
   * @defaultValue `createHolderId(host)`
   */
  readonly holderId?: string;
  /**
   * How long the leadership holds without renewal, in ms. Larger than `renewDeadlineMs`.
   *
   * @defaultValue 10,000
   */
  readonly ttlMs?: number;
  /**
   * When a leader that could not renew stops itself, in ms after it last asked with success. More than 1.2 × `retryMs`.
   *
   * @defaultValue 6,000
   */
  readonly renewDeadlineMs?: number;
  /**
   * How often to renew, or to ask, in ms; askers wait up to 2.2 times as long, at random, but ask within half a second
   * of a resignation.
   *
   * @defaultValue 2,000
   */
  readonly retryMs?: number;
  /**
   * Failed tries in a row after which a leader counts as degraded, at least 1.
   *
   * @defaultValue 2
   */
  readonly renewFailureThreshold?: number;
  /** A holder or host to give precedence, see `acquireLeadership`; a function is asked before each question. */
  readonly preferredHolderId?: string | (() => Promise<string | undefined>);
  /** Called when the leadership is won. The signal aborts when it is lost or given up. Must not throw. */
  readonly onElected: (term: number, signal: AbortSignal) => void;
  /**
   * Where time comes from.
   *
   * @defaultValue the real clock
   */
  readonly clock?: Clock;
  /**
   * A number from 0 up to, not including, 1: spreads those who ask.
   *
   * @defaultValue the system's
   */
  readonly random?: () => number;
  /**
   * Told of leadership won, lost and out of reach.
   *
   * @defaultValue silence
   */
  readonly logger?: Logger;
}

/** Where a run for a leadership stands. */
export interface ElectionState {
  /** `degraded` still leads, but could not renew for `renewFailureThreshold` tries. */
  readonly role: 'leader' | 'degraded' | 'standby';
  /** The term while leading; undefined otherwise. */
  readonly term: number | undefined;
  /** Tries in a row that failed. */
  readonly failures: number;
}

/** A run for a leadership under way. */
export interface Election {
  /** Who runs. */
  readonly holderId: string;
  /** The term while leading; undefined from the renew deadline on, also when a blocked event loop is late to notice. */
  term(): number | undefined;
  /** Where it stands now. */
  state(): ElectionState;
  /** Gives up a held leadership and stops asking. Idempotent; resolves when nothing is left running. */
  stop(): Promise<void>;
}

/**
 * Makes the identity of one start of one process: the host and something random.
 *
 * @param host - for people
 */
export function createHolderId(host: string): string {
  return `${requireText('host', host, MAX_HOST_LENGTH)}/${randomBytes(8).toString('hex')}`;
}

/**
 * Starts to run for a leadership.
 *
 * @param options - for which, and how patiently
 * @throws RangeError unless ttlMs is larger than renewDeadlineMs and that is larger than 1.2 × retryMs
 */
export function startElection(options: ElectionOptions): Election {
  const { store, host, onElected, clock = createRealClock(), random = systemRandom } = options;
  const { logger = silentLogger, name = 'leader', holderId = createHolderId(host) } = options;
  const timing = requireTiming(options);
  const stopping = new AbortController();
  const degradedFrom = requireInteger('renewFailureThreshold', options.renewFailureThreshold ?? 2, 1);
  let held: { readonly term: number; readonly lost: AbortController } | undefined;
  let heldUntilMs = 0;
  let failures = 0;
  let deadline: Timer | undefined;
  let mustResign = false;

  const depose = (reason: string): void => {
    deadline?.cancel();
    deadline = undefined;
    if (held === undefined) return;
    const { term, lost } = held;
    held = undefined;
    logger.info({ name, holderId, term, reason }, 'leadership.lost');
    lost.abort(new Error(`Leadership "${name}" was lost: ${reason}`));
  };
  const confirm = (term: number, stopAtMs: number): void => {
    if (held !== undefined && held.term !== term) depose('superseded');
    heldUntilMs = stopAtMs;
    deadline?.cancel();
    deadline = clock.setTimer(Math.max(0, stopAtMs - clock.monotonicMs()), onDeadline, { keepAlive: false });
    if (held !== undefined) return;
    const lost = new AbortController();
    held = { term, lost };
    logger.info({ name, holderId, term }, 'leadership.won');
    onElected(term, lost.signal);
  };
  const onDeadline = (): void => {
    // The record may still be ours: give it up, so that the next win has a term of its own.
    mustResign = true;
    depose('not renewed in time');
  };
  const ask = async (): Promise<void> => {
    const stopAtMs = clock.monotonicMs() + timing.renewDeadlineMs;
    if (mustResign) {
      await store.resignLeadership(name, holderId);
      mustResign = false;
    }
    const { ttlMs } = timing;
    const { preferredHolderId: wish } = options;
    const preferredHolderId = typeof wish === 'function' ? await wish() : wish;
    const preference = preferredHolderId === undefined ? {} : { preferredHolderId };
    const result = await store.acquireLeadership({ name, holderId, host, ttlMs, ...preference });
    if (!result.isLeader) depose('superseded');
    // Also when the deadline struck while this was asked: its term is over, whatever the answer.
    else if (mustResign || clock.monotonicMs() >= stopAtMs || stopping.signal.aborted) mustResign = true;
    else confirm(result.term, stopAtMs);
  };
  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      try {
        await ask();
        failures = 0;
      } catch (error) {
        failures += 1;
        // The deadline ends a leadership that cannot be renewed; until then, trying again is all there is to do.
        logger.warn({ err: error, name, holderId }, 'leadership.unreachable');
      }
      if (held === undefined) await untilVacant(timing.retryMs * (1 + random() * JITTER));
      else await pause(timing.retryMs);
    }
  };
  const pause = (waitMs: number): Promise<void> =>
    clock.sleep(waitMs, { signal: stopping.signal, keepAlive: false }).catch(requireAborted);
  /** Waits, but no longer than somebody leads: one that resigned need not be outwaited. */
  const untilVacant = async (waitMs: number): Promise<void> => {
    for (let leftMs = waitMs; leftMs > 0 && !stopping.signal.aborted; leftMs -= LOOK_MS) {
      await pause(Math.min(leftMs, LOOK_MS));
      if (await isVacant()) return;
    }
  };
  const isVacant = async (): Promise<boolean> => {
    try {
      return (await store.leadership(name))?.holderId === undefined;
    } catch {
      // A store that cannot be read now is told about when it is asked next.
      return false;
    }
  };
  const requireAborted = (error: unknown): void => {
    if (!stopping.signal.aborted) throw error;
  };
  const running = run();

  const finish = async (): Promise<void> => {
    const wasHeld = held !== undefined || mustResign;
    depose('stopped');
    stopping.abort(new Error('Election was stopped'));
    await running;
    // The last question may have been won while we were stopping.
    const isHeld = wasHeld || (await store.leadership(name))?.holderId === holderId;
    depose('stopped');
    if (isHeld) await store.resignLeadership(name, holderId);
  };
  let stopped: Promise<void> | undefined;
  // Judged by the clock, not by the timer that may be late.
  const term = (): number | undefined => (clock.monotonicMs() < heldUntilMs ? held?.term : undefined);
  const state = (): ElectionState => {
    const leading = term();
    const role = leading === undefined ? 'standby' : failures >= degradedFrom ? 'degraded' : 'leader';
    return { role, term: leading, failures };
  };
  return { holderId, term, state, stop: () => (stopped ??= finish()) };
}

function requireTiming(options: ElectionOptions): {
  readonly ttlMs: number;
  readonly renewDeadlineMs: number;
  readonly retryMs: number;
} {
  const ttlMs = requireInteger('ttlMs', options.ttlMs ?? 10_000, 1);
  const renewDeadlineMs = requireInteger('renewDeadlineMs', options.renewDeadlineMs ?? 6000, 1);
  const retryMs = requireInteger('retryMs', options.retryMs ?? 2000, 1);
  if (ttlMs > renewDeadlineMs && renewDeadlineMs > JITTER * retryMs)
    return { ttlMs, renewDeadlineMs, retryMs };
  throw new RangeError(
    `Cannot start election with ttlMs "${ttlMs}", renewDeadlineMs "${renewDeadlineMs}" and retryMs "${retryMs}": expected ttlMs > renewDeadlineMs > ${JITTER} × retryMs`,
  );
}

const JITTER = 1.2;
/** How often who waits reads whether somebody leads: a few microseconds on SQLite. */
const LOOK_MS = 500;
const MAX_HOST_LENGTH = 900;
