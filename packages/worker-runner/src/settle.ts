/**
 * The end of a run: from how its execution ended to the envelope on disk.
 * Invariant: `result.json` is written after everything it speaks of, and what is written is what the caller gets.
 */
import { createReadStream, rmSync } from 'node:fs';
import { join } from 'node:path';

import { isTerminalStatus, openRun, type LifecycleEventType, type RunPaths } from '@conductor-run/logging';

import { collectArtifacts } from './artifacts.ts';
import { WorkerRunnerError } from './errors.ts';
import { EVENT_LOG_FILE } from './event-log.ts';
import type { StepExit } from './executor.ts';
import { judge, type Verdict } from './outcome.ts';
import type { StepIdentity } from './request.ts';
import { RESULT_FILE } from './result-schema.ts';
import type { ResultPaths, StepMetrics, StepOutcome, StepResult } from './result.ts';
import { removePlan, writeResult } from './run-record.ts';
import type { SessionFindings, StepSession } from './step-session.ts';
import { ATTACHED_GUARD_DIR } from './guard.ts';
import { WRAPPER_FILES } from './wrapper.ts';

/**
 * Closes a run.
 *
 * @param session - its session; stopped and closed here
 * @param exit - how the execution ended
 * @returns the result that is now on disk
 * @throws {@link WorkerRunnerError} with code `record-unwritable`; the run is then settled by the next adoption
 */
export async function settleRun(session: StepSession, exit: StepExit): Promise<StepResult> {
  const { writer, request } = session.options;
  try {
    const findings = session.stopWatching();
    const verdict = judge(exit, session.endRequest(), findings.said, request.limits.blockedExitCodes);
    if (exit.how !== 'deferred') {
      // Nobody writes any more: the last checkpoint sees the last line.
      await writer.finishOutput();
      await session.checkpoints.capture('final');
    }
    const outcome = await closeRecord(session, verdict, exit);
    const result = await buildResult(session, { ...verdict, outcome }, exit, findings);
    writeResult(writer.paths.runDir, result);
    removePrivateFiles(writer.paths.runDir);
    return result;
  } catch (error) {
    throw new WorkerRunnerError(
      'record-unwritable',
      `Cannot write result of run "${request.runId}": ${error instanceof Error ? error.message : String(error)}`,
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

/** A run whose state was closed by a former owner, killed before its envelope was written, keeps that state. */
async function closeRecord(session: StepSession, verdict: Verdict, exit: StepExit): Promise<StepOutcome> {
  const { writer } = session.options;
  const { status } = writer.state();
  if (isTerminalStatus(status)) return status as StepOutcome;
  if (exit.how === 'exited') {
    // Whoever started it may have died before it could say so.
    if (status === 'prepared') await writer.updateState({ status: 'running' });
    session.note(
      'worker_exited',
      'The step has ended',
      compact({ exitCode: verdict.exitCode, signal: verdict.signal }),
    );
  }
  session.note(
    EVENT_OF_OUTCOME[verdict.outcome],
    verdict.summary,
    compact({ reason: verdict.reason, text: verdict.text }),
  );
  if (exit.how === 'deferred') await writer.updateState({ summary: verdict.summary });
  else {
    const { exitCode, signal, summary } = verdict;
    await writer.updateState({
      status: verdict.outcome,
      summary,
      ...compact({ exitCode, signal }),
    });
  }
  await writer.flush();
  return verdict.outcome;
}

async function buildResult(
  session: StepSession,
  verdict: Verdict,
  exit: StepExit,
  findings: SessionFindings,
): Promise<StepResult> {
  const { request, writer, clock, startedAtMs, isAdopted } = session.options;
  const { paths } = writer;
  const reader = openRun(paths, { clock });
  const state = writer.state();
  const lifecycleEvents = await reader.events();
  const tail = await reader.tail({ lines: request.checkpoint.logTailLines, ansi: 'strip' });
  const finishedAt = state.finishedAt ?? clock.nowMs();
  const durationMs = durationOf(session, finishedAt);
  const metrics = await measure(session, exit, findings, {
    durationMs,
    lifecycleEventCount: lifecycleEvents.length,
  });
  const followup = findings.said.result?.['suggestedFollowup'];
  return {
    schemaVersion: 1,
    ok: verdict.outcome === 'completed' || verdict.outcome === 'prepared',
    outcome: verdict.outcome,
    summary: verdict.summary,
    needsHuman: verdict.needsHuman,
    blocked: verdict.blocked,
    ...identityOf(request),
    ...(exit.how === 'deferred' || exit.how === 'not-started'
      ? {}
      : { startedAt: state.startedAt ?? startedAtMs }),
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
    logSummary: {
      tail: tail.lines.map((line) => session.options.redactor.redact(line.text)),
      droppedBytes: state.droppedBytes,
    },
    lifecycleEvents,
    checkpoint: session.checkpoints.state(),
    artifacts: await collectArtifacts({
      runDir: paths.runDir,
      artifactsDir: paths.artifactsDir,
      worktreePath: request.runtime.worktreePath,
      logPaths: [paths.eventsPath, paths.stdoutPath, paths.stderrPath, join(paths.runDir, EVENT_LOG_FILE)],
      references: findings.artifactReferences,
    }),
    ...(typeof followup === 'string' ? { suggestedFollowup: followup } : {}),
    metrics,
    usage: session.usage.usage(),
    stragglers: exit.stragglers ?? [],
    survivors: exit.survivors ?? [],
    adopted: isAdopted,
  };
}

function identityOf(request: StepIdentity): StepIdentity {
  const { taskId, stepId, runId, attempt, stepName, stepKind, workerKind } = request;
  return { taskId, stepId, runId, attempt, stepName, stepKind, workerKind };
}

async function measure(
  session: StepSession,
  exit: StepExit,
  findings: SessionFindings,
  known: Pick<StepMetrics, 'durationMs' | 'lifecycleEventCount'>,
): Promise<StepMetrics> {
  const { writer } = session.options;
  const { stdoutBytes, stderrBytes } = writer.state();
  const chunks = await countChunks(writer.paths.timelinePath);
  return {
    ...known,
    stepEventCount: findings.stepEventCount,
    rejectedEventCount: findings.rejectedEventCount,
    stdoutChunkCount: chunks.stdout,
    stderrChunkCount: chunks.stderr,
    stdoutBytes,
    stderrBytes,
    checkpointCount: session.checkpoints.recordCount(),
    ...compact({ maxRssBytes: findings.maxRssBytes, cpuMs: exit.cpuMs }),
  };
}

/** The monotonic clock starts anew with each boot. */
function durationOf(session: StepSession, finishedAt: number): number {
  const { clock, startedMonotonicMs, startedAtMs } = session.options;
  const monotonic = clock.monotonicMs() - startedMonotonicMs;
  return Math.max(0, Math.round(Number.isFinite(monotonic) ? monotonic : finishedAt - startedAtMs));
}

/**
 * Counts the chunks of a timeline block by block: that of a long step is longer than a string can be.
 *
 * @internal
 */
export async function countChunks(path: string): Promise<{ stdout: number; stderr: number }> {
  const counts = { stdout: 0, stderr: 0 };
  let rest = '';
  for await (const block of createReadStream(path, { highWaterMark: TIMELINE_BLOCK_BYTES })) {
    const text = rest + (block as Buffer).toString('latin1');
    counts.stdout += text.split(CHUNK_MARKS.stdout).length - 1;
    counts.stderr += text.split(CHUNK_MARKS.stderr).length - 1;
    // Too short for a whole mark, long enough for one that the end of the block cuts.
    rest = text.slice(1 - CHUNK_MARKS.stdout.length);
  }
  return counts;
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
  for (const name of [WRAPPER_FILES.events, WRAPPER_FILES.replies, ATTACHED_GUARD_DIR]) {
    rmSync(join(runDir, name), { force: true, recursive: true });
  }
  removePlan(runDir);
}

/** Drops fields that are `undefined`, which an optional field must not hold. */
function compact<T extends object>(fields: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [Key in keyof T]?: Exclude<T[Key], undefined> };
}

/** Of the same length. */
const CHUNK_MARKS = { stdout: '"channel":"stdout"', stderr: '"channel":"stderr"' } as const;
const TIMELINE_BLOCK_BYTES = 1024 * 1024;

const EVENT_OF_OUTCOME: Readonly<Record<StepOutcome, LifecycleEventType>> = {
  prepared: 'step_prepared',
  completed: 'step_completed',
  failed: 'step_failed',
  blocked: 'step_blocked',
  cancelled: 'step_cancelled',
  timed_out: 'step_timed_out',
  lost: 'run_lost',
};
