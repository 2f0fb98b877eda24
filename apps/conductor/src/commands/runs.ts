/** `conductor runs …`: what ran, read from the run directories alone; no daemon and no store is needed. */
import { isTerminalStatus, listRuns, openRun, RUN_STATUSES, type RunSummary } from '@conductor-run/logging';
import type { Command } from 'commander';

import { type CliOptions, type Context, createContext, withCommonOptions } from '../context.ts';
import { formatDuration } from '../duration.ts';
import { ConductorError } from '../errors.ts';
import type { CliIo } from '../io.ts';
import { jobOfTask, selectRun } from '../run-selector.ts';
import { stripControl, toneOfStatus } from '../terminal/style.ts';
import { formatTable } from '../terminal/table.ts';
import { formatInstant, formatRelative } from '../terminal/time.ts';
import { addRunsDiffCommand } from './runs-diff.ts';
import { addRunsLogsCommand } from './runs-logs.ts';
import { addRunsPruneCommand } from './runs-prune.ts';

/** Adds `runs` and its subcommands. */
export function addRunsCommand(program: Command, io: CliIo): void {
  const runs = program
    .command('runs')
    .description('run directories: what ran, its output and what it changed');
  addList(runs, io);
  addShow(runs, io);
  addRunsLogsCommand(runs, io);
  addRunsDiffCommand(runs, io);
  addEvents(runs, io);
  addRunsPruneCommand(runs, io);
}

function addList(runs: Command, io: CliIo): void {
  withCommonOptions(
    runs
      .command('list', { isDefault: true })
      .description('newest first')
      .option('--job <job>', 'only runs of this job')
      .option('--status <status>', `only ${RUN_STATUSES.join(', ')}`)
      .option('--limit <n>', 'how many at most', '20')
      .addHelpText('after', '\nExample:\n  conductor runs list --status failed'),
  ).action(async (options: CliOptions) => {
    const { job, status, limit, ...common } = options;
    const context = createContext(io, common);
    const wanted = parseStatus(status);
    const most = parseLimit(limit);
    const listed = await listRuns(context.config.settings.runsDir, {
      ...(wanted && { status: wanted }),
      ...(job === undefined && { limit: most }),
    });
    const rows = listed.runs
      .filter((run) => job === undefined || jobOfTask(run.paths.taskId) === job)
      .slice(0, most);
    if (context.json) {
      context.printJson({ runs: rows.map(toJson) });
      return;
    }
    printRuns(context, rows);
    for (const { taskId, runId, error } of listed.unreadable) {
      io.stderr.write(`${context.paint('warn', 'unreadable')} ${taskId}/${runId}: ${error.message}\n`);
    }
  });
}

function addShow(runs: Command, io: CliIo): void {
  withCommonOptions(
    runs
      .command('show <run>')
      .description(
        'one run: how it went and where its files are; RUN is last, an id or a part of one, or a job',
      )
      .addHelpText('after', '\nExample:\n  conductor runs show last'),
  ).action(async (selector: string, options: CliOptions) => {
    const context = createContext(io, options);
    const run = await selectRun(context.config.settings.runsDir, selector);
    const { meta, state, paths } = run;
    if (context.json) {
      context.printJson({ run: toJson(run), meta, state });
      return;
    }
    const command = meta.command === undefined ? '-' : meta.command.join(' ');
    const rows: readonly (readonly [string, string])[] = [
      ['run', paths.runId],
      ['task', `${paths.taskId}, step ${stripControl(meta.stepName)}, attempt ${meta.attempt}`],
      ['status', context.paint(toneOfStatus(state.status), state.status)],
      ['summary', stripControl(state.summary ?? '-')],
      ['exit', exitOf(run)],
      ['command', stripControl(command)],
      ['directory', meta.worktreePath ?? '-'],
      ['started', formatInstant(state.startedAt)],
      ['duration', durationOf(run, io.clock.nowMs())],
      ['output', `${state.stdoutBytes} bytes of stdout, ${state.stderrBytes} of stderr`],
      ['checkpoints', String(state.checkpointSeq)],
      ['files', paths.runDir],
    ];
    const width = Math.max(...rows.map(([label]) => label.length));
    context.print(
      rows.map(([label, value]) => `${context.paint('dim', label.padEnd(width))}  ${value}\n`).join(''),
    );
  });
}

function addEvents(runs: Command, io: CliIo): void {
  withCommonOptions(
    runs
      .command('events <run>')
      .description('the lifecycle events of a run')
      .addHelpText('after', '\nExample:\n  conductor runs events last --json'),
  ).action(async (selector: string, options: CliOptions) => {
    const context = createContext(io, options);
    const run = await selectRun(context.config.settings.runsDir, selector);
    const events = await openRun(run.paths, { clock: io.clock }).events();
    if (context.json) {
      context.printJson({ runId: run.paths.runId, events });
      return;
    }
    context.print(
      formatTable(
        events,
        [
          { head: 'SEQ', cell: (event) => String(event.seq), align: 'right' },
          { head: 'AT', cell: (event) => formatInstant(event.createdAt) },
          { head: 'EVENT', cell: (event) => stripControl(event.type) },
          { head: 'MESSAGE', cell: (event) => stripControl(event.message) },
        ],
        context.paint,
      ),
    );
  });
}

function printRuns(context: Context, rows: readonly RunSummary[]): void {
  if (rows.length === 0) {
    context.print(`no runs in ${context.config.settings.runsDir}\n`);
    return;
  }
  const nowMs = context.io.clock.nowMs();
  context.print(
    formatTable(
      rows,
      [
        { head: 'RUN', cell: (run) => run.paths.runId },
        { head: 'JOB', cell: (run) => jobOfTask(run.paths.taskId) },
        { head: 'STEP', cell: (run) => stripControl(run.meta.stepName) },
        { head: 'STATUS', cell: (run) => context.paint(toneOfStatus(run.state.status), run.state.status) },
        { head: 'EXIT', cell: exitOf },
        { head: 'STARTED', cell: (run) => formatRelative(run.state.startedAt ?? run.meta.createdAt, nowMs) },
        { head: 'TOOK', cell: (run) => durationOf(run, nowMs), align: 'right' },
      ],
      context.paint,
    ),
  );
}

function toJson(run: RunSummary): unknown {
  const { meta, state, paths } = run;
  return {
    runId: paths.runId,
    taskId: paths.taskId,
    job: jobOfTask(paths.taskId),
    stepName: meta.stepName,
    attempt: meta.attempt,
    status: state.status,
    exitCode: state.exitCode ?? null,
    signal: state.signal ?? null,
    startedAt: state.startedAt ?? null,
    finishedAt: state.finishedAt ?? null,
    runDir: paths.runDir,
  };
}

function exitOf({ state }: RunSummary): string {
  return state.signal ?? (state.exitCode === undefined ? '-' : String(state.exitCode));
}

function durationOf({ state }: RunSummary, nowMs: number): string {
  if (state.startedAt === undefined) return '-';
  const endMs = state.finishedAt ?? (isTerminalStatus(state.status) ? state.updatedAt : nowMs);
  return formatDuration(Math.max(0, endMs - state.startedAt));
}

function parseStatus(value: CliOptions[string]): (typeof RUN_STATUSES)[number] | undefined {
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
