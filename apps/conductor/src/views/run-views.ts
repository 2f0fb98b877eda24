/** Runs, their output and their events, as `--json` and the HTTP API show them. */
import type { LifecycleEvent, LogLine, PruneReport, RunSummary, UnreadableRun } from '@conductor-run/logging';
import type { StepResult } from '@conductor-run/worker-runner';
import type { z } from 'zod';

import { jobOfTask } from '../task-id.ts';
import type { TaskOutcome } from '../task.ts';
import type {
  LogLineView,
  OutputTailView,
  PrunedRunView,
  PruneRunsView,
  RunDetailView,
  RunEventListView,
  RunEventView,
  RunFullView,
  RunListView,
  RunView,
  StepResultView,
  TaskOutcomeView,
  UnreadableRunView,
} from './types.ts';
import { anyJson, atMs, count, flag, listOf, mapOf, nextCursor, oneOf, orNull, text, view } from './view.ts';

/** The states of a run. */
export const RUN_STATUSES = [
  'prepared',
  'running',
  'completed',
  'failed',
  'blocked',
  'cancelled',
  'timed_out',
  'lost',
] as const;

const runId = text("The run's id, a ULID");
const taskId = text('The task it belongs to: the job and a ULID');

const common = {
  runId,
  taskId,
  job: text('The job, as far as the task names it'),
  stepName: text('The step that was run'),
  attempt: count('Which attempt of the job it belongs to, from 1'),
  status: oneOf(RUN_STATUSES, 'Where it stands'),
  exitCode: orNull(count('Exit code of the step; null when it has none')),
  signal: orNull(text('The signal that ended the step')),
  summary: orNull(text('How it went, one sentence')),
  createdAtMs: atMs('When its record was made'),
  startedAtMs: orNull(atMs('When the step began')),
  finishedAtMs: orNull(atMs('When the step ended')),
  runDir: text('Where its files are, absolute, on the machine that ran it'),
};

/** One run, short. */
const runView: z.ZodType<RunView> = view<RunView>('RunView', 'One execution of one step', common);

const unreadableRunView: z.ZodType<UnreadableRunView> = view<UnreadableRunView>(
  'UnreadableRunView',
  'A directory that looks like a run and cannot be read',
  { taskId, runId, message: text('Why') },
);

/** `runs list`. */
export const runListView: z.ZodType<RunListView> = view<RunListView>('RunListView', 'Runs, one page', {
  runs: listOf(runView, 'Newest task first, its newest run first'),
  unreadable: listOf(unreadableRunView, 'What could not be read on this page'),
  nextCursor,
});

/** One run in full. */
export const runFullView: z.ZodType<RunFullView> = view<RunFullView>(
  'RunFullView',
  'One execution of one step, in full',
  {
    ...common,
    stepId: text('Id of the step within its task'),
    stepKind: text('What sort of step it is'),
    workerKind: text('What carries it out'),
    command: listOf(text('One argument'), 'The command and its arguments; empty when it is none'),
    host: text('The machine it ran on'),
    repoRoot: orNull(text('The repository it worked on, absolute')),
    worktreePath: orNull(text('The directory it ran in, absolute')),
    stdoutBytes: count('Bytes of standard output recorded'),
    stderrBytes: count('Bytes of standard error recorded'),
    droppedBytes: count('Bytes of output that were dropped'),
    checkpointSeq: count('Number of its last checkpoint; 0 when it has none'),
    lastEventSeq: count('Number of its last event or chunk of output'),
    pid: orNull(count('Process id of the step while it runs')),
    versions: mapOf(text('One version'), 'Versions worth knowing later, by name'),
    updatedAtMs: atMs('When its state was last written'),
  },
);

/** `runs show`. */
export const runDetailView: z.ZodType<RunDetailView> = view<RunDetailView>('RunDetailView', 'One run', {
  run: runFullView,
});

/** One lifecycle event. */
export const runEventView: z.ZodType<RunEventView> = view<RunEventView>(
  'RunEventView',
  'Something that happened to a run',
  {
    seq: count("Its number in the run's one sequence of events and output"),
    createdAtMs: atMs('When it happened'),
    type: text('What happened, such as step_completed'),
    level: oneOf(['debug', 'info', 'warn', 'error'], 'How much it matters'),
    message: text('One sentence'),
    data: anyJson('What belongs to it; null when nothing does'),
  },
);

/** `runs events`. */
export const runEventListView: z.ZodType<RunEventListView> = view<RunEventListView>(
  'RunEventListView',
  'Lifecycle events of a run, one page',
  { runId, events: listOf(runEventView, 'Oldest first'), nextCursor },
);

/** One line of `runs logs --json`. */
export const logLineView: z.ZodType<LogLineView> = view<LogLineView>('LogLineView', 'One line of output', {
  atMs: orNull(atMs('When it appeared; null when nobody saw it appear')),
  channel: oneOf(['stdout', 'stderr'], 'Whose output'),
  offset: count('Where it begins in its channel, in bytes'),
  isWhole: flag(
    'Whether it is a whole line; false for a part of a very long one or a last one without an end',
  ),
  text: text('The line without its end'),
});

/** The last lines of a run. */
export const outputTailView: z.ZodType<OutputTailView> = view<OutputTailView>(
  'OutputTailView',
  'The last lines of a run',
  {
    runId,
    lines: listOf(logLineView, 'Oldest first'),
    isTruncated: flag('Whether there is more output before them'),
  },
);

const prunedRunView: z.ZodType<PrunedRunView> = view<PrunedRunView>('PrunedRunView', 'A removed run', {
  taskId,
  runId,
  bytes: count('How many bytes it took'),
  reason: oneOf(['age', 'count', 'size'], 'Which limit it was over'),
});

/** `runs prune`. */
export const pruneRunsView: z.ZodType<PruneRunsView> = view<PruneRunsView>(
  'PruneRunsView',
  'What pruning runs removed',
  {
    removed: listOf(prunedRunView, 'Oldest first'),
    freedBytes: count('Bytes they took together'),
    keptRuns: count('Ended and live runs that stay'),
    unreadable: count('Directories that could not be read, which stay'),
    isDryRun: flag('Whether this only says what would go'),
  },
);

const stepResultView: z.ZodType<StepResultView> = view<StepResultView>(
  'StepResultView',
  'How a step of a foreground task ended',
  {
    runId,
    stepName: common.stepName,
    outcome: oneOf(RUN_STATUSES, 'How it ended'),
    isOk: flag('Whether it succeeded'),
    exitCode: common.exitCode,
    signal: common.signal,
    summary: text('How it went, one sentence'),
    durationMs: count('How long it took, milliseconds'),
    runDir: common.runDir,
  },
);

/** `run` and `exec`. */
export const taskOutcomeView: z.ZodType<TaskOutcomeView> = view<TaskOutcomeView>(
  'TaskOutcomeView',
  'How a foreground task ended',
  {
    taskId,
    recorded: oneOf(
      ['succeeded', 'failed', 'released', 'lease-lost'],
      'What the store made of it; lease-lost when somebody else owns the job by now',
    ),
    summary: text('One sentence'),
    steps: listOf(stepResultView, 'In the order they ran'),
  },
);

/** Shows a run, short. */
export function toRunView({ meta, state, paths }: RunSummary): RunView {
  return {
    runId: paths.runId,
    taskId: paths.taskId,
    job: jobOfTask(paths.taskId),
    stepName: meta.stepName,
    attempt: meta.attempt,
    status: state.status,
    exitCode: state.exitCode ?? null,
    signal: state.signal ?? null,
    summary: state.summary ?? null,
    createdAtMs: meta.createdAt,
    startedAtMs: state.startedAt ?? null,
    finishedAtMs: state.finishedAt ?? null,
    runDir: paths.runDir,
  };
}

/** Shows a run in full. */
export function toRunFullView(run: RunSummary): RunFullView {
  const { meta, state } = run;
  return {
    ...toRunView(run),
    stepId: meta.stepId,
    stepKind: meta.stepKind,
    workerKind: meta.workerKind,
    command: meta.command ?? [],
    host: meta.host,
    repoRoot: meta.repoRoot ?? null,
    worktreePath: meta.worktreePath ?? null,
    stdoutBytes: state.stdoutBytes,
    stderrBytes: state.stderrBytes,
    droppedBytes: state.droppedBytes,
    checkpointSeq: state.checkpointSeq,
    lastEventSeq: state.lastEventSeq,
    pid: state.process?.pid ?? null,
    versions: meta.versions ?? {},
    updatedAtMs: state.updatedAt,
  };
}

/** Shows a directory that cannot be read. */
export function toUnreadableRunView(run: UnreadableRun): UnreadableRunView {
  return { taskId: run.taskId, runId: run.runId, message: run.error.message };
}

/** Shows a lifecycle event. */
export function toRunEventView(event: LifecycleEvent): RunEventView {
  const { seq, createdAt, type, level, message, data } = event;
  return { seq, createdAtMs: createdAt, type, level, message, data: data ?? null };
}

/** Shows a line of output. */
export function toLogLineView(line: LogLine): LogLineView {
  const { atMs: seenAtMs, channel, offset, isWhole, text: content } = line;
  return { atMs: seenAtMs ?? null, channel, offset, isWhole, text: content };
}

/** Shows what pruning did. */
export function toPruneRunsView(report: PruneReport, isDryRun: boolean): PruneRunsView {
  const { removed, freedBytes, keptRuns, unreadable } = report;
  return { removed, freedBytes, keptRuns, unreadable: unreadable.length, isDryRun };
}

/** Shows how a foreground task ended. */
export function toTaskOutcomeView(outcome: TaskOutcome): TaskOutcomeView {
  const { taskId: id, recorded, summary, results } = outcome;
  return { taskId: id, recorded, summary, steps: results.map(toStepResultView) };
}

function toStepResultView(result: StepResult): StepResultView {
  return {
    runId: result.runId,
    stepName: result.stepName,
    outcome: result.outcome,
    isOk: result.ok,
    exitCode: result.exitCode ?? null,
    signal: result.signal ?? null,
    summary: result.summary,
    durationMs: result.durationMs,
    runDir: result.paths.runDir,
  };
}
