/** `conductor jobs …`: the job store, read and steered. */
import type { Command } from 'commander';

import {
  type CliOptions,
  type Context,
  createReadingContext,
  withApiOption,
  withCommonOptions,
} from '../context.ts';
import { ConductorError } from '../errors.ts';
import type { CliIo } from '../io.ts';
import { keyOption } from '../key-option.ts';
import { readAttempts, readJobs, requireJob } from '../record/jobs.ts';
import { fromRecord } from '../remote.ts';
import { stripControl, toneOfStatus } from '../terminal/style.ts';
import { formatTable } from '../terminal/table.ts';
import { formatInstant, formatRelative } from '../terminal/time.ts';
import { attemptListView, jobDetailView, jobListView, JOB_STATUSES, toJobView } from '../views/job-views.ts';
import type { AttemptView, JobListView, JobView } from '../views/types.ts';
import { addSteeringCommands } from './jobs-steer.ts';

/** Adds `jobs` and its subcommands. */
export function addJobsCommand(program: Command, io: CliIo, finish: (exitCode: number) => void): void {
  const jobs = program
    .command('jobs')
    .description('jobs, their watermarks, attempts and leases')
    .addHelpText(
      'after',
      '\nExamples:\n  conductor jobs\n  conductor jobs show nightly-tests\n  conductor jobs pause nightly-tests',
    );
  addList(jobs, io);
  addShow(jobs, io);
  addAttempts(jobs, io);
  addSteeringCommands(jobs, io, finish);
}

function addList(jobs: Command, io: CliIo): void {
  withApiOption(
    withCommonOptions(
      jobs
        .command('list', { isDefault: true })
        .description('every job with its state; configured ones too that never ran')
        .option('--status <status>', `only ${JOB_STATUSES.join(', ')}`)
        .option('--kind <job>', 'only this job')
        .addHelpText('after', '\nExample:\n  conductor jobs list --status error'),
    ),
  ).action(async (options: CliOptions) => {
    const { status, kind, ...common } = options;
    const context = createReadingContext(io, common);
    const wanted = parseStatus(status);
    const filter = {
      ...(wanted && { status: wanted }),
      ...(typeof kind === 'string' && { job: kind }),
    };
    const jobs = await fromRecord(context, {
      here: (place) => allPages((page) => readJobs(place, { ...filter, ...page })),
      there: (client) => allPages((page) => client.listJobs({ ...filter, ...page })),
    });
    if (context.json) {
      context.printJson(jobListView, { jobs, nextCursor: null });
      return;
    }
    // What is configured elsewhere is not known here.
    const hasConfig = context.apiUrl === undefined && wanted === undefined && kind === undefined;
    printJobs(context, jobs, hasConfig);
  });
}

/** A page is never longer than this; a listing is as many pages as it takes. */
async function allPages(
  read: (page: { readonly limit: number; readonly cursor?: string }) => Promise<JobListView>,
): Promise<readonly JobView[]> {
  const jobs: JobView[] = [];
  let cursor: string | null = null;
  do {
    const page: JobListView = await read({ limit: PAGE_ROWS, ...(cursor !== null && { cursor }) });
    jobs.push(...page.jobs);
    cursor = page.nextCursor;
  } while (cursor !== null);
  return jobs;
}

function addShow(jobs: Command, io: CliIo): void {
  withApiOption(
    withCommonOptions(
      jobs
        .command('show <job>')
        .description('one job in full')
        .addOption(keyOption())
        .addHelpText('after', '\nExample:\n  conductor jobs show nightly-tests'),
    ),
  ).action(async (name: string, options: CliOptions) => {
    const { key, ...common } = options;
    const context = createReadingContext(io, common);
    const view = await fromRecord(context, {
      here: async (place) => ({ job: toJobView(await requireJob(place, name, String(key))) }),
      there: (client) => client.showJob(name, { key: String(key) }),
    });
    if (context.json) context.printJson(jobDetailView, view);
    else context.print(describeJob(context, view.job));
  });
}

function addAttempts(jobs: Command, io: CliIo): void {
  withApiOption(
    withCommonOptions(
      jobs
        .command('attempts <job>')
        .description('every claim of a job and what became of it')
        .addOption(keyOption())
        .option('--limit <n>', 'how many at most, 1 to 1000', '1000')
        .option('--cursor <cursor>', 'where to begin: nextCursor of the page before, in --json')
        .addHelpText('after', '\nExample:\n  conductor jobs attempts nightly-tests --json'),
    ),
  ).action(async (name: string, options: CliOptions) => {
    const { key, limit, cursor, ...common } = options;
    const context = createReadingContext(io, common);
    const page = {
      limit: parseLimit(limit),
      ...(typeof cursor === 'string' && { cursor }),
    };
    const view = await fromRecord(context, {
      here: (place) => readAttempts(place, name, String(key), page),
      there: (client) => client.listAttempts(name, { key: String(key), ...page }),
    });
    if (context.json) context.printJson(attemptListView, view);
    else context.print(formatAttempts(context, view.attempts));
  });
}

function printJobs(context: Context, jobs: readonly JobView[], withConfigured: boolean): void {
  const { paint } = context;
  const nowMs = context.io.clock.nowMs();
  if (jobs.length > 0) {
    context.print(
      formatTable(
        jobs,
        [
          { head: 'JOB', cell: (job) => stripControl(job.job) },
          { head: 'KEY', cell: (job) => stripControl(job.key) },
          { head: 'STATUS', cell: (job) => paint(toneOfStatus(job.status), job.status) },
          { head: 'WATERMARK', cell: (job) => formatWatermark(job), align: 'right' },
          { head: 'ATTEMPT', cell: (job) => String(job.attempt), align: 'right' },
          { head: 'NEXT', cell: (job) => nextOf(job, nowMs) },
          { head: 'LAST ERROR', cell: (job) => stripControl(job.lastError ?? '').slice(0, 60) },
        ],
        paint,
      ),
    );
  }
  const ran = new Set(jobs.map((job) => job.job));
  const idle = withConfigured ? [...context.config.jobs.keys()].filter((name) => !ran.has(name)) : [];
  if (idle.length > 0) context.print(`${paint('dim', `never ran: ${idle.join(', ')}`)}\n`);
  if (jobs.length === 0 && idle.length === 0) context.print('no jobs\n');
}

/** `success/input`, or the one number when they agree. */
function formatWatermark(job: JobView): string {
  const { isDirty, lastSuccessWatermark, inputWatermark } = job;
  return isDirty
    ? `${watermarkWords(lastSuccessWatermark)}/${watermarkWords(inputWatermark)}`
    : watermarkWords(inputWatermark);
}

/** Watermarks of slots and of watched files are instants; nothing that is counted gets as far. */
function watermarkWords(watermark: number): string {
  return watermark >= FIRST_INSTANT ? formatInstant(watermark) : String(watermark);
}

function nextOf(job: JobView, nowMs: number): string {
  switch (job.status) {
    case 'running':
      return `running on ${job.node ?? job.workerId ?? '-'}`;
    case 'pending':
      return job.dueAtMs <= nowMs ? 'due' : formatRelative(job.dueAtMs, nowMs);
    case 'error':
      return job.isExhausted ? 'no retry left' : `retry ${formatRelative(job.retryAtMs, nowMs)}`;
    case 'done':
    case 'cancelled':
      return '-';
  }
}

function describeJob(context: Context, job: JobView): string {
  const nowMs = context.io.clock.nowMs();
  const rows: readonly (readonly [string, string])[] = [
    ['job', stripControl(`${job.job} (${job.key})`)],
    ['status', context.paint(toneOfStatus(job.status), job.status)],
    [
      'watermark',
      `input ${watermarkWords(job.inputWatermark)}, last success ${watermarkWords(job.lastSuccessWatermark)}`,
    ],
    ['attempts', `${job.attempt}, retries left ${job.retriesLeft} of ${job.maxRetries}`],
    ['next', nextOf(job, nowMs)],
    ['owner', job.workerId === null ? '-' : `${job.workerId}, token ${job.token ?? '-'}`],
    ['lease until', formatInstant(job.leaseUntilMs)],
    ['started', formatInstant(job.startedAtMs)],
    ['finished', formatInstant(job.finishedAtMs)],
    ['run directory', job.runDir ?? '-'],
    ['last error', stripControl(job.lastError ?? '-')],
  ];
  const width = Math.max(...rows.map(([label]) => label.length));
  return rows.map(([label, value]) => `${context.paint('dim', label.padEnd(width))}  ${value}\n`).join('');
}

function formatAttempts(context: Context, attempts: readonly AttemptView[]): string {
  const nowMs = context.io.clock.nowMs();
  return formatTable(
    attempts,
    [
      { head: 'ATTEMPT', cell: (row) => String(row.attempt), align: 'right' },
      { head: 'TOKEN', cell: (row) => String(row.token), align: 'right' },
      { head: 'OUTCOME', cell: (row) => row.outcome },
      { head: 'NODE', cell: (row) => row.node ?? row.workerId },
      { head: 'STARTED', cell: (row) => formatRelative(row.startedAtMs, nowMs) },
      { head: 'FILES', cell: (row) => row.runDir ?? '-' },
      { head: 'ERROR', cell: (row) => stripControl(row.error ?? '').slice(0, 60) },
    ],
    context.paint,
  );
}

function parseStatus(value: CliOptions[string]): JobView['status'] | undefined {
  if (value === undefined) return undefined;
  const status = JOB_STATUSES.find((known) => known === value);
  if (status !== undefined) return status;
  throw new ConductorError(
    'usage',
    `Cannot list jobs with status "${String(value)}": expected one of ${JOB_STATUSES.join(', ')}`,
  );
}

function parseLimit(value: CliOptions[string]): number {
  const limit = Number(value);
  if (Number.isSafeInteger(limit) && limit >= 1 && limit <= PAGE_ROWS) return limit;
  throw new ConductorError(
    'usage',
    `Cannot use --limit "${String(value)}": expected a whole number from 1 to ${PAGE_ROWS}`,
  );
}

/** September 2001, in UTC milliseconds. */
const FIRST_INSTANT = 1_000_000_000_000;
const PAGE_ROWS = 1_000;
