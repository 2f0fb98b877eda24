/** Which checkpoint a user means. */
import type { CheckpointRecord, GitDiffRecord } from '@conductor-run/checkpointing';

import type { CliOptions } from './context.ts';
import { ConductorError } from './errors.ts';

/**
 * Finds a git checkpoint.
 *
 * @param records - of the run
 * @param runId - for the message
 * @param seq - its number; the newest one when `undefined`
 * @throws ConductorError with code `checkpoint-unknown`
 */
export function requireGitDiff(
  records: readonly CheckpointRecord[],
  runId: string,
  seq: number | undefined,
): GitDiffRecord {
  const diffs = records.filter((record) => record.type === 'git_diff');
  const found = seq === undefined ? diffs.at(-1) : diffs.find((record) => record.seq === seq);
  if (found !== undefined) return found;
  const wanted = seq === undefined ? 'any git checkpoint' : `git checkpoint "${seq}"`;
  const known = diffs.length === 0 ? 'it has none' : `it has ${diffs.map((record) => record.seq).join(', ')}`;
  throw new ConductorError('checkpoint-unknown', `Cannot find ${wanted} of run "${runId}": ${known}`, {
    hint: `conductor checkpoints list ${runId}`,
  });
}

/**
 * Finds a checkpoint of any type.
 *
 * @param records - of the run
 * @param runId - for the message
 * @param seq - its number; the newest one when `undefined`
 * @throws ConductorError with code `checkpoint-unknown`
 */
export function requireCheckpoint<Checkpoint extends { readonly seq: number }>(
  records: readonly Checkpoint[],
  runId: string,
  seq: number | undefined,
): Checkpoint {
  const found = seq === undefined ? records.at(-1) : records.find((record) => record.seq === seq);
  if (found !== undefined) return found;
  const known = records.map((record) => record.seq).join(', ');
  throw new ConductorError(
    'checkpoint-unknown',
    `Cannot find checkpoint "${seq ?? 'last'}" of run "${runId}": it has ${known === '' ? 'none' : known}`,
    { hint: `conductor checkpoints list ${runId}` },
  );
}

/**
 * Reads a checkpoint number.
 *
 * @param value - what the user typed, `undefined` for none
 * @throws ConductorError with code `usage`
 */
export function parseSeq(value: CliOptions[string]): number | undefined {
  if (value === undefined) return undefined;
  const seq = Number(value);
  if (Number.isSafeInteger(seq) && seq >= 1) return seq;
  throw new ConductorError(
    'usage',
    `Cannot use checkpoint "${String(value)}": expected a whole number of at least 1`,
  );
}
