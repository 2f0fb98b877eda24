/**
 * Checkpoints of a running step: when, and what goes into one.
 * Invariant: captures never overlap, never cost more than 5 % of the time, and never fail the step; a failure is said.
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';

import { createCadence, createLineCounter } from './checkpoint-cadence.ts';
import { createCheckpointManager, type CheckpointManager } from '@conductor-run/checkpointing';
import type { Clock } from '@conductor-run/clock';
import { openRun, type Redactor, type RunPaths } from '@conductor-run/logging';

import { messageOf } from './errors.ts';
import type { CheckedRequest } from './request-schema.ts';
import type { CheckpointState } from './result.ts';

/** What takes checkpoints of one run. */
export interface RunCheckpoints {
  /** Writes the first summary. Never rejects. */
  reserve(): Promise<void>;
  /** Takes one now, after whatever is under way. Never rejects. */
  capture(occasion: CheckpointOccasion): Promise<void>;
  /** Takes one if the cadence allows and something changed. */
  offer(hasChanged: boolean): void;
  /** Where it stands. */
  state(): CheckpointState;
  /** How many records there are. */
  recordCount(): number;
}

/** Why a checkpoint is taken. */
export type CheckpointOccasion = 'periodic' | 'requested' | 'before_kill' | 'final';

/** What is needed to take them. */
export interface RunCheckpointsOptions {
  readonly request: CheckedRequest;
  readonly paths: RunPaths;
  readonly clock: Clock;
  readonly redactor: Redactor;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether a former owner may have written some already. */
  readonly continuesRun: boolean;
  /** Told of each record. */
  readonly onWritten: (seq: number, type: string) => void;
  /** Told of each failure. */
  readonly onFailed: (what: string, message: string) => void;
}

/**
 * Prepares checkpoints of a run; writes nothing yet.
 *
 * @param options - the run
 */
export function createRunCheckpoints(options: RunCheckpointsOptions): RunCheckpoints {
  const { request, clock } = options;
  const { mode, resumeFromSeq, everySec, onLines } = request.checkpoint;
  const isEnabled = mode === 'capture';
  const manager = createCheckpointManager({
    taskId: request.taskId,
    stepId: request.stepId,
    runId: request.runId,
    directory: options.paths.checkpointsDir,
    clock,
    redactor: options.redactor,
    env: options.env,
  });
  const cadence = createCadence({ clock, everySec, onLines, countLines: createLineCounter(options.paths) });
  let lastSeq = 0;
  let recordCount = 0;
  let failedCount = 0;
  let turn = Promise.resolve();
  let isBusy = false;
  let giveUp = new AbortController();
  let waitingRequest: Promise<void> | undefined;

  const attempt = async (
    what: string,
    write: () => Promise<{ seq: number; type: string } | undefined>,
  ): Promise<void> => {
    try {
      const record = await write();
      if (record === undefined) return;
      lastSeq = Math.max(lastSeq, record.seq);
      recordCount += 1;
      options.onWritten(record.seq, record.type);
    } catch (error) {
      failedCount += 1;
      options.onFailed(what, messageOf(error));
    }
  };
  const inTurn = (work: () => Promise<void>): Promise<void> => {
    turn = turn.then(work);
    return turn;
  };
  /** Records of former owners count too. */
  const countEarlier = async (): Promise<undefined> => {
    const records = await manager.list();
    recordCount = records.length;
    lastSeq = records.at(-1)?.seq ?? 0;
  };
  const captureAll = async (occasion: CheckpointOccasion): Promise<void> => {
    isBusy = true;
    const startedMs = clock.monotonicMs();
    await attempt('log tail', () => writeLogTail(manager, options));
    if (request.runtime.repoRoot !== undefined) {
      await attempt('git diff', () => writeGitDiff(manager, request, giveUp.signal));
    }
    if (occasion === 'final') {
      await attempt('test report', () => writeTestOutput(manager, request));
      if (options.continuesRun) await attempt('earlier records', countEarlier);
    }
    cadence.noteCapture(clock.monotonicMs() - startedMs);
    isBusy = false;
  };

  return {
    reserve: () =>
      isEnabled
        ? inTurn(() => attempt('summary', () => writeFirstSummary(manager, request)))
        : Promise.resolve(),
    async capture(occasion) {
      if (!isEnabled) return;
      if (occasion === 'requested') {
        // Any number of wishes while one waits are one wish.
        waitingRequest ??= inTurn(() => {
          waitingRequest = undefined;
          return captureAll(occasion);
        });
        return waitingRequest;
      }
      if (occasion !== 'before_kill') return inTurn(() => captureAll(occasion));
      using _limit = clock.setTimer(BEFORE_KILL_MS, () =>
        giveUp.abort(new Error('no time left before the kill')),
      );
      await inTurn(() => captureAll(occasion));
      giveUp = new AbortController();
    },
    offer(hasChanged) {
      if (isEnabled && !isBusy && cadence.isDue(hasChanged)) void inTurn(() => captureAll('periodic'));
    },
    state: () => ({
      mode,
      lastSeq,
      failedCount,
      ...(resumeFromSeq === undefined ? {} : { resumedFromSeq: resumeFromSeq }),
    }),
    recordCount: () => recordCount,
  };
}

function writeFirstSummary(
  manager: CheckpointManager,
  request: CheckedRequest,
): Promise<{ seq: number; type: string }> {
  const { summaryHint, resumeFromSeq } = request.checkpoint;
  const resumed = resumeFromSeq === undefined ? '' : `, resumed from checkpoint ${resumeFromSeq}`;
  return manager.writeSummary({
    summary: summaryHint ?? `Prepared ${request.stepName}, attempt ${request.attempt}${resumed}`,
  });
}

/** A step that printed nothing has no tail. */
async function writeLogTail(
  manager: CheckpointManager,
  options: RunCheckpointsOptions,
): Promise<{ seq: number; type: string } | undefined> {
  const { logTailLines } = options.request.checkpoint;
  const tail = await openRun(options.paths, { clock: options.clock }).tail({
    lines: logTailLines,
    ansi: 'strip',
  });
  if (tail.lines.length === 0) return undefined;
  const lines = tail.lines.map((line) => line.text);
  return manager.writeLogTail({
    source: 'combined',
    lines,
    maxLines: logTailLines,
    truncated: tail.isTruncated,
  });
}

async function writeGitDiff(
  manager: CheckpointManager,
  request: CheckedRequest,
  signal: AbortSignal,
): Promise<{ seq: number; type: string }> {
  const { baseRef } = request.checkpoint;
  return manager.writeGitDiff({
    worktree: request.runtime.worktreePath,
    signal,
    ...(baseRef === undefined ? {} : { baseRef }),
  });
}

async function writeTestOutput(
  manager: CheckpointManager,
  request: CheckedRequest,
): Promise<{ seq: number; type: string } | undefined> {
  const { testReport } = request.checkpoint;
  if (testReport === undefined) return undefined;
  const path = resolve(request.runtime.worktreePath, testReport);
  return existsSync(path) ? manager.writeTestOutput({ path }) : undefined;
}

/** What a last look may cost a step that is being ended; the tree keeps its files, so nothing is lost by giving up. */
const BEFORE_KILL_MS = 5000;
