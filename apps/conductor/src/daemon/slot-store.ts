/** The job store as timed-jobs wants to see it: a decided slot and the raised watermark are one transaction. */
import type { EnqueueRequest, JobStore } from '@conductor-run/job-store';
import type { DecideAnswer, DecideRequest, SlotStore } from '@conductor-run/timed-jobs';
import { z } from 'zod';

import { toEnqueueRequest } from '../enqueue-request.ts';
import type { JobDefinition } from '../job-config.ts';
import { DEFAULT_KEY } from '../wire.ts';

/**
 * Makes the slot store of the scheduler.
 *
 * @param store - where slots and jobs are
 * @param jobs - the jobs schedules are named after, as they are now
 */
export function createSlotStore(store: JobStore, jobs: () => ReadonlyMap<string, JobDefinition>): SlotStore {
  return {
    cursor: (schedule) => store.slotCursor(schedule),
    async decide(request): Promise<DecideAnswer> {
      const { schedule, slotMs, term, decision, reason } = request;
      const effect = decision === 'ran' ? [toEnqueue(request, jobs())] : [];
      const answer = await store.decideSlot({ schedule, slotMs, term, decision, reason, effect });
      return { outcome: OUTCOMES[answer.outcome] };
    },
    async decisions(schedule, { before, limit }) {
      const slots = await store.slots(schedule, { limit, ...(before !== undefined && { beforeMs: before }) });
      return slots.map((slot) => {
        const { decision, reason } = words.parse(slot);
        return { slotMs: slot.slotMs, decision, reason, term: slot.term };
      });
    },
  };
}

/** A slot raises the watermark of the job it is named after to its own instant. */
function toEnqueue(request: DecideRequest, jobs: ReadonlyMap<string, JobDefinition>): EnqueueRequest {
  const { schedule, slotMs } = request;
  const job = jobs.get(schedule);
  // Taken out of the config while its slot was decided: the row is raised, and waits for the job to come back.
  const base = job === undefined ? { kind: schedule, key: DEFAULT_KEY } : toEnqueueRequest(job, DEFAULT_KEY);
  return { ...base, watermark: slotMs };
}

/** The store keeps any words; these are the ones timed-jobs writes. */
const words = z.object({
  decision: z.enum(['ran', 'coalesced', 'skipped', 'anchored']),
  reason: z.enum([
    'on-time',
    'caught-up',
    'newer-slot',
    'overlap',
    'paused',
    'not-leader',
    'blackout',
    'outside-window',
    'missed',
    'first-seen',
  ]),
});

const OUTCOMES = {
  decided: 'decided',
  'already-decided': 'already_decided',
  'stale-term': 'stale_term',
} as const;
