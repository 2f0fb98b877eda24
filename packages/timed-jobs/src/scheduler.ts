/**
 * The runner that decides due slots.
 * Invariant: what it remembers (cursors) belongs to one term; under a new term it asks the store again.
 */

import { createDueQueue } from './due-queue.ts';
import { TimedJobsError } from './errors.ts';
import { explainSlot, forecast, type ForecastSlot } from './forecast.ts';
import { type Logger, silentLogger } from './logger.ts';
import type { SlotDecision } from './plan.ts';
import type { RunContext, Runner, RunnerAnswer } from './runner.ts';
import type { Schedule } from './schedule.ts';
import { createScheduleDecider, type DecideContext, type ScheduleEntry } from './schedule-decider.ts';
import type { SlotStore } from './slot-store.ts';
import { findDecision, type SlotAnswer } from './why.ts';

/** What a scheduler is made of. */
export interface SchedulerOptions {
  /** What to decide; made with `parseSchedule`, names unique. */
  readonly schedules: readonly Schedule[];
  /** Where cursors and decisions are. */
  readonly slots: SlotStore;
  /**
   * How many pieces of work of a schedule are unfinished; needed by schedules with `overlap: 'skip'`.
   *
   * @param schedule - its name
   */
  readonly runningCount?: (schedule: string) => Promise<number>;
  /**
   * Whether a schedule is paused: its slots are then skipped as they come up.
   *
   * @defaultValue never
   */
  readonly isPaused?: (schedule: string) => Promise<boolean>;
  /**
   * Where trouble is told.
   *
   * @defaultValue silence
   */
  readonly logger?: Logger;
}

/** What one pass decided. */
export interface SchedulerPass {
  /** Decisions written, by kind. */
  readonly counts: Readonly<Record<SlotDecision, number>>;
  /** Schedules whose store calls failed; they are tried again after 1 s, doubling to 60 s. */
  readonly failures: readonly { readonly schedule: string; readonly error: Error }[];
  /** True when the store refused the term; nothing more was decided. */
  readonly isStale: boolean;
}

/** A runner named `scheduler`; register it as it is. */
export interface Scheduler extends Runner {
  /** Always `scheduler`. */
  readonly name: string;
  /** The schedules in force. */
  schedules(): readonly Schedule[];
  /**
   * Puts other schedules in force from the next pass on. Cursors stay with their names.
   *
   * @param schedules - all of them, not only the new ones
   * @throws {@link TimedJobsError} with code `duplicate-schedule` or `invalid-schedule`; nothing has changed then
   */
  replaceSchedules(schedules: readonly Schedule[]): void;
  /** When the next schedule falls due, UTC ms; `undefined` when none will, or before the first pass. */
  nextDueAtMs(): number | undefined;
  /**
   * One pass: decides every slot that is due. `run` calls it; a loop of one's own may, never two at once.
   *
   * @param context - term, time and signal
   */
  decideDue(context: DecideContext): Promise<SchedulerPass>;
  /**
   * What will become of the slots of all schedules, by the time they fire. Reads the cursors, so any node may ask.
   *
   * @param fromMs - UTC ms, inclusive; taken as the present
   * @param toMs - UTC ms, exclusive
   * @param limit - how many entries per schedule, default 1,000
   */
  forecast(fromMs: number, toMs: number, limit?: number): Promise<readonly ForecastSlot[]>;
  /**
   * Why a slot ran, did not run, or is none.
   *
   * @param schedule - its name
   * @param slotMs - the instant, UTC ms
   * @param nowMs - the present, UTC ms
   * @throws {@link TimedJobsError} with code `unknown-schedule`
   */
  why(schedule: string, slotMs: number, nowMs: number): Promise<SlotAnswer>;
}

/**
 * Makes the runner that turns slots into decisions.
 *
 * @param options - schedules and store
 * @throws {@link TimedJobsError} with code `duplicate-schedule`, or `invalid-schedule` when one skips on overlap
 * and there is no `runningCount`
 */
export function createScheduler(options: SchedulerOptions): Scheduler {
  const { slots, logger = silentLogger } = options;
  const decider = createScheduleDecider(options);
  const queue = createDueQueue<ScheduleEntry>();
  let schedules = requireSound(options);
  let loadedTerm: number | undefined;

  /** Everything is asked anew: due at once, cursor unknown. */
  const load = (): void => {
    queue.clear();
    for (const schedule of schedules) queue.add(decider.entryOf(schedule));
  };

  const decideDue = async (context: DecideContext): Promise<SchedulerPass> => {
    if (context.term !== loadedTerm) {
      load();
      loadedTerm = context.term;
    }
    const pass = { counts: { ran: 0, coalesced: 0, skipped: 0, anchored: 0 }, failures: [], isStale: false };
    const due = queue.takeDue(context.nowMs());
    try {
      // Lanes: a schedule with a slow store call holds up its own lane only.
      let next = 0;
      const lane = async (): Promise<void> => {
        while (!pass.isStale && !context.signal.aborted) {
          const entry = due[next++];
          if (entry === undefined) return;
          await decider.decide(entry, context, pass);
        }
      };
      await Promise.all(Array.from({ length: Math.min(LANES, due.length) }, lane));
    } finally {
      // Replaced schedules are not put back: `load` has queued their successors.
      if (loadedTerm === context.term) for (const entry of due) queue.add(entry);
    }
    return pass;
  };

  return {
    name: 'scheduler',
    description: 'Decides the slots that are due',
    schedules: () => schedules,
    replaceSchedules(replacement) {
      schedules = requireSound({ ...options, schedules: replacement });
      loadedTerm = undefined;
      queue.clear();
    },
    nextDueAtMs() {
      const dueAtMs = queue.peek()?.dueAtMs;
      return dueAtMs === Infinity ? undefined : dueAtMs;
    },
    decideDue,
    async run(context) {
      const pass = await decideDue(context);
      return answer(pass, context, queue.peek()?.dueAtMs, logger);
    },
    async forecast(fromMs, toMs, limit = 1_000) {
      const lists = await Promise.all(
        schedules.map(async (schedule) => {
          const cursorMs = await slots.cursor(schedule.name);
          const isPaused = (await options.isPaused?.(schedule.name)) ?? false;
          return forecast(schedule, fromMs, toMs, { cursorMs, isPaused, limit });
        }),
      );
      return lists.flat().toSorted((one, other) => one.firesAtMs - other.firesAtMs);
    },
    async why(name, slotMs, nowMs) {
      const schedule = schedules.find((candidate) => candidate.name === name);
      if (schedule === undefined) {
        throw new TimedJobsError(
          'unknown-schedule',
          `Cannot explain slot of schedule "${name}": no schedule of that name, expected one of ${schedules.length}`,
        );
      }
      const cursorMs = await slots.cursor(name);
      if (cursorMs !== undefined && slotMs <= cursorMs) return findDecision(slots, schedule, slotMs);
      const isPaused = (await options.isPaused?.(name)) ?? false;
      const runningCount = (await options.runningCount?.(name)) ?? 0;
      return explainSlot(schedule, slotMs, { cursorMs, nowMs, isPaused, runningCount });
    },
  };
}

function answer(
  pass: SchedulerPass,
  context: RunContext<unknown>,
  nextDueAtMs: number | undefined,
  logger: Logger,
): RunnerAnswer {
  if (pass.isStale) {
    logger.warn({ term: context.term }, 'scheduler.stale-term');
    return { result: 'worked', details: { ...pass.counts, stale_term: true } };
  }
  if (nextDueAtMs !== undefined && nextDueAtMs !== Infinity) context.wakeAt(nextDueAtMs);
  for (const { schedule, error } of pass.failures) logger.error({ err: error, schedule }, 'scheduler.failed');
  const [first] = pass.failures;
  if (first !== undefined) {
    throw new TimedJobsError(
      'slots-undecided',
      `Cannot decide slots of ${pass.failures.length} schedules, first "${first.schedule}": the store failed, expected an answer`,
      { cause: first.error },
    );
  }
  const decidedCount = Object.values(pass.counts).reduce((sum, count) => sum + count, 0);
  return decidedCount === 0 ? 'idle' : { result: 'worked', details: pass.counts };
}

function requireSound({ schedules, runningCount }: SchedulerOptions): readonly Schedule[] {
  const names = new Set<string>();
  for (const { name, overlap } of schedules) {
    if (names.has(name)) {
      throw new TimedJobsError(
        'duplicate-schedule',
        `Cannot use schedule "${name}": two have that name, expected unique names`,
      );
    }
    if (overlap === 'skip' && runningCount === undefined) {
      throw new TimedJobsError(
        'invalid-schedule',
        `Cannot use schedule "${name}": overlap is "skip" and there is no runningCount, expected a way to see unfinished work`,
      );
    }
    names.add(name);
  }
  return schedules.slice();
}

/** Store calls in flight together: enough for a group commit, few enough to stop soon. */
const LANES = 64;
