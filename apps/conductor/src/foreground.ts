/** Running a claimed job in the foreground: live output, a progress line, Ctrl-C, and the exit code of the step. */
import path from 'node:path';

import type {
  ClaimRequest,
  ClaimResult,
  EnqueueRequest,
  JobStore,
  JsonValue,
  Lease,
  SqliteJobStore,
} from '@conductor-run/job-store';
import { type Authorizer, runStep, type StepRequest, type StepResult } from '@conductor-run/worker-runner';

import { claimUnderLimits } from './claim-limits.ts';
import type { Context } from './context.ts';
import { formatDuration } from './duration.ts';
import { toEnqueueRequest } from './enqueue-request.ts';
import { ConductorError } from './errors.ts';
import { EXIT } from './exit-codes.ts';
import type { JobDefinition } from './job-config.ts';
import { parseJobInput } from './job-input.ts';
import { attachLease } from './lease.ts';
import { runTask, type TaskOutcome } from './task.ts';
import { stripControl, toneOfStatus } from './terminal/style.ts';
import { startProgress } from './terminal/progress.ts';
import { formatRelative } from './terminal/time.ts';
import { taskOutcomeView, toTaskOutcomeView } from './views/run-views.ts';

/**
 * Raises the job's watermark and claims it, in one transaction: no daemon can come between.
 *
 * @param context - the invocation
 * @param store - the store
 * @param job - what to claim
 * @param key - which one of its kind
 * @param input - JSON for the standard input of its steps; `undefined` for none
 * @throws ConductorError with code `claim-refused`, saying why and until when
 */
export async function claimNow(
  context: Context,
  store: SqliteJobStore,
  job: JobDefinition,
  key: string,
  input?: JsonValue,
): Promise<Lease> {
  const { settings } = context.config;
  const claim = {
    kind: job.name,
    key,
    workerId: `${settings.nodeId}/cli`,
    node: settings.nodeId,
    leaseMs: settings.jobLeaseMs,
  };
  const result = await claimOrUndo(store, job, claim, {
    ...toEnqueueRequest(job, key),
    ...(input !== undefined && { payload: { input } }),
  });
  if (result.outcome === 'claimed') return result.lease;
  const again = formatRelative(result.untilMs, context.io.clock.nowMs());
  const until = result.untilMs === undefined ? '' : ` (look again ${again})`;
  throw new ConductorError(
    'claim-refused',
    `Cannot run job "${job.name}": ${result.reason.replaceAll('_', ' ')}${until}, expected it to be free`,
    { hint: `conductor jobs show ${job.name}` },
  );
}

/** A refused claim takes its raised watermark back: work that was refused must not run later, when nobody expects it. */
async function claimOrUndo(
  store: SqliteJobStore,
  job: JobDefinition,
  claim: ClaimRequest,
  raise: EnqueueRequest,
): Promise<ClaimResult> {
  let refused: ClaimResult | undefined;
  try {
    return await store.transaction((tx) => {
      tx.enqueue(raise);
      const result = claimUnderLimits(tx, job, claim);
      if (result.outcome === 'claimed') return result;
      refused = result;
      throw new Error('rolled back: the claim was refused');
    });
  } catch (error) {
    if (refused !== undefined) return refused;
    throw error;
  }
}

/**
 * Runs a claimed job with its output on this terminal.
 *
 * @param context - the invocation
 * @param store - where the attempt is recorded
 * @param job - its definition
 * @param lease - the claim
 * @param place - a working directory other than the config's folder, and whether its steps read our standard input
 * @returns the exit code
 */
export async function runInForeground(
  context: Context,
  store: JobStore,
  job: JobDefinition,
  lease: Lease,
  place: { readonly workDir?: string; readonly sharesStdin?: boolean } = {},
): Promise<number> {
  const { io, config } = context;
  const abort = new AbortController();
  const release = io.onSignal((signal) => abort.abort(new Error(`${signal} received`)));
  try {
    const outcome = await runTask(job, lease, {
      store,
      settings: config.settings,
      rootDir: place.workDir ?? config.rootDir,
      env: io.env,
      clock: io.clock,
      sharesStdin: place.sharesStdin ?? false,
      note: (message) => context.warn(`${context.paint('dim', message)}\n`),
      execute: (request, current) => executeStep(context, store, job, request, current, abort.signal),
    });
    printOutcome(context, outcome);
    return exitCodeOf(outcome);
  } finally {
    release();
  }
}

async function executeStep(
  context: Context,
  store: JobStore,
  job: JobDefinition,
  request: StepRequest,
  lease: Lease,
  signal: AbortSignal,
): Promise<StepResult> {
  const { io, config } = context;
  const position = job.steps.findIndex((step) => step.name === request.stepName) + 1;
  const title =
    job.steps.length > 1 ? `${request.stepName} (${position} of ${job.steps.length})` : request.stepName;
  using progress = startProgress(io, title);
  // Awaited here: the progress line must live as long as the step.
  return await runStep(request, {
    clock: io.clock,
    signal,
    lease: attachLease(store, lease, config.settings.jobLeaseMs),
    ...(parseJobInput(job.name, lease.payload).arcp !== undefined && { authorize: denyAll }),
    // With --json stdout is the document's alone.
    onOutput: (channel, bytes) => progress.write(context.json ? 'stderr' : channel, bytes),
    sink: {
      stepEvent: ({ kind, body }) => {
        if (kind === 'progress') progress.label(`${title}  ${describeProgress(body)}`);
      },
    },
  });
}

/** The session that decides about an ARCP job belongs to a daemon, which does not run this step. */
const denyAll: Authorizer = () => ({
  ok: false,
  error: { code: 'PERMISSION_DENIED', message: 'Nobody decides about a step in the foreground' },
});

/** What a step said about how far it is, in ARCP's words: `current`, `total`, `message`. */
function describeProgress(body: Readonly<Record<string, unknown>>): string {
  const { current, total, message } = body;
  const count =
    typeof current !== 'number' ? '' : typeof total === 'number' ? `${current}/${total} ` : `${current} `;
  return `${count}${typeof message === 'string' ? message : ''}`;
}

function printOutcome(context: Context, outcome: TaskOutcome): void {
  const last = outcome.results.at(-1);
  if (last === undefined) return;
  const { paint } = context;
  if (context.json) {
    context.printJson(taskOutcomeView, toTaskOutcomeView(outcome));
    return;
  }
  for (const result of outcome.results) {
    const status = paint(toneOfStatus(result.outcome), result.outcome);
    const summary = result.ok ? '' : `: ${stripControl(result.summary)}`;
    context.warn(
      `${status} ${result.stepName} in ${formatDuration(result.durationMs)}${summary}  ${paint('dim', result.runId)}\n`,
    );
  }
  // Of several steps the folder that holds the runs of all.
  const record = outcome.results.length === 1 ? last.paths.runDir : path.dirname(last.paths.runDir);
  context.warn(`${paint('dim', `record: ${record}`)}\n`);
}

/** The step's own code where it has one; else what timeout(1) and shells would say. */
function exitCodeOf({ results, recorded }: TaskOutcome): number {
  const last = results.at(-1);
  if (last === undefined || recorded === 'lease-lost') return EXIT.lost;
  switch (last.outcome) {
    case 'completed':
    case 'prepared':
      return EXIT.ok;
    case 'timed_out':
      return EXIT.timedOut;
    case 'lost':
      return EXIT.lost;
    case 'cancelled':
      return SIGINT_EXIT;
    case 'failed':
    case 'blocked':
      if (last.reason === 'not_startable') return EXIT.notStartable;
      return last.exitCode ?? SIGNAL_EXITS[last.signal ?? ''] ?? EXIT.failed;
  }
}

/** 128 plus the signal's number, as shells report it. */
const SIGNAL_EXITS: Readonly<Record<string, number>> = {
  SIGHUP: 129,
  SIGINT: 130,
  SIGQUIT: 131,
  SIGILL: 132,
  SIGABRT: 134,
  SIGBUS: 135,
  SIGFPE: 136,
  SIGKILL: 137,
  SIGSEGV: 139,
  SIGPIPE: 141,
  SIGTERM: 143,
};
const SIGINT_EXIT = 130;
