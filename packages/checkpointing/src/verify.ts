/** Proving that records are what they say. Invariant: nothing in the folder or the repository is changed. */
import { CheckpointError, systemErrorCode } from './errors.ts';
import { describeFile, listFolders, readCheckpoints } from './record-store.ts';
import type { CheckpointRecord, GitDiffRecord } from './record.ts';
import { obtainIndexTree, obtainTree, withWorkbench, type SnapshotOptions } from './snapshot-source.ts';

/** What to verify. */
export interface VerifyOptions extends Omit<SnapshotOptions, 'from'> {
  /**
   * Whether snapshots are brought back, from the ref and from the patch, and their hashes compared. Needs the repository.
   *
   * @defaultValue true
   */
  readonly replay?: boolean;
}

/** Something that is not as recorded. */
export interface VerifyProblem {
  /** The record. */
  readonly seq: number;
  /** What is wrong with it. */
  readonly problem: 'file-missing' | 'file-changed' | 'original-missing' | 'ref-unusable' | 'patch-unusable';
  /** More about it, for people. */
  readonly detail: string;
}

/** What verifying found. */
export interface VerifyReport {
  /** Numbers of the records looked at. */
  readonly verified: readonly number[];
  /** What is wrong; empty when all is well. */
  readonly problems: readonly VerifyProblem[];
  /** Lines of the index that could not be read; a crash leaves at most the one it tore. */
  readonly skippedLines: readonly number[];
  /** Numbers of folders without a record: being written just now, or left by a crash. `prune` removes them. */
  readonly unfinished: readonly number[];
}

/**
 * Recomputes every hash of every record and brings every snapshot back into a scratch index.
 *
 * @param directory - a run's checkpoints folder
 * @param options - which repository
 * @returns what is wrong; problems are answers, not errors
 */
export async function verifyCheckpoints(
  directory: string,
  options: VerifyOptions = {},
): Promise<VerifyReport> {
  const listing = await readCheckpoints(directory);
  const problems: VerifyProblem[] = [];
  for (const record of listing.records) {
    problems.push(...(await verifyFiles(record)));
    if (record.type !== 'git_diff') continue;
    const { unchangedSince } = record;
    if (unchangedSince !== undefined && !listing.records.some(({ seq }) => seq === unchangedSince)) {
      const detail = `It equals checkpoint ${unchangedSince}, which is not there`;
      problems.push({ seq: record.seq, problem: 'original-missing', detail });
    } else if (options.replay !== false) problems.push(...(await verifySnapshot(record, options)));
  }
  const seqs = new Set(listing.records.map(({ seq }) => seq));
  const folders = await listFolders(directory);
  return {
    verified: [...seqs],
    problems,
    skippedLines: listing.skippedLines,
    unfinished: folders.filter((seq) => !seqs.has(seq)).sort((a, b) => a - b),
  };
}

async function verifyFiles(record: CheckpointRecord): Promise<VerifyProblem[]> {
  const problems: VerifyProblem[] = [];
  for (const file of record.files) {
    try {
      const actual = await describeFile(record.directory, file.fileName, file.format, file.mediaType);
      if (actual.sha256 === file.sha256) continue;
      const detail = `File "${file.fileName}" has SHA-256 ${actual.sha256}, expected ${file.sha256}`;
      problems.push({ seq: record.seq, problem: 'file-changed', detail });
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error;
      problems.push({ seq: record.seq, problem: 'file-missing', detail: `File "${file.fileName}" is gone` });
    }
  }
  return problems;
}

async function verifySnapshot(record: GitDiffRecord, options: VerifyOptions): Promise<VerifyProblem[]> {
  const problems: VerifyProblem[] = [];
  for (const source of ['ref', 'patch'] as const) {
    try {
      await withWorkbench(options.repo ?? record.repository, options, async (bench) => {
        await obtainTree(bench, record, source);
        await obtainIndexTree(bench, record, source);
      });
    } catch (error) {
      const isFinding = error instanceof CheckpointError && !IS_NO_FINDING.has(error.code);
      if (!isFinding) throw error;
      const problem = source === 'ref' ? 'ref-unusable' : 'patch-unusable';
      problems.push({ seq: record.seq, problem, detail: error.message });
    }
  }
  return problems;
}

/** Git itself being unusable says nothing about a record. */
const IS_NO_FINDING: ReadonlySet<string> = new Set(['git-missing', 'git-timeout']);
