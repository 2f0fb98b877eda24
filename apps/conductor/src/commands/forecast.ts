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
import { readForecast } from '../record/slots.ts';
import { fromRecord } from '../remote.ts';
import { describeReason } from '../slot-words.ts';
import { formatTable } from '../terminal/table.ts';
import { formatInstant, formatRelative } from '../terminal/time.ts';
import { formatTimeline } from '../terminal/timeline.ts';
import { forecastView } from '../views/slot-views.ts';
import type { ForecastView } from '../views/types.ts';

/** Adds `forecast`. */
export function addForecastCommand(program: Command, io: CliIo): void {
  withApiOption(
    withCommonOptions(
      program
        .command('forecast')
        .description('the slots to come, as a timeline and a table; times are UTC')
        .option('--hours <n>', 'how far to look', '48')
        .option('--limit <n>', 'rows of the table at most', '20')
        .addHelpText('after', '\nExample:\n  conductor forecast --hours 168'),
    ),
  ).action(async (options: CliOptions) => {
    const { hours, limit, ...common } = options;
    const context = createContext(io, common);
    const span = parseWhole('--hours', hours, MAX_HOURS);
    const mostRows = parseWhole('--limit', limit, MAX_SLOTS);
    const view = await fromRecord(context, {
      here: (place) => readForecast(place, span * HOUR_MS, MAX_SLOTS),
      there: (client) => client.forecast({ hours: span, limit: MAX_SLOTS }),
    });
    if (context.json) context.printJson(forecastView, view);
    else context.print(describe(context, view, mostRows));
  });
}

function describe(context: Context, { fromMs, toMs, slots, cutOff }: ForecastView, mostRows: number): string {
  const { paint, io } = context;
  if (slots.length === 0) return `no slots until ${formatInstant(toMs)}\n`;
  const rows = [...new Set(slots.map((slot) => slot.schedule))].map((job) => ({
    label: job,
    marks: slots
      .filter((slot) => slot.schedule === job)
      .map((slot) => ({ atMs: slot.firesAtMs, isSkipped: slot.decision !== 'ran' })),
  }));
  const timeline = formatTimeline(rows, { fromMs, toMs, columns: io.columns, paint });
  const table = formatTable(
    slots.slice(0, mostRows),
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
  const hidden = slots.length - Math.min(mostRows, slots.length);
  const more = hidden === 0 ? '' : paint('dim', `… and ${hidden} more (--limit)\n`);
  const cut = cutOff.map((job) => paint('warn', `only the first ${MAX_SLOTS} slots of ${job} are shown\n`));
  return `${timeline}\n${table}${more}${cut.join('')}`;
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
