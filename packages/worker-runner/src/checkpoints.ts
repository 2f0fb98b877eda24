/**
 * Checkpoints of a running step: when, and what goes into one.
 * Invariant: captures never overlap, never cost more than 5 % of the time, and never fail the step; a failure is said.
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';

import { createCadence, createLineCounter } from './checkpoint-cadence.ts';
import {
  createCheckpointManager,
  type CheckpointManager,
  type GitDiffOptions,
} from '@conductor-run/checkpointing';
import type { Clock } from '@conductor-run/clock';
import { openRun, type Redactor, type RunPaths } from '@conductor-run/logging';

import { messageOf } from './errors.ts';
import type { CheckedRequest } from './request-schema.ts';
import type { CheckpointState } from './result.ts';

interface Written {
  readonly seq: number;
  readonly type: string;
}

/** What takes checkpoints of one run. */
export interface RunCheckpoints {
  /** Writes the first summary. Never rejects. */
  reserve(): Promise<void>;
  /** Takes one, after whatever is under way; a requested one waits until the cadence allows it. Never rejects. */
  capture(occasion: CheckpointOccasion): Promise<void>;
  /** Takes one if the cadence allows and something changed. */
  offer(hasChanged: boolean): void;
  /** Where it stands. */
  state(): CheckpointState;
  /** How many records there are. */
  recordCount(): number;
}

/** Why a checkpoint is taken. */
export type CheckpointOccasion = 'start' | 'periodic' | 'requested' | 'before_kill' | 'final';

/** What is needed to take them. */
export interface RunCheckpointsOptions {
  readonly request: CheckedRequest;
  readonly paths: RunPaths;
  readonly clock: Clock;
  readonly redactor: Redactor;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether a former owner may have written some already. */
  readonly continuesRun: boolean;
  /** When the step was started, UTC milliseconds: a test report from before is not this step's. */
  readonly startedAtMs: number;
  /** Told of each record. */
  readonly onWritten: (written: WrittenCheckpoint) => void;
  /** Told of each failure. */
  readonly onFailed: (what: string, message: string) => void;
}

/** A record that is on disk. */
export interface WrittenCheckpoint {
  readonly seq: number;
  readonly type: string;
  /** `undefined` for the first summary. */
  readonly occasion?: CheckpointOccasion;
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
  let startSeq: number | undefined;
  let turn = Promise.resolve();
  let isBusy = false;
  let waiting: { readonly taken: Promise<void>; takeNow(): void } | undefined;

  const attempt = async (
    what: string,
    write: () => Promise<Written | undefined>,
    occasion?: CheckpointOccasion,
  ): Promise<void> => {
    try {
      const record = await write();
      if (record === undefined) return;
      lastSeq = Math.max(lastSeq, record.seq);
      recordCount += 1;
      if (occasion === 'start') startSeq = record.seq;
      options.onWritten({ ...record, ...(occasion === undefined ? {} : { occasion }) });
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
    const events = await openRun(options.paths, { clock }).events();
    const atStart = events.find(({ data }) => data?.['occasion'] === 'start')?.data?.['seq'];
    if (typeof atStart === 'number') startSeq = atStart;
  };
  /** Whatever hangs, as on a disk that does not answer, is given up when its time is over. */
  const captureAll = async (occasion: CheckpointOccasion): Promise<void> => {
    const limitMs = LIMITS_MS[occasion];
    const giveUp = new AbortController();
    const { signal } = giveUp;
    using _limit = clock.setTimer(limitMs, () => giveUp.abort(new Error(`not done within ${limitMs} ms`)));
    const part = (what: string, write: () => Promise<Written | undefined>): Promise<void> =>
      attempt(what, () => Promise.race([write(), rejectWhenAborted(signal)]), occasion);
    isBusy = true;
    const startedMs = clock.monotonicMs();
    if (occasion !== 'start') await part('log tail', () => writeLogTail(manager, options));
    if (request.runtime.repoRoot !== undefined)
      await part('git diff', () =>
        writeGitDiff(manager, request, { signal, readsAll: occasion === 'final' }),
      );
    if (occasion === 'final') {
      await part('test report', () => writeTestOutput(manager, options));
      if (options.continuesRun) await attempt('earlier records', countEarlier);
    }
    await attempt('counting lines', async () => {
      cadence.noteCapture(clock.monotonicMs() - startedMs);
      return undefined;
    });
    isBusy = false;
  };
  /** Any number of wishes while one waits are one wish. */
  const captureSoon = (): Promise<void> => {
    waiting ??= createWaiting(clock, cadence.waitMs(), () =>
      inTurn(() => {
        waiting = undefined;
        return captureAll('requested');
      }),
    );
    return waiting.taken;
  };

  return {
    reserve: () =>
      isEnabled
        ? inTurn(() => attempt('summary', () => writeFirstSummary(manager, request)))
        : Promise.resolve(),
    async capture(occasion) {
      if (!isEnabled) return;
      if (occasion === 'requested') return captureSoon();
      if (occasion === 'start' && request.runtime.repoRoot === undefined) return;
      // The one before the end stands for those that were still wished for.
      waiting?.takeNow();
      await inTurn(() => captureAll(occasion));
    },
    offer(hasChanged) {
      if (isEnabled && !isBusy && cadence.isDue(hasChanged)) void inTurn(() => captureAll('periodic'));
    },
    state: () => ({
      mode,
      lastSeq,
      failedCount,
      ...(startSeq === undefined ? {} : { startSeq }),
      ...(resumeFromSeq === undefined ? {} : { resumedFromSeq: resumeFromSeq }),
    }),
    recordCount: () => recordCount,
  };
}

function writeFirstSummary(manager: CheckpointManager, request: CheckedRequest): Promise<Written> {
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
): Promise<Written | undefined> {
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
  how: Pick<GitDiffOptions, 'signal' | 'readsAll'>,
): Promise<Written> {
  const { baseRef } = request.checkpoint;
  return manager.writeGitDiff({
    ...how,
    worktree: request.runtime.worktreePath,
    ...(baseRef === undefined ? {} : { baseRef }),
  });
}

/** A report that was there before the step began says nothing about it. */
async function writeTestOutput(
  manager: CheckpointManager,
  options: RunCheckpointsOptions,
): Promise<Written | undefined> {
  const { testReport } = options.request.checkpoint;
  if (testReport === undefined) return undefined;
  const path = resolve(options.request.runtime.worktreePath, testReport);
  if (!existsSync(path)) throw new Error(`Cannot read test report "${testReport}": there is none`);
  const written = await manager.writeTestOutput({ path, notBeforeMs: options.startedAtMs });
  if (written !== undefined) return written;
  throw new Error(`Cannot use test report "${testReport}": it was written before the step began`);
}

function rejectWhenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const giveUp = (): void => reject(signal.reason as Error);
    if (signal.aborted) giveUp();
    else signal.addEventListener('abort', giveUp, { once: true });
  });
}

/** A capture that waits for its time, or until it is wanted at once. */
function createWaiting(
  clock: Clock,
  waitMs: number,
  take: () => Promise<void>,
): { readonly taken: Promise<void>; takeNow(): void } {
  if (waitMs <= 0) return { taken: take(), takeNow: () => undefined };
  let takeNow = (): void => undefined;
  const taken = new Promise<void>((resolve) => {
    let isTaken = false;
    takeNow = () => {
      if (isTaken) return;
      isTaken = true;
      timer.cancel();
      resolve(take());
    };
    const timer = clock.setTimer(waitMs, () => takeNow(), { keepAlive: false });
  });
  return { taken, takeNow: () => takeNow() };
}

/**
 * How long a capture may take, in ms. Before the start the step waits for it; what a last look before a kill may cost is
 * less, since the tree keeps its files and nothing is lost by giving up.
 */
const LIMITS_MS: Readonly<Record<CheckpointOccasion, number>> = {
  start: 10_000,
  periodic: 300_000,
  requested: 300_000,
  before_kill: 5000,
  final: 300_000,
};
