/** What became of a slot, in a sentence. */
import type { SlotReason } from '@conductor-run/timed-jobs';

/**
 * Says why a slot was decided as it was.
 *
 * @param decision - the store's or the scheduler's word
 * @param reason - its reason; one that is not known here is shown as it is
 */
export function describeReason(decision: string, reason: string): string {
  const known = Object.entries(REASONS).find(([word]) => word === reason);
  return known?.[1] ?? (reason === '' ? decision : reason);
}

const REASONS: Readonly<Record<SlotReason, string>> = {
  'on-time': 'on time',
  'caught-up': 'caught up after nobody was there to decide it',
  'newer-slot': 'a newer slot ran for it (catchUp: latest)',
  overlap: 'the work of an earlier slot was not done yet (overlap: skip)',
  paused: 'the job or everything was paused',
  'not-leader': 'no node led then, and the schedule does not catch up',
  blackout: 'it lies in a blackout',
  'outside-window': 'it was older than the catch-up window',
  missed: 'nobody was there, and the schedule does not catch up that far',
  'first-seen': 'the schedule was first seen here; its slots count from now on',
};
