/** Why a job ran, did not run or waits; the slots to come; a span of time played through. */
import { simulate } from '@conductor-run/timed-jobs';

import { createJobScheduler } from '../daemon/job-scheduler.ts';
import { look } from '../daemon/watch-look.ts';
import { watchSlotName } from '../daemon/watchers.ts';
import { ConductorError } from '../errors.ts';
import type { JobDefinition } from '../job-config.ts';
import { isNeverDueAgain } from '../job-lookup.ts';
import { toAttemptView } from '../views/job-views.ts';
import { toForecastSlotView, toSimulationView, toSlotAnswerView, toSlotView } from '../views/slot-views.ts';
import type { ForecastView, SimulationView, WhyView } from '../views/types.ts';
import { toWaitingView } from '../views/waiting-view.ts';
import { explainWaiting } from '../waiting.ts';
import { DEFAULT_KEY } from '../wire.ts';
import { requireJob } from './jobs.ts';
import type { RecordPlace } from './record-place.ts';

/**
 * Why a job ran, did not run, or waits.
 *
 * @param place - the record
 * @param name - of the job
 * @param key - which one of its kind
 * @param atMs - explain the one slot at this instant, too; `undefined` for none
 * @throws ConductorError with code `job-unknown`, or `usage` when a slot is asked for of a job without a schedule
 */
export async function readWhy(
  place: RecordPlace,
  name: string,
  key: string,
  atMs: number | undefined,
): Promise<WhyView> {
  const { config, store, clock } = place;
  const nowMs = clock.nowMs();
  const definition = config.jobs.get(name);
  if (definition === undefined) await requireJob(place, name, key);
  // Schedules and watches raise the job of the default key.
  const isDefault = key === DEFAULT_KEY;
  const scheduler =
    definition?.schedule === undefined
      ? undefined
      : createJobScheduler({ jobs: () => new Map([[name, definition]]), store });
  if (atMs !== undefined && scheduler === undefined) {
    throw new ConductorError(
      'usage',
      `Cannot explain a slot of job "${name}": it has no schedule in the config, expected one that has`,
      { hint: `conductor why ${name}` },
    );
  }
  const upcoming =
    scheduler !== undefined && isDefault
      ? await scheduler.forecast(nowMs, nowMs + HORIZON_MS, MAX_UPCOMING)
      : [];
  const watch = definition?.watch;
  const watchSlot = watch === undefined ? undefined : watchSlotName(name, watch);
  const answer =
    atMs === undefined || scheduler === undefined
      ? null
      : toSlotAnswerView(atMs, await scheduler.why(name, atMs, nowMs));
  return {
    job: name,
    key,
    waiting: toWaitingView(await explainWaiting(store, name, key, definition, nowMs)),
    slots: isDefault ? (await store.slots(name, { limit: MAX_SLOTS })).map(toSlotView) : [],
    watch:
      watch === undefined || watchSlot === undefined
        ? null
        : {
            kind: watch.kind,
            job: watch.kind === 'job' ? watch.job : null,
            seen: (await store.slotCursor(watchSlot)) ?? null,
          },
    changes:
      isDefault && watchSlot !== undefined
        ? (await store.slots(watchSlot, { limit: MAX_SLOTS })).map(toSlotView)
        : [],
    upcoming: upcoming.map(toForecastSlotView),
    attempts: (await store.attempts(name, key, { limit: MAX_ATTEMPTS })).map(toAttemptView),
    answer,
    problem: definition === undefined ? null : await findProblem(place, definition),
  };
}

/** What keeps a schedule or a watch from ever making the job due. Commands of watches are not run to find out. */
async function findProblem(
  { config, store, clock }: RecordPlace,
  job: JobDefinition,
): Promise<string | null> {
  if (isNeverDueAgain(job, clock.nowMs())) return 'its schedule has no slot to come';
  if (job.watch?.kind !== 'git') return null;
  const { rootDir, settings } = config;
  const { stateDir, timedJobsSettleDelayMs: settleDelayMs } = settings;
  const signal = AbortSignal.timeout(GIT_PATIENCE_MS);
  try {
    const env = process.env;
    await look(job, job.watch, { rootDir, stateDir, store, env, clock, settleDelayMs, signal });
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/**
 * The slots to come.
 *
 * @param place - the record
 * @param spanMs - how far to look from now
 * @param maxSlots - how many at most of each schedule
 */
export async function readForecast(
  { config, store, clock }: RecordPlace,
  spanMs: number,
  maxSlots: number,
): Promise<ForecastView> {
  const fromMs = clock.nowMs();
  const toMs = fromMs + spanMs;
  const slots = await createJobScheduler({ jobs: () => config.jobs, store }).forecast(fromMs, toMs, maxSlots);
  const counts = new Map<string, number>();
  for (const { schedule } of slots) counts.set(schedule, (counts.get(schedule) ?? 0) + 1);
  // The scheduler cuts off per schedule: whoever reads the list must know that it is not all.
  const cutOff = [...counts].flatMap(([job, count]) => (count >= maxSlots ? [job] : []));
  return { fromMs, toMs, slots: slots.map(toForecastSlotView), cutOff };
}

/** A span to play through. */
export interface Play {
  readonly fromMs: number;
  /** Exclusive. */
  readonly toMs: number;
  /** Stretches without any daemon. */
  readonly outages: readonly { readonly fromMs: number; readonly untilMs: number; readonly reason: 'down' }[];
  readonly signal: AbortSignal;
  /** Told after every decision. */
  readonly onDecision?: (slotMs: number, slotCount: number) => void;
}

/**
 * Plays a span through the real scheduler.
 *
 * @param place - the config; the store is not asked
 * @param span - which
 * @throws the reason of the signal when it is aborted
 */
export async function readSimulation(
  { config }: Pick<RecordPlace, 'config'>,
  { fromMs, toMs, outages, signal, onDecision }: Play,
): Promise<SimulationView> {
  const result = await simulate({
    schedules: [...config.jobs.values()].flatMap((job) => job.schedule ?? []),
    fromMs,
    toMs,
    outages,
    signal,
    ...(onDecision !== undefined && {
      onDecision: ({ slotMs, slotCount }) => onDecision(slotMs, slotCount),
    }),
  });
  return toSimulationView(fromMs, toMs, result);
}

const GIT_PATIENCE_MS = 5_000;
const MAX_SLOTS = 10;
const MAX_ATTEMPTS = 5;
const MAX_UPCOMING = 3;
/** Far enough for a schedule of once a leap year. */
const HORIZON_MS = 8 * 366 * 86_400_000;
