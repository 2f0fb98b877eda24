/** What jobs tell about themselves, and which ending of an attempt is worth telling. Pure. */
import type { Attempt, Lease } from '@conductor-run/job-store';

import type { NotifyEvent } from '../notify-config.ts';
import type { TaskOutcome } from '../task.ts';

/** One thing to tell; the JSON a hook gets. */
export interface Notification {
  readonly event: NotifyEvent;
  /** The same for every try of one delivery, so that a receiver can drop repetitions. */
  readonly deliveryId: string;
  /** When it was noticed, UTC ms. */
  readonly atMs: number;
  readonly job: string;
  readonly key: string;
  readonly attempt: number;
  /** Whether the job is tried again by itself, now or after a wait; newer input makes it due in any case. */
  readonly willRetry: boolean;
  /** Retries it has left after this attempt. */
  readonly retriesLeft: number;
  /** Which node tells. */
  readonly node: string;
  /** What happened, one sentence. */
  readonly summary: string;
  /** Where the files of the attempt are; `null` when that is not known. */
  readonly taskDir: string | null;
}

/**
 * Decides what an ended task is worth telling.
 *
 * @param outcome - how it went
 * @param earlier - the attempts before it, oldest first
 * @param willRetry - whether it is tried again by itself
 * @returns no events for what goes without saying
 */
export function eventsOfTask(
  outcome: TaskOutcome,
  earlier: readonly Attempt[],
  willRetry: boolean,
): readonly NotifyEvent[] {
  const last = outcome.results.at(-1);
  switch (outcome.recorded) {
    case 'succeeded': {
      const before = earlier.findLast((attempt) => attempt.outcome !== 'released');
      const hasRecovered = before?.outcome === 'failed' || before?.outcome === 'lost';
      return hasRecovered ? ['recovered', 'succeeded'] : ['succeeded'];
    }
    case 'failed':
      // What a person ended is no news to them.
      if (outcome.isLost !== true && last?.outcome === 'cancelled') return [];
      if (outcome.isLost === true || last?.outcome === 'lost') return eventsOfEnd('lost', willRetry);
      if (last?.outcome === 'blocked' || last?.needsHuman === true) return eventsOfEnd('blocked', willRetry);
      return eventsOfEnd('failed', willRetry);
    case 'released':
      return [];
    case 'lease-lost':
      // The store has ended the attempt as lost: whoever finds that tells.
      return [];
  }
}

/**
 * What an attempt that ended badly may be called.
 *
 * @param how - it ended
 * @param willRetry - whether it is tried again by itself
 */
export function eventsOfEnd(how: 'failed' | 'lost' | 'blocked', willRetry: boolean): readonly NotifyEvent[] {
  if (willRetry) return [how];
  // Every last failure is a failure: whoever wants to hear of the last one alone asks for that.
  return how === 'failed' ? ['exhausted', how] : [how, 'exhausted'];
}

/**
 * The attempt before a claim, when it was lost.
 *
 * @param lease - the claim
 * @param attempts - of its job, oldest first
 */
export function lostBefore(lease: Lease, attempts: readonly Attempt[]): Attempt | undefined {
  const before = attempts.findLast((attempt) => attempt.attempt < lease.attempt);
  return before?.outcome === 'lost' ? before : undefined;
}
