/** `conductor simulate`: the real scheduler on a manual clock; reads the config and nothing else. */
import type { Command } from 'commander';

import { type CliOptions, type Context, createContext, withCommonOptions } from '../context.ts';
import { ConductorError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { parseInstant } from '../instant.ts';
import type { CliIo } from '../io.ts';
import { type Play, readSimulation } from '../record/slots.ts';
import { startProgress } from '../terminal/progress.ts';
import { formatTable } from '../terminal/table.ts';
import { formatInstant } from '../terminal/time.ts';
import { simulationView } from '../views/slot-views.ts';
import type { SimulatedScheduleView, SimulationView } from '../views/types.ts';

/** Adds `simulate`. */
export function addSimulateCommand(program: Command, io: CliIo, finish: (exitCode: number) => void): void {
  withCommonOptions(
    program
      .command('simulate')
      .description('play the schedules of the config through a span of time and count what would run')
      .requiredOption('--from <instant>', 'where to begin, ISO 8601, UTC without an offset')
      .requiredOption('--to <instant>', 'where to end, exclusive')
      .option('--down <span>', 'a stretch without any daemon, as FROM/TO')
      .addHelpText(
        'after',
        '\nExamples:\n  conductor simulate --from 2027-03-01 --to 2027-04-01\n  conductor simulate --from 2027-03-01 --to 2027-04-01 --down 2027-03-27T22:00Z/2027-03-28T06:00Z',
      ),
  ).action(async (options: CliOptions) => {
    const { from, to, down, ...common } = options;
    const context = createContext(io, common);
    const fromMs = parseInstant('--from', String(from));
    const toMs = parseInstant('--to', String(to));
    if (toMs < fromMs) {
      throw new ConductorError(
        'usage',
        `Cannot simulate from "${String(from)}" to "${String(to)}": expected two instants in order`,
      );
    }
    const result = await play(context, { fromMs, toMs, outages: parseDown(down) });
    if (result === undefined) finish(EXIT.failed);
    else if (context.json) context.printJson(simulationView, result);
    else context.print(describe(context, result));
  });
}

/** Plays it through; `undefined` when Ctrl-C ended it early. */
async function play(
  context: Context,
  { fromMs, toMs, outages }: Pick<Play, 'fromMs' | 'toMs' | 'outages'>,
): Promise<SimulationView | undefined> {
  const { io } = context;
  const abort = new AbortController();
  const release = io.onSignal((signal) => abort.abort(new Error(`${signal} received`)));
  using progress = startProgress(io, 'simulating');
  let decided = 0;
  try {
    return await readSimulation(context, {
      fromMs,
      toMs,
      outages,
      signal: abort.signal,
      onDecision: (slotMs, slotCount) => {
        decided += slotCount;
        if (decided % DECISIONS_PER_LABEL === 0) {
          progress.label(`simulating ${formatInstant(slotMs)}, ${decided} slots`);
        }
      },
    });
  } catch (error) {
    if (error !== abort.signal.reason) throw error;
    io.stderr.write(`stopped after ${decided} slots\n`);
    return undefined;
  } finally {
    release();
  }
}

function describe(context: Context, result: SimulationView): string {
  const { schedules, slotCount, fromMs, toMs } = result;
  const span = `${formatInstant(fromMs)} to ${formatInstant(toMs)}`;
  if (schedules.length === 0) return 'no job of the config has a schedule\n';
  const right = 'right' as const;
  const table = formatTable(
    schedules,
    [
      { head: 'JOB', cell: (row) => row.schedule },
      { head: 'RAN', cell: (row) => String(row.counts['ran'] ?? 0), align: right },
      { head: 'COALESCED', cell: (row) => String(row.counts['coalesced'] ?? 0), align: right },
      { head: 'SKIPPED', cell: (row) => String(row.counts['skipped'] ?? 0), align: right },
      { head: 'SKIPPED FOR', cell: describeSkipped },
    ],
    context.paint,
  );
  return `${context.paint('dim', `${span}: ${slotCount} slots`)}\n${table}`;
}

function describeSkipped({ skipped }: SimulatedScheduleView): string {
  return Object.entries(skipped)
    .map(([reason, count]) => `${reason} ${count}`)
    .join(', ');
}

function parseDown(value: CliOptions[string]): Play['outages'] {
  if (value === undefined) return [];
  const [from = '', until = ''] = String(value).split('/');
  const outage = { fromMs: parseInstant('--down', from), untilMs: parseInstant('--down', until) };
  if (outage.fromMs < outage.untilMs) return [{ ...outage, reason: 'down' }];
  throw new ConductorError(
    'usage',
    `Cannot use --down "${String(value)}": expected two instants in order, as FROM/TO`,
  );
}

const DECISIONS_PER_LABEL = 1_000;
