/**
 * The end of a run: from how its execution ended to the envelope on disk.
 * Invariant: `result.json` is written after everything it speaks of, and what is written is what the caller gets.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';

import { openRun, type LifecycleEvent, type RunPaths } from '@conductor-run/logging';

import { listLogs } from './artifacts.ts';
import { describe, describeRun, type Description } from './describe.ts';
import { messageOf, WorkerRunnerError } from './errors.ts';
import { EVENT_LOG_FILE } from './event-log.ts';
import type { StepExit } from './executor.ts';
import { checkExit, toCount } from './exit-schema.ts';
import { EVENT_OF_OUTCOME, findFormerVerdict } from './former-verdict.ts';
import { ATTACHED_GUARD_DIR } from './guard.ts';
import { judge, type Verdict } from './outcome.ts';
import { redactResult } from './redaction.ts';
import type { StepIdentity } from './request.ts';
import { parseStepResult, RESULT_FILE } from './result-schema.ts';
import type { ResultPaths, StepMetrics, StepResult } from './result.ts';
import { removePlan, writeResult } from './run-record.ts';
import type { SessionFindings, StepSession } from './step-session.ts';
import { STDIN_FILE, WRAPPER_FILES } from './wrapper.ts';

/**
 * Closes a run.
 *
 * @param session - its session; stopped and closed here
 * @param ended - how the execution ended, as the executor says
 * @returns the result that is now on disk
 * @throws {@link WorkerRunnerError} with code `record-unwritable`; the run is then settled by the next adoption
 */
export async function settleRun(session: StepSession, ended: StepExit): Promise<StepResult> {
  const { writer, request, redactor } = session.options;
  try {
    const exit = checkExit(ended);
    const findings = await session.stopWatching();
    const judged = judge(exit, session.endRequest(), findings.said, request.limits.blockedExitCodes);
    if (exit.how !== 'deferred') {
      // Nobody writes any more: the last checkpoint sees the last line.
      await writer.finishOutput();
      await session.checkpoints.capture('final');
    }
    // Before the record is closed: nothing is written into it afterwards.
    const description = await describeRun(session, findings);
    const closed = await closeRecord(session, redactVerdict(judged, redactor.redact), exit);
    const built = await buildResult(session, closed, exit, findings, description);
    const result = parseStepResult(JSON.parse(JSON.stringify(redactResult(built, redactor.redact))));
    writeResult(writer.paths.runDir, result);
    removePrivateFiles(writer.paths.runDir);
    return result;
  } catch (error) {
    throw new WorkerRunnerError(
      'record-unwritable',
      `Cannot write result of run "${request.runId}": ${messageOf(error)}`,
      { cause: error },
    );
  } finally {
    await writer
      .close()
      .catch((error: unknown) =>
        session.options.logger.error({ err: error, runId: request.runId }, 'run.close-failed'),
      );
  }
}

/** The words come from cancels, executors and the system: state.json and worker.log get them without secrets too. */
function redactVerdict(verdict: Verdict, redact: (text: string) => string): Verdict {
  const { signal, text } = verdict;
  return {
    ...verdict,
    summary: redact(verdict.summary),
    ...(signal === undefined ? {} : { signal: redact(signal) }),
    ...(text === undefined ? {} : { text: redact(text) }),
  };
}

/** What the record says once it is closed. */
interface ClosedRecord {
  readonly verdict: Verdict;
  /** Whether a former owner had closed it, killed before its envelope was written. */
  readonly wasClosed: boolean;
}

async function closeRecord(session: StepSession, judged: Verdict, exit: StepExit): Promise<ClosedRecord> {
  const { writer, isAdopted } = session.options;
  if (isAdopted) {
    const former = findFormerVerdict(writer.state(), await readEvents(session), judged);
    if (former !== undefined) return { verdict: former, wasClosed: true };
  }
  if (exit.how === 'exited') {
    // Whoever started it may have died before it could say so.
    if (writer.state().status === 'prepared') await writer.updateState({ status: 'running' });
    session.note(
      'worker_exited',
      'The step has ended',
      compact({ exitCode: judged.exitCode, signal: judged.signal }),
    );
  }
  session.note(
    EVENT_OF_OUTCOME[judged.outcome],
    judged.summary,
    compact({ reason: judged.reason, text: judged.text }),
  );
  if (exit.how === 'deferred') await writer.updateState({ summary: judged.summary });
  else {
    const { exitCode, signal, summary } = judged;
    await writer.updateState({
      status: judged.outcome,
      summary,
      ...compact({ exitCode, signal }),
    });
  }
  await writer.flush();
  return { verdict: judged, wasClosed: false };
}

function readEvents(session: StepSession): Promise<readonly LifecycleEvent[]> {
  const { writer, clock } = session.options;
  return describe(session, 'worker.log', [], () => openRun(writer.paths, { clock }).events());
}

async function buildResult(
  session: StepSession,
  { verdict, wasClosed }: ClosedRecord,
  exit: StepExit,
  findings: SessionFindings,
  description: Description,
): Promise<StepResult> {
  const { request, writer, clock, startedAtMs, isAdopted } = session.options;
  const { paths } = writer;
  const lifecycleEvents = await readEvents(session);
  const state = writer.state();
  const startedAt = state.startedAt ?? (hasSurelyStarted(exit) ? startedAtMs : undefined);
  const finishedAt = state.finishedAt ?? clock.nowMs();
  const durationMs = wasClosed
    ? Math.max(0, finishedAt - (startedAt ?? finishedAt))
    : durationOf(session, finishedAt);
  const followup = findings.said.result?.['suggestedFollowup'];
  const logPaths = [paths.eventsPath, paths.stdoutPath, paths.stderrPath, join(paths.runDir, EVENT_LOG_FILE)];
  return {
    schemaVersion: 1,
    ok: verdict.ok,
    outcome: verdict.outcome,
    summary: verdict.summary,
    needsHuman: verdict.needsHuman,
    blocked: verdict.blocked,
    ...identityOf(request),
    ...compact({ startedAt }),
    finishedAt,
    durationMs,
    ...compact({
      exitCode: verdict.exitCode,
      signal: verdict.signal,
      reason: verdict.reason,
      reasonText: verdict.text,
    }),
    metadata: findings.said.result ?? {},
    state,
    paths: resultPathsOf(paths),
    logSummary: { tail: description.tail, droppedBytes: state.droppedBytes },
    lifecycleEvents,
    checkpoint: session.checkpoints.state(),
    artifacts: [...listLogs(paths.runDir, logPaths), ...description.artifacts],
    ...(typeof followup === 'string' ? { suggestedFollowup: followup } : {}),
    metrics: {
      durationMs,
      lifecycleEventCount: lifecycleEvents.length,
      ...measure(session, exit, findings, description),
    },
    usage: session.usage.usage(),
    stragglers: exit.stragglers ?? [],
    survivors: exit.survivors ?? [],
    adopted: isAdopted,
  };
}

/** Of an ending that was seen or left its traces. */
function hasSurelyStarted(exit: StepExit): boolean {
  if (exit.how === 'lost') return exit.reason !== 'never_started' && exit.reason !== 'reboot';
  return exit.how === 'exited';
}

function identityOf(request: StepIdentity): StepIdentity {
  const { taskId, stepId, runId, attempt, stepName, stepKind, workerKind } = request;
  return { taskId, stepId, runId, attempt, stepName, stepKind, workerKind };
}

function measure(
  session: StepSession,
  exit: StepExit,
  findings: SessionFindings,
  { chunks }: Description,
): Omit<StepMetrics, 'durationMs' | 'lifecycleEventCount'> {
  const { stdoutBytes, stderrBytes } = session.options.writer.state();
  return {
    stepEventCount: findings.stepEventCount,
    rejectedEventCount: findings.rejectedEventCount,
    stdoutChunkCount: chunks.stdout,
    stderrChunkCount: chunks.stderr,
    stdoutBytes,
    stderrBytes,
    checkpointCount: session.checkpoints.recordCount(),
    ...compact({ maxRssBytes: toCount(findings.maxRssBytes), cpuMs: exit.cpuMs }),
  };
}

/** The monotonic clock starts anew with each boot. */
function durationOf(session: StepSession, finishedAt: number): number {
  const { clock, startedMonotonicMs, startedAtMs } = session.options;
  const monotonic = clock.monotonicMs() - startedMonotonicMs;
  return Math.max(0, Math.round(Number.isFinite(monotonic) ? monotonic : finishedAt - startedAtMs));
}

/** Where the record of a run is. */
function resultPathsOf(paths: RunPaths): ResultPaths {
  return {
    runDir: paths.runDir,
    resultPath: join(paths.runDir, RESULT_FILE),
    workerLogPath: paths.eventsPath,
    stdoutPath: paths.stdoutPath,
    stderrPath: paths.stderrPath,
    stepEventsPath: join(paths.runDir, EVENT_LOG_FILE),
    checkpointsDir: paths.checkpointsDir,
    artifactsDir: paths.artifactsDir,
  };
}

/** What only a running step needs, and what may hold a secret as it is. */
export function removePrivateFiles(runDir: string): void {
  for (const name of PRIVATE_FILES) rmSync(join(runDir, name), { force: true, recursive: true });
  removePlan(runDir);
}

/** Drops fields that are `undefined`, which an optional field must not hold. */
function compact<T extends object>(fields: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [Key in keyof T]?: Exclude<T[Key], undefined> };
}

const PRIVATE_FILES = [WRAPPER_FILES.events, WRAPPER_FILES.replies, ATTACHED_GUARD_DIR, STDIN_FILE] as const;
