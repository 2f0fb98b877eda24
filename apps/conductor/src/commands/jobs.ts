/** `conductor jobs …`: the job store, read and steered. */
import type { Attempt, Job, JobStore } from '@conductor-run/job-store';
import type { Command } from 'commander';

import { type CliOptions, type Context, createContext, withCommonOptions } from '../context.ts';
import { ConductorError } from '../errors.ts';
import type { CliIo } from '../io.ts';
import { suggest } from '../suggest.ts';
import { stripControl, toneOfStatus } from '../terminal/style.ts';
import { formatTable } from '../terminal/table.ts';
import { formatInstant, formatRelative } from '../terminal/time.ts';
import { DEFAULT_KEY, withStore } from '../wire.ts';

/** Adds `jobs` and its subcommands. */
export function addJobsCommand(program: Command, io: CliIo): void {
  const jobs = program.command('jobs').description('jobs, their watermarks, attempts and leases');
  addList(jobs, io);
  addShow(jobs, io);
  addAttempts(jobs, io);
  addPause(jobs, io);
  for (const verb of ['cancel', 'retry', 'remove'] as const) addSteer(jobs, io, verb);
}

function addList(jobs: Command, io: CliIo): void {
  withCommonOptions(
    jobs
      .command('list', { isDefault: true })
      .description('every job with its state; configured ones too that never ran')
      .option('--status <status>', 'only pending, running, done, error or cancelled')
      .option('--kind <job>', 'only this job')
      .addHelpText('after', '\nExample:\n  conductor jobs list --status error'),
  ).action(async (options: CliOptions) => {
    const { status, kind, ...common } = options;
    const context = createContext(io, common);
    const wanted = parseStatus(status);
    const rows = await withStore(context, (store) =>
      allJobs(store, { ...(wanted && { status: wanted }), ...(typeof kind === 'string' && { kind }) }),
    );
    if (context.json) {
      context.printJson({ jobs: rows });
      return;
    }
    printJobs(context, rows, wanted === undefined && kind === undefined);
  });
}

function addShow(jobs: Command, io: CliIo): void {
  withCommonOptions(
    jobs
      .command('show <job>')
      .description('one job in full')
      .option('--key <key>', 'which one of its kind', DEFAULT_KEY)
      .addHelpText('after', '\nExample:\n  conductor jobs show nightly-tests'),
  ).action(async (name: string, options: CliOptions) => {
    const { key, ...common } = options;
    const context = createContext(io, common);
    const job = await withStore(context, (store) => requireJob(context, store, name, String(key)));
    if (context.json) context.printJson({ job });
    else context.print(describeJob(context, job));
  });
}

function addAttempts(jobs: Command, io: CliIo): void {
  withCommonOptions(
    jobs
      .command('attempts <job>')
      .description('every claim of a job and what became of it')
      .option('--key <key>', 'which one of its kind', DEFAULT_KEY)
      .addHelpText('after', '\nExample:\n  conductor jobs attempts nightly-tests --json'),
  ).action(async (name: string, options: CliOptions) => {
    const { key, ...common } = options;
    const context = createContext(io, common);
    const attempts = await withStore(context, async (store) => {
      await requireJob(context, store, name, String(key));
      return store.attempts(name, String(key));
    });
    if (context.json) context.printJson({ attempts });
    else context.print(formatAttempts(context, attempts));
  });
}

function addPause(jobs: Command, io: CliIo): void {
  for (const verb of ['pause', 'resume'] as const) {
    withCommonOptions(
      jobs
        .command(`${verb} [job]`)
        .description(
          verb === 'pause' ? 'start nothing new, of one job or at all' : 'start again, of one job or at all',
        )
        .addHelpText('after', `\nExample:\n  conductor jobs ${verb} nightly-tests`),
    ).action(async (name: string | undefined, options: CliOptions) => {
      const context = createContext(io, options);
      await withStore(context, (store) => store[verb](name));
      if (context.json) context.printJson({ job: name ?? null, isPaused: verb === 'pause' });
      else context.print(`${name ?? 'everything'} ${verb === 'pause' ? 'paused' : 'resumed'}\n`);
    });
  }
}

function addSteer(jobs: Command, io: CliIo, verb: 'cancel' | 'retry' | 'remove'): void {
  const descriptions = {
    cancel: 'call a waiting job off, or ask the owner of a running one to stop',
    retry: 'make a failed or exhausted job due again, with its retries reset',
    remove: 'forget a job that is not running, with its attempts',
  };
  withCommonOptions(
    jobs
      .command(`${verb} <job>`)
      .description(descriptions[verb])
      .option('--key <key>', 'which one of its kind', DEFAULT_KEY)
      .addHelpText('after', `\nExample:\n  conductor jobs ${verb} nightly-tests`),
  ).action(async (name: string, options: CliOptions) => {
    const { key, ...common } = options;
    const context = createContext(io, common);
    const outcome = await withStore(context, async (store) => {
      await requireJob(context, store, name, String(key));
      return store[verb](name, String(key));
    });
    if (context.json) context.printJson({ job: name, key, outcome });
    else context.print(`${name}: ${outcome.replaceAll('_', ' ')}\n`);
  });
}

/** All pages of a listing. */
async function allJobs(store: JobStore, filter: { status?: Job['status']; kind?: string }): Promise<Job[]> {
  const jobs: Job[] = [];
  let cursor: string | undefined;
  do {
    const page = await store.list({ ...filter, limit: 1_000, ...(cursor !== undefined && { cursor }) });
    jobs.push(...page.jobs);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return jobs;
}

async function requireJob(context: Context, store: JobStore, name: string, key: string): Promise<Job> {
  const job = await store.get(name, key);
  if (job !== undefined) return job;
  const known = [...context.config.jobs.keys(), ...(await store.stats()).kinds.map((kind) => kind.kind)];
  if (known.includes(name)) {
    throw new ConductorError(
      'job-unknown',
      `Cannot find job "${name}" with key "${key}": it never ran, expected one that was enqueued or run`,
      { hint: `conductor run ${name}` },
    );
  }
  const near = suggest(name, known);
  throw new ConductorError(
    'job-unknown',
    `Cannot find job "${name}": expected one of the config or the store`,
    {
      hint: near === undefined ? 'conductor jobs list' : `Did you mean "${near}"?`,
    },
  );
}

function printJobs(context: Context, jobs: readonly Job[], withConfigured: boolean): void {
  const { paint } = context;
  const nowMs = context.io.clock.nowMs();
  if (jobs.length > 0) {
    context.print(
      formatTable(
        jobs,
        [
          { head: 'JOB', cell: (job) => stripControl(job.kind) },
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
  const ran = new Set(jobs.map((job) => job.kind));
  const idle = withConfigured ? [...context.config.jobs.keys()].filter((name) => !ran.has(name)) : [];
  if (idle.length > 0) context.print(`${paint('dim', `never ran: ${idle.join(', ')}`)}\n`);
  if (jobs.length === 0 && idle.length === 0) context.print('no jobs\n');
}

/** `success/input`, or the one number when they agree. */
function formatWatermark(job: Job): string {
  return job.isDirty ? `${job.lastSuccessWatermark}/${job.inputWatermark}` : String(job.inputWatermark);
}

function nextOf(job: Job, nowMs: number): string {
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

function describeJob(context: Context, job: Job): string {
  const nowMs = context.io.clock.nowMs();
  const rows: readonly (readonly [string, string])[] = [
    ['job', `${job.kind} (${job.key})`],
    ['status', context.paint(toneOfStatus(job.status), job.status)],
    ['watermark', `input ${job.inputWatermark}, last success ${job.lastSuccessWatermark}`],
    ['attempts', `${job.attempt}, retries left ${job.retriesLeft} of ${job.maxRetries}`],
    ['next', nextOf(job, nowMs)],
    ['owner', job.workerId === undefined ? '-' : `${job.workerId}, token ${job.token ?? '-'}`],
    ['lease until', formatInstant(job.leaseUntilMs)],
    ['started', formatInstant(job.startedAtMs)],
    ['finished', formatInstant(job.finishedAtMs)],
    ['run directory', job.runDir ?? '-'],
    ['last error', stripControl(job.lastError ?? '-')],
  ];
  const width = Math.max(...rows.map(([label]) => label.length));
  return rows.map(([label, value]) => `${context.paint('dim', label.padEnd(width))}  ${value}\n`).join('');
}

function formatAttempts(context: Context, attempts: readonly Attempt[]): string {
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

function parseStatus(value: CliOptions[string]): Job['status'] | undefined {
  if (value === undefined) return undefined;
  const status = JOB_STATUSES.find((known) => known === value);
  if (status !== undefined) return status;
  throw new ConductorError(
    'usage',
    `Cannot list jobs with status "${String(value)}": expected one of ${JOB_STATUSES.join(', ')}`,
  );
}

const JOB_STATUSES = ['pending', 'running', 'done', 'error', 'cancelled'] as const;
