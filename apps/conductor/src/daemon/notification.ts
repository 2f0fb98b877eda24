/** What jobs tell about themselves, and which ending of an attempt is worth telling. Pure. */
import type { Attempt, Lease } from '@conductor-run/job-store';

import type { NotifyEvent } from '../job-config.ts';
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
 * @returns `undefined` for what goes without saying
 */
export function eventOfTask(outcome: TaskOutcome, earlier: readonly Attempt[]): NotifyEvent | undefined {
  const last = outcome.results.at(-1);
  switch (outcome.recorded) {
    case 'succeeded': {
      const before = earlier.findLast((attempt) => attempt.outcome !== 'released');
      return before?.outcome === 'failed' || before?.outcome === 'lost' ? 'recovered' : undefined;
    }
    case 'failed':
      if (outcome.isLost === true) return 'lost';
      // What a person ended is no news to them.
      if (last?.outcome === 'cancelled') return undefined;
      if (last?.outcome === 'lost') return 'lost';
      return last?.outcome === 'blocked' || last?.needsHuman === true ? 'blocked' : 'failed';
    case 'released':
      return undefined;
    case 'lease-lost':
      // The store has ended the attempt as lost: whoever finds that tells.
      return undefined;
  }
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
