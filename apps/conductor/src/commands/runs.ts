/** `conductor runs …`: what ran. Read from the run directories alone, or from a daemon elsewhere. */
import type { RunStatus } from '@conductor-run/logging';
import type { Command } from 'commander';

import {
  type CliOptions,
  type Context,
  createReadingContext,
  withApiOption,
  withCommonOptions,
} from '../context.ts';
import { formatDuration } from '../duration.ts';
import { ConductorError } from '../errors.ts';
import type { CliIo } from '../io.ts';
import { createRunIndex } from '../record/run-index.ts';
import { readRuns } from '../record/runs.ts';
import { remoteClient } from '../remote.ts';
import { selectRun } from '../run-selector.ts';
import { stripControl, toneOfStatus } from '../terminal/style.ts';
import { formatTable } from '../terminal/table.ts';
import { formatInstant, formatRelative } from '../terminal/time.ts';
import { RUN_STATUSES, runDetailView, runListView, toRunFullView } from '../views/run-views.ts';
import type { RunFullView, RunListView, RunView } from '../views/types.ts';
import { addRunsCancelCommand } from './runs-cancel.ts';
import { addRunsDiffCommand } from './runs-diff.ts';
import { addRunsEventsCommand } from './runs-events.ts';
import { addRunsLogsCommand } from './runs-logs.ts';
import { addRunsPruneCommand } from './runs-prune.ts';

/** Adds `runs` and its subcommands. */
export function addRunsCommand(program: Command, io: CliIo, finish: (exitCode: number) => void): void {
  const runs = program
    .command('runs')
    .description('run directories: what ran, its output and what it changed')
    .addHelpText(
      'after',
      '\nExamples:\n  conductor runs\n  conductor runs show last\n  conductor runs logs last -f',
    );
  addList(runs, io);
  addShow(runs, io);
  addRunsLogsCommand(runs, io);
  addRunsDiffCommand(runs, io);
  addRunsEventsCommand(runs, io);
  addRunsCancelCommand(runs, io, finish);
  addRunsPruneCommand(runs, io);
}

function addList(runs: Command, io: CliIo): void {
  withApiOption(
    withCommonOptions(
      runs
        .command('list', { isDefault: true })
        .description('newest first')
        .option('--job <job>', 'only runs of this job')
        .option('--status <status>', `only ${RUN_STATUSES.join(', ')}`)
        .option('--limit <n>', 'how many at most', '20')
        .option('--cursor <cursor>', 'where to begin: nextCursor of the page before, in --json')
        .addHelpText('after', '\nExample:\n  conductor runs list --status failed'),
    ),
  ).action(async (options: CliOptions) => {
    const { job, status, limit, cursor, ...common } = options;
    const context = createReadingContext(io, common);
    const wanted = parseStatus(status);
    const filter = {
      ...(wanted && { status: wanted }),
      ...(typeof job === 'string' && { job }),
    };
    const client = remoteClient(context);
    const index = createRunIndex(context.config.settings.runsDir, io.clock);
    const view = await collectPages(
      parseLimit(limit),
      typeof cursor === 'string' ? cursor : undefined,
      (page) =>
        client === undefined
          ? readRuns(index, { ...filter, ...page })
          : client.listRuns({ ...filter, ...page }),
    );
    if (context.json) {
      context.printJson(runListView, view);
      return;
    }
    printRuns(context, view.runs);
    for (const { taskId, runId, message } of view.unreadable) {
      context.warn(`${context.paint('warn', 'unreadable')} ${taskId}/${runId}: ${message}\n`);
    }
  });
}

/** A page is bounded, and may be short when few of the runs it looked at were wanted. */
async function collectPages(
  limit: number,
  from: string | undefined,
  read: (page: { readonly limit: number; readonly cursor?: string }) => Promise<RunListView>,
): Promise<RunListView> {
  const runs: RunView[] = [];
  const unreadable: RunListView['unreadable'][number][] = [];
  let cursor = from ?? null;
  do {
    const most = Math.min(PAGE_ROWS, limit - runs.length);
    const page = await read({ limit: most, ...(cursor !== null && { cursor }) });
    runs.push(...page.runs);
    unreadable.push(...page.unreadable);
    cursor = page.nextCursor;
  } while (cursor !== null && runs.length < limit);
  return { runs, unreadable, nextCursor: cursor };
}

function addShow(runs: Command, io: CliIo): void {
  withApiOption(
    withCommonOptions(
      runs
        .command('show <run>')
        .description(
          'one run: how it went and where its files are; RUN is last, an id or a part of one, or a job',
        )
        .addHelpText('after', '\nExample:\n  conductor runs show last'),
    ),
  ).action(async (selector: string, options: CliOptions) => {
    const context = createReadingContext(io, options);
    const client = remoteClient(context);
    const view =
      client === undefined
        ? { run: toRunFullView(await selectRun(context.config.settings.runsDir, selector, io.clock)) }
        : await client.showRun(selector);
    if (context.json) context.printJson(runDetailView, view);
    else context.print(describeRun(context, view.run));
  });
}

function describeRun(context: Context, run: RunFullView): string {
  const rows: readonly (readonly [string, string])[] = [
    ['run', run.runId],
    ['task', `${run.taskId}, step ${stripControl(run.stepName)}, attempt ${run.attempt}`],
    ['status', context.paint(toneOfStatus(run.status), run.status)],
    ['summary', stripControl(run.summary ?? '-')],
    ['exit', exitOf(run)],
    ['command', run.command.length === 0 ? '-' : stripControl(run.command.join(' '))],
    ['directory', run.worktreePath ?? '-'],
    ['started', formatInstant(run.startedAtMs)],
    ['duration', durationOf(run, context.io.clock.nowMs())],
    ['output', `${run.stdoutBytes} bytes of stdout, ${run.stderrBytes} of stderr`],
    ['checkpoints', String(run.checkpointSeq)],
    ['files', run.runDir],
  ];
  const width = Math.max(...rows.map(([label]) => label.length));
  return rows.map(([label, value]) => `${context.paint('dim', label.padEnd(width))}  ${value}\n`).join('');
}

function printRuns(context: Context, rows: readonly RunView[]): void {
  if (rows.length === 0) {
    context.print(`no runs in ${context.apiUrl ?? context.config.settings.runsDir}\n`);
    return;
  }
  const nowMs = context.io.clock.nowMs();
  context.print(
    formatTable(
      rows,
      [
        { head: 'RUN', cell: (run) => run.runId },
        { head: 'JOB', cell: (run) => run.job },
        { head: 'STEP', cell: (run) => stripControl(run.stepName) },
        { head: 'STATUS', cell: (run) => context.paint(toneOfStatus(run.status), run.status) },
        { head: 'EXIT', cell: exitOf },
        { head: 'STARTED', cell: (run) => formatRelative(run.startedAtMs ?? run.createdAtMs, nowMs) },
        { head: 'TOOK', cell: (run) => durationOf(run, nowMs), align: 'right' },
      ],
      context.paint,
    ),
  );
}

function exitOf({ signal, exitCode }: RunView): string {
  return signal ?? (exitCode === null ? '-' : String(exitCode));
}

/** A run that ended without a time of its own was lost: nobody saw how long it took. */
function durationOf({ startedAtMs, finishedAtMs, status }: RunView, nowMs: number): string {
  const isLive = status === 'running' || status === 'prepared';
  const endMs = finishedAtMs ?? (isLive ? nowMs : null);
  return startedAtMs === null || endMs === null ? '-' : formatDuration(Math.max(0, endMs - startedAtMs));
}

function parseStatus(value: CliOptions[string]): RunStatus | undefined {
  if (value === undefined) return undefined;
  const status = RUN_STATUSES.find((known) => known === value);
  if (status !== undefined) return status;
  throw new ConductorError(
    'usage',
    `Cannot list runs with status "${String(value)}": expected one of ${RUN_STATUSES.join(', ')}`,
  );
}

/** Reads `--limit`. */
function parseLimit(value: CliOptions[string]): number {
  const limit = Number(value);
  if (Number.isSafeInteger(limit) && limit >= 1) return limit;
  throw new ConductorError(
    'usage',
    `Cannot use --limit "${String(value)}": expected a whole number of at least 1`,
  );
}

const PAGE_ROWS = 1_000;
