/** Slots of schedules, decided and to come, and why a job waits, as `--json` and the HTTP API show them. */
import type { Slot } from '@conductor-run/job-store';
import type { ForecastSlot, SimulationResult, SlotAnswer } from '@conductor-run/timed-jobs';
import type { z } from 'zod';

import { attemptView } from './job-views.ts';
import type {
  ForecastSlotView,
  ForecastView,
  SimulatedScheduleView,
  SimulationView,
  SlotAnswerView,
  SlotView,
  WatchView,
  WhyView,
} from './types.ts';
import { atMs, count, listOf, mapOf, oneOf, orNull, text, view, whole } from './view.ts';
import { waitingView } from './waiting-view.ts';

const job = text('The job');
const key = text('Which one of its kind');

const slotView: z.ZodType<SlotView> = view<SlotView>('SlotView', 'A slot that was decided', {
  schedule: text('The schedule: the job, or its watch'),
  slotMs: whole('The planned instant, UTC milliseconds; of a watch the value that was seen'),
  decision: text('ran, coalesced, skipped or anchored'),
  reason: orNull(text('Why, as a stable word; of a watch what was seen')),
  decidedAtMs: atMs('When it was decided'),
  term: count('In which term of leadership'),
});

const forecastSlotView: z.ZodType<ForecastSlotView> = view<ForecastSlotView>(
  'ForecastSlotView',
  'A slot to come',
  {
    schedule: text('The schedule: the job'),
    slotMs: atMs('The planned instant'),
    firstSlotMs: atMs('The first of the slots decided together'),
    slotCount: count('How many slots are decided together'),
    firesAtMs: atMs('When it will be decided'),
    decision: text('ran, coalesced, skipped or anchored'),
    reason: text('Why, as a stable word'),
  },
);

const watchView: z.ZodType<WatchView> = view<WatchView>('WatchView', 'What a job watches', {
  kind: text('files, git, command or job'),
  job: orNull(text('The job whose successes are watched')),
  seen: orNull(whole('The newest value that was acted on')),
});

/** What became of one slot. */
const slotAnswerView: z.ZodType<SlotAnswerView> = view<SlotAnswerView>(
  'SlotAnswerView',
  'What became of one slot',
  {
    askedMs: atMs('The instant that was asked for'),
    status: oneOf(
      ['decided', 'overdue', 'upcoming', 'not-a-slot', 'forgotten'],
      'Whether it is a slot, and whether it is decided',
    ),
    slotMs: orNull(atMs('The slot it was decided with')),
    decision: orNull(text('ran, coalesced, skipped or anchored')),
    reason: orNull(text('Why, as a stable word')),
    term: orNull(count('In which term of leadership')),
    firesAtMs: orNull(atMs('When it will be decided')),
    nextSlotMs: orNull(atMs('The next slot, when the instant is none')),
  },
);

/** `why`. */
export const whyView: z.ZodType<WhyView> = view<WhyView>('WhyView', 'Why a job ran, did not run, or waits', {
  job,
  key,
  waiting: waitingView,
  slots: listOf(slotView, 'Its last slots, newest first'),
  watch: orNull(watchView, 'What it watches'),
  changes: listOf(slotView, 'The changes its watch has seen, newest first'),
  upcoming: listOf(forecastSlotView, 'Its next slots'),
  attempts: listOf(attemptView, 'Its last attempts, oldest first'),
  answer: orNull(slotAnswerView, 'What became of the slot that was asked for with --at; null without'),
  problem: orNull(
    text('What keeps its schedule or watch from ever making it due, one sentence; null when nothing does'),
  ),
});

/** `forecast`. */
export const forecastView: z.ZodType<ForecastView> = view<ForecastView>('ForecastView', 'Slots to come', {
  fromMs: atMs('Where the span begins'),
  toMs: atMs('Where it ends, exclusive'),
  slots: listOf(forecastSlotView, 'By the time they fire'),
  cutOff: listOf(job, 'Jobs with more slots than are listed'),
});

const simulatedScheduleView: z.ZodType<SimulatedScheduleView> = view<SimulatedScheduleView>(
  'SimulatedScheduleView',
  'How often a schedule would run',
  {
    schedule: text('The schedule: the job'),
    counts: mapOf(count('Slots'), 'Slots by decision: ran, coalesced, skipped'),
    skipped: mapOf(count('Slots'), 'Slots that did not run, by reason'),
  },
);

/** `simulate`. */
export const simulationView: z.ZodType<SimulationView> = view<SimulationView>(
  'SimulationView',
  'A span of time, played through the real scheduler',
  {
    fromMs: atMs('Where the span begins'),
    toMs: atMs('Where it ends, exclusive'),
    slotCount: count('Slots that were decided'),
    schedules: listOf(simulatedScheduleView, 'One for each job with a schedule'),
  },
);

/** Shows a slot. */
export function toSlotView({ schedule, slotMs, decision, reason, decidedAtMs, term }: Slot): SlotView {
  return { schedule, slotMs, decision, reason: reason ?? null, decidedAtMs, term };
}

/** Shows a slot to come. */
export function toForecastSlotView(slot: ForecastSlot): ForecastSlotView {
  const { schedule, slotMs, firstSlotMs, slotCount, firesAtMs, decision, reason } = slot;
  return { schedule, slotMs, firstSlotMs, slotCount, firesAtMs, decision, reason };
}

/** Shows what became of one slot. */
export function toSlotAnswerView(askedMs: number, answer: SlotAnswer): SlotAnswerView {
  const { status } = answer;
  return {
    askedMs,
    status,
    slotMs: status === 'decided' ? answer.slotMs : null,
    decision: 'decision' in answer ? answer.decision : null,
    reason: 'reason' in answer ? answer.reason : null,
    term: status === 'decided' ? answer.term : null,
    firesAtMs: 'firesAtMs' in answer ? answer.firesAtMs : null,
    nextSlotMs: status === 'not-a-slot' ? (answer.nextSlotMs ?? null) : null,
  };
}

/** Shows what a simulation came to. */
export function toSimulationView(fromMs: number, toMs: number, result: SimulationResult): SimulationView {
  const schedules = result.schedules.map(({ schedule, counts, skipped }) => ({
    schedule,
    counts,
    skipped: Object.fromEntries(Object.entries(skipped)),
  }));
  return { fromMs, toMs, slotCount: result.slotCount, schedules };
}
