/**
 * What a run changed in its work tree: the difference between the record taken before its first instruction and its
 * newest one. Without a record of the start, as when that capture was given up, the commit it was compared with counts.
 */
import { PassThrough, Readable } from 'node:stream';

import {
  type CheckpointDiff,
  CheckpointError,
  type CheckpointRecord,
  diffCheckpoints,
  type GitDiffRecord,
  readCheckpoints,
} from '@conductor-run/checkpointing';
import type { Clock } from '@conductor-run/clock';
import { openRun, type RunSummary } from '@conductor-run/logging';

import { requireGitDiff } from '../checkpoint-selector.ts';
import { toCheckpointDiffView, toGitDiffView } from '../views/checkpoint-views.ts';
import type { RunDiffView } from '../views/types.ts';
import { openPatch } from './runs.ts';

/** The two records, and how their trees differ. */
export interface RunChanges {
  /** As `runs diff --json` and the API show it; asks the repository, and goes by the record alone when that is gone. */
  view(): Promise<RunDiffView>;
  /** The patch, exact to the byte; asks the repository only when no record holds it as it is. */
  openPatch(): Promise<Readable>;
}

/**
 * Finds out what a run changed.
 *
 * @param run - the run
 * @param clock - the time
 * @throws ConductorError with code `checkpoint-unknown`. A patch that has to be computed throws CheckpointError with code
 * `not-a-repository` or `snapshot-unavailable` when there is nothing left to compute it from
 */
export async function readRunChanges(run: RunSummary, clock: Clock): Promise<RunChanges> {
  const { runId, checkpointsDir } = run.paths;
  const { records } = await readCheckpoints(checkpointsDir);
  const end = requireGitDiff(records, runId, undefined);
  const start = findStart(records, await readStartSeq(run, clock));
  const compare = (): Promise<CheckpointDiff> => diffCheckpoints(start ?? 'base', end, { clock });
  const startSeq = start?.seq ?? null;
  return {
    view: async () => {
      const checkpoint = toGitDiffView(end);
      try {
        const { diffStat, files } = toCheckpointDiffView(runId, [startSeq, end.seq], await compare());
        return { runId, startSeq, diffStat, files, checkpoint };
      } catch (error) {
        if (!(error instanceof CheckpointError) || !UNREACHABLE.has(error.code)) throw error;
        // The record by itself knows how much differs from its base, not from the start.
        return { runId, startSeq: null, diffStat: end.diffStat, files: null, checkpoint };
      }
    },
    openPatch: async () => {
      // What is recorded against the same tree is the answer already, and needs no repository.
      const isRecorded = start === undefined || start.tree === end.baseTree;
      const patch = isRecorded ? openPatch(end, records) : writeAndOpen(await compare());
      return patch === undefined ? Readable.from([]) : Readable.from(withoutHeader(patch));
    },
  };
}

async function readStartSeq(run: RunSummary, clock: Clock): Promise<unknown> {
  const events = await openRun(run.paths, { clock }).events();
  return events.find(({ data }) => data?.['occasion'] === 'start')?.data?.['seq'];
}

function findStart(records: readonly CheckpointRecord[], seq: unknown): GitDiffRecord | undefined {
  return records.filter((record) => record.type === 'git_diff').find((record) => record.seq === seq);
}

/** What fails on the way fails the stream. */
function writeAndOpen(diff: CheckpointDiff): Readable {
  const patch = new PassThrough();
  diff.writePatch(patch).then(
    () => patch.end(),
    (error: unknown) => patch.destroy(error instanceof Error ? error : new Error(String(error))),
  );
  return patch;
}

/** Before the first file stand the names of the trees and git's raw list of files, which say nothing to people. */
async function* withoutHeader(patch: Readable): AsyncGenerator<Buffer, void, undefined> {
  let header: Buffer | undefined = Buffer.from('\n');
  for await (const chunk of patch as AsyncIterable<Buffer>) {
    if (header === undefined) {
      yield chunk;
      continue;
    }
    header = Buffer.concat([header, chunk]);
    const begin = header.indexOf(FIRST_FILE);
    if (begin < 0) continue;
    yield header.subarray(begin + 1);
    header = undefined;
  }
}

/** Without its repository a tree can be known no more. */
const UNREACHABLE: ReadonlySet<string> = new Set(['not-a-repository', 'snapshot-unavailable']);
const FIRST_FILE = '\ndiff --git ';
