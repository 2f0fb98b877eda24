/** `conductor forecast`: the slots to come, as a table and as a timeline. Asks the scheduler; works without a daemon. */
import type { Command } from 'commander';

import {
  type CliOptions,
  type Context,
  createContext,
  withApiOption,
  withCommonOptions,
} from '../context.ts';
import { ConductorError } from '../errors.ts';
import type { CliIo } from '../io.ts';
import { requireDefinition } from '../job-lookup.ts';
import { readForecast } from '../record/slots.ts';
import { fromRecord } from '../remote.ts';
import { describeReason } from '../slot-words.ts';
import { formatTable } from '../terminal/table.ts';
import { formatInstant, formatRelative } from '../terminal/time.ts';
import { formatTimeline, TIMELINE_LEGEND } from '../terminal/timeline.ts';
import { forecastView } from '../views/slot-views.ts';
import type { ForecastSlotView, ForecastView } from '../views/types.ts';

/** Adds `forecast`. */
export function addForecastCommand(program: Command, io: CliIo): void {
  withApiOption(
    withCommonOptions(
      program
        .command('forecast')
        .description('the slots to come, as a timeline and a table; times are UTC')
        .option('--hours <n>', 'how far to look', '48')
        .option('--job <job>', 'only this job')
        .option('--limit <n>', 'rows of the table at most; each job has its first', '20')
        .addHelpText(
          'after',
          '\nExamples:\n  conductor forecast --hours 168\n  conductor forecast --job nightly-tests',
        ),
    ),
  ).action(async (options: CliOptions) => {
    const { hours, limit, job, ...common } = options;
    const context = createContext(io, common);
    const span = parseWhole('--hours', hours, MAX_HOURS);
    const mostRows = parseWhole('--limit', limit, MAX_SLOTS);
    if (typeof job === 'string' && context.apiUrl === undefined) requireDefinition(context.config.jobs, job);
    const all = await fromRecord(context, {
      here: (place) => readForecast(place, span * HOUR_MS, MAX_SLOTS),
      there: (client) => client.forecast({ hours: span, limit: MAX_SLOTS }),
    });
    const view = typeof job === 'string' ? onlyOf(all, job) : all;
    if (context.json) context.printJson(forecastView, view);
    else context.print(describe(context, view, mostRows));
  });
}

function describe(context: Context, { fromMs, toMs, slots, cutOff }: ForecastView, mostRows: number): string {
  const { paint, io } = context;
  if (slots.length === 0) return `no slots until ${formatInstant(toMs)}\n`;
  const jobs = [...new Set(slots.map((slot) => slot.schedule))];
  const slotsOf = (job: string): readonly ForecastSlotView[] => slots.filter((slot) => slot.schedule === job);
  const rows = jobs.map((job) => ({
    label: job,
    marks: slotsOf(job).map((slot) => ({ atMs: slot.firesAtMs, isSkipped: slot.decision !== 'ran' })),
    ...(cutOff.includes(job) && { knownUntilMs: slotsOf(job).at(-1)?.firesAtMs ?? fromMs }),
  }));
  const shown = firstOfEach(slots, mostRows);
  const timeline = formatTimeline(rows, { fromMs, toMs, columns: io.columns, paint });
  const table = formatTable(
    shown,
    [
      { head: 'FIRES', cell: (slot) => formatInstant(slot.firesAtMs) },
      { head: 'WHEN', cell: (slot) => formatRelative(slot.firesAtMs, fromMs) },
      { head: 'JOB', cell: (slot) => slot.schedule },
      {
        head: 'WILL BE',
        cell: (slot) => paint(slot.decision === 'ran' ? 'good' : 'warn', slot.decision),
      },
      { head: 'WHY', cell: (slot) => describeReason(slot.decision, slot.reason) },
    ],
    paint,
  );
  const hidden = jobs.flatMap((job) => {
    const count = slotsOf(job).length - shown.filter((slot) => slot.schedule === job).length;
    return count === 0 ? [] : `${count}${cutOff.includes(job) ? ' or more' : ''} of ${job}`;
  });
  const more = hidden.length === 0 ? '' : paint('dim', `… and ${hidden.join(', ')} (--limit, --job)\n`);
  return `${timeline}${paint('dim', TIMELINE_LEGEND)}\n\n${table}${more}`;
}

/** The slots of one job. */
function onlyOf(view: ForecastView, job: string): ForecastView {
  return {
    ...view,
    slots: view.slots.filter((slot) => slot.schedule === job),
    cutOff: view.cutOff.filter((each) => each === job),
  };
}

/** The first slot of each job and then the soonest, in the order of time: a job that runs often hides no other. */
function firstOfEach(slots: readonly ForecastSlotView[], most: number): readonly ForecastSlotView[] {
  const seen = new Set<string>();
  const firsts = slots.filter(({ schedule }) => !seen.has(schedule) && seen.add(schedule));
  const chosen = new Set([...firsts, ...slots.filter((slot) => !firsts.includes(slot))].slice(0, most));
  return slots.filter((slot) => chosen.has(slot));
}

function parseWhole(option: string, value: CliOptions[string], most: number): number {
  const count = Number(value);
  if (Number.isSafeInteger(count) && count >= 1 && count <= most) return count;
  throw new ConductorError(
    'usage',
    `Cannot use ${option} "${String(value)}": expected a whole number from 1 to ${most}`,
  );
}

const HOUR_MS = 3_600_000;
const MAX_HOURS = 24 * 366;
const MAX_SLOTS = 10_000;
