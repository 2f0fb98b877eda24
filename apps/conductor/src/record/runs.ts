/** Runs, their events, their output and their checkpoints, page by page. */
import { createReadStream } from 'node:fs';
import path from 'node:path';
import type { Readable } from 'node:stream';

import {
  type CheckpointRecord,
  diffCheckpoints,
  type GitDiffRecord,
  readCheckpoints,
} from '@conductor-run/checkpointing';
import type { Clock } from '@conductor-run/clock';
import type { SqliteJobStore } from '@conductor-run/job-store';
import { openRun, type RunSummary } from '@conductor-run/logging';

import { requireGitDiff } from '../checkpoint-selector.ts';
import { ConductorError } from '../errors.ts';
import { jobOfTask } from '../task-id.ts';
import { toCheckpointDiffView, toCheckpointView } from '../views/checkpoint-views.ts';
import { toLogLineView, toRunEventView, toRunView, toUnreadableRunView } from '../views/run-views.ts';
import type {
  CheckpointDiffView,
  CheckpointListView,
  JobOutcomeView,
  OutputTailView,
  RunEventListView,
  RunListView,
} from '../views/types.ts';
import { parseCursor } from './cursor.ts';
import type { RunIndex, RunPageRequest } from './run-index.ts';

/** How many, and where to begin. */
interface Page {
  readonly limit: number;
  readonly cursor?: string | undefined;
}

/** One page of runs, newest first. */
export async function readRuns(index: RunIndex, request: RunPageRequest): Promise<RunListView> {
  const { runs, unreadable, nextCursor } = await index.page(request);
  return {
    runs: runs.map(toRunView),
    unreadable: unreadable.map(toUnreadableRunView),
    nextCursor: nextCursor ?? null,
  };
}

/** One page of a run's lifecycle events, oldest first. */
export async function readRunEvents(run: RunSummary, clock: Clock, page: Page): Promise<RunEventListView> {
  const afterSeq = page.cursor === undefined ? 0 : parseCursor(page.cursor);
  const rest = await openRun(run.paths, { clock }).events({ afterSeq });
  const events = rest.slice(0, page.limit).map(toRunEventView);
  const last = events.at(-1);
  const hasMore = rest.length > events.length && last !== undefined;
  return { runId: run.paths.runId, events, nextCursor: hasMore ? String(last.seq) : null };
}

/** The last lines of a run. */
export async function readTail(
  run: RunSummary,
  clock: Clock,
  wanted: { readonly channel: 'stdout' | 'stderr' | 'combined'; readonly lines: number },
): Promise<OutputTailView> {
  const { lines, isTruncated } = await openRun(run.paths, { clock }).tail(wanted);
  return { runId: run.paths.runId, lines: lines.map(toLogLineView), isTruncated };
}

/** One page of a run's checkpoints, oldest first. */
export async function readCheckpointPage(run: RunSummary, page: Page): Promise<CheckpointListView> {
  const afterSeq = page.cursor === undefined ? 0 : parseCursor(page.cursor);
  const { records, skippedLines } = await readCheckpoints(run.paths.checkpointsDir);
  const rest = records.filter((record) => record.seq > afterSeq);
  const checkpoints = rest.slice(0, page.limit).map(toCheckpointView);
  const last = checkpoints.at(-1);
  const hasMore = rest.length > checkpoints.length && last !== undefined;
  return {
    runId: run.paths.runId,
    checkpoints,
    skippedLines,
    nextCursor: hasMore ? String(last.seq) : null,
  };
}

/** All checkpoints of a run. */
export async function readCheckpointRecords(run: RunSummary): Promise<readonly CheckpointRecord[]> {
  return (await readCheckpoints(run.paths.checkpointsDir)).records;
}

/**
 * What differs between two git checkpoints of a run.
 *
 * @param run - the run
 * @param fromSeq - the older one; `undefined` for what the run began with
 * @param toSeq - the newer one
 * @param clock - the time
 * @throws ConductorError with code `checkpoint-unknown`
 */
export async function readCheckpointDiff(
  run: RunSummary,
  fromSeq: number | undefined,
  toSeq: number,
  clock: Clock,
): Promise<CheckpointDiffView> {
  const { runId } = run.paths;
  const records = await readCheckpointRecords(run);
  const target = requireGitDiff(records, runId, toSeq);
  const start = fromSeq === undefined ? 'base' : requireGitDiff(records, runId, fromSeq);
  const diff = await diffCheckpoints(start, target, { clock });
  return toCheckpointDiffView(runId, [fromSeq ?? null, toSeq], diff);
}

/**
 * The patch of a git checkpoint.
 *
 * @param record - the checkpoint
 * @param records - all of its run: an unchanged one has no files of its own, those of the one it equals stand for it
 * @returns `undefined` when nothing changed
 * @throws ConductorError with code `checkpoint-unknown` when the one it equals is not there
 */
export function openPatch(record: GitDiffRecord, records: readonly CheckpointRecord[]): Readable | undefined {
  const holder = requireHolder(record, records);
  const patch = holder.files.find((file) => file.format === 'git-patch');
  return patch === undefined ? undefined : createReadStream(path.join(holder.directory, patch.fileName));
}

function requireHolder(record: GitDiffRecord, records: readonly CheckpointRecord[]): GitDiffRecord {
  const { unchangedSince, runId, seq } = record;
  if (unchangedSince === undefined) return record;
  const diffs = records.filter((each) => each.type === 'git_diff');
  const holder = diffs.find((each) => each.seq === unchangedSince);
  if (holder !== undefined) return holder;
  throw new ConductorError(
    'checkpoint-unknown',
    `Cannot read the patch of checkpoint "${seq}" of run "${runId}": it equals checkpoint "${unchangedSince}", which cannot be read`,
    { hint: `conductor checkpoints verify ${runId}` },
  );
}

/**
 * Asks the owner of the job a live run belongs to to stop it. In one transaction: a later attempt is never hit.
 *
 * @param store - where the job is
 * @param run - the run
 * @throws ConductorError with code `run-ended` when no running job has its task
 */
export async function cancelRunOf(store: SqliteJobStore, run: RunSummary): Promise<JobOutcomeView> {
  const { taskId, runId } = run.paths;
  const kind = jobOfTask(taskId);
  return store.transaction((tx) => {
    let cursor: string | undefined;
    do {
      const page = tx.list({
        kind,
        status: 'running',
        limit: 1_000,
        ...(cursor !== undefined && { cursor }),
      });
      const owner = page.jobs.find((job) => job.runDir !== undefined && path.basename(job.runDir) === taskId);
      if (owner !== undefined) return { job: kind, key: owner.key, outcome: tx.cancel(kind, owner.key) };
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    throw new ConductorError(
      'run-ended',
      `Cannot cancel run "${runId}": no running job has its task, expected one that is under way`,
      { hint: `conductor runs show ${runId}` },
    );
  });
}
