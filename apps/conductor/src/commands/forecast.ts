/** `conductor forecast`: the slots to come, as a table and as a timeline. Asks the scheduler; works without a daemon. */
import type { ForecastSlot } from '@conductor-run/timed-jobs';
import type { Command } from 'commander';

import { type CliOptions, type Context, createContext, withCommonOptions } from '../context.ts';
import { createJobScheduler } from '../daemon/job-scheduler.ts';
import { ConductorError } from '../errors.ts';
import type { CliIo } from '../io.ts';
import { describeReason } from '../slot-words.ts';
import { formatTable } from '../terminal/table.ts';
import { formatInstant, formatRelative } from '../terminal/time.ts';
import { formatTimeline } from '../terminal/timeline.ts';
import { withStore } from '../wire.ts';

/** Adds `forecast`. */
export function addForecastCommand(program: Command, io: CliIo): void {
  withCommonOptions(
    program
      .command('forecast')
      .description('the slots to come, as a timeline and a table; times are UTC')
      .option('--hours <n>', 'how far to look', '48')
      .option('--limit <n>', 'rows of the table at most', '20')
      .addHelpText('after', '\nExample:\n  conductor forecast --hours 168'),
  ).action(async (options: CliOptions) => {
    const { hours, limit, ...common } = options;
    const context = createContext(io, common);
    const spanMs = parseWhole('--hours', hours, MAX_HOURS) * HOUR_MS;
    const mostRows = parseWhole('--limit', limit, MAX_SLOTS);
    const fromMs = io.clock.nowMs();
    const toMs = fromMs + spanMs;
    const slots = await withStore(context, (store) =>
      createJobScheduler({ jobs: context.config.jobs, store }).forecast(fromMs, toMs, MAX_SLOTS),
    );
    // The scheduler cuts off per schedule: whoever reads the list must know that it is not all.
    const cutOff = [...countByJob(slots)].flatMap(([job, count]) => (count >= MAX_SLOTS ? [job] : []));
    if (context.json) context.printJson({ fromMs, toMs, slots, cutOff });
    else context.print(describe(context, slots, { fromMs, toMs, mostRows, cutOff }));
  });
}

interface Span {
  readonly fromMs: number;
  readonly toMs: number;
  readonly mostRows: number;
  /** Jobs with more slots than are listed. */
  readonly cutOff: readonly string[];
}

function describe(context: Context, slots: readonly ForecastSlot[], span: Span): string {
  const { paint, io } = context;
  const { fromMs, toMs, mostRows, cutOff } = span;
  if (slots.length === 0) return `no slots until ${formatInstant(toMs)}\n`;
  const rows = [...countByJob(slots).keys()].map((job) => ({
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

function countByJob(slots: readonly ForecastSlot[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { schedule } of slots) counts.set(schedule, (counts.get(schedule) ?? 0) + 1);
  return counts;
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
