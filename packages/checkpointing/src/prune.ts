/**
 * Removing records, their files and their refs.
 * Invariant: the index forgets a record before its files and its ref go, but not where its ref is until that has gone; and its
 * number is never given out again.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createRealClock, type Clock } from '@conductor-run/clock';
import { CheckpointError } from './errors.ts';
import { createGit, type Git } from './git-process.ts';
import { requireCount, type GitOptions } from './options.ts';
import type { RunRefs } from './record-door.ts';
import { folderName, listFolders, readIndex, rewriteIndex, type IndexListing } from './record-store.ts';
import type { CheckpointRecord } from './record.ts';

/** Which records stay. A record stays when any of these wants it; with none given, nothing stays. */
export interface PrunePolicy {
  /** The first record of each type. */
  readonly keepFirst?: boolean;
  /** The newest records, whatever their type. */
  readonly keepLast?: number;
  /** The newest records of each type. */
  readonly keepLastOfEachType?: number;
  /** Records younger than this, in ms. */
  readonly keepYoungerThanMs?: number;
  /** These numbers. */
  readonly keepSeqs?: readonly number[];
}

/** What a prune did. */
export interface PruneResult {
  /** Numbers of the removed records. */
  readonly removed: readonly number[];
  /** Numbers of the records that stay, also those kept because a kept one equals them. */
  readonly kept: readonly number[];
  /** Refs that were removed. */
  readonly removedRefs: readonly string[];
  /** Repositories whose refs could not be removed, such as one that is gone, with git's reason; the next prune tries again. */
  readonly unreachable: readonly { readonly repository: string; readonly reason: string }[];
}

/** @internal Only the manager that writes to a folder may prune it. */
export async function pruneCheckpoints(
  directory: string,
  policy: PrunePolicy,
  options: Pick<GitOptions, 'env'> & { readonly clock?: Clock } = {},
): Promise<PruneResult> {
  const { clock = createRealClock() } = options;
  checkPolicy(policy);
  const listing = await readIndex(directory);
  const kept = withOriginals(listing.records, select(listing.records, policy, clock.nowMs()));
  const keptSeqs = new Set(kept.map((record) => record.seq));
  const removed = listing.records.filter((record) => !keptSeqs.has(record.seq));
  const owed = owedRefsOf(listing);
  const rewrite = (owedRefs: readonly RunRefs[]): Promise<void> =>
    rewriteIndex(directory, kept, {
      pruned: { at: new Date(clock.nowMs()).toISOString(), nextSeq: listing.nextSeq, owedRefs },
    });
  if (listing.records.length > 0 || listing.skippedLines.length > 0) await rewrite(owed);
  const git = createGit(options.env === undefined ? {} : { env: options.env }, clock);
  const { stillOwed, ...refs } = await removeRefs(git, owed, kept);
  if (stillOwed.length < owed.length) await rewrite(stillOwed);
  for (const seq of await listFolders(directory)) {
    // Folders without a record were left by a crash; the one writer of this folder is here, so nobody is filling them.
    if (!keptSeqs.has(seq)) await rm(join(directory, folderName(seq)), { recursive: true, force: true });
  }
  return { removed: removed.map(({ seq }) => seq), kept: [...keptSeqs].sort((a, b) => a - b), ...refs };
}

function checkPolicy(policy: PrunePolicy): void {
  if (policy.keepLast !== undefined) requireCount('keepLast', policy.keepLast, 0);
  if (policy.keepLastOfEachType !== undefined)
    requireCount('keepLastOfEachType', policy.keepLastOfEachType, 0);
  if (policy.keepYoungerThanMs !== undefined) requireCount('keepYoungerThanMs', policy.keepYoungerThanMs, 0);
}

function select(
  records: readonly CheckpointRecord[],
  policy: PrunePolicy,
  nowMs: number,
): CheckpointRecord[] {
  const seqs = new Set(policy.keepSeqs ?? []);
  const newest = records.toReversed();
  for (const record of newest.slice(0, policy.keepLast ?? 0)) seqs.add(record.seq);
  for (const type of new Set(records.map((record) => record.type))) {
    const ofType = newest.filter((record) => record.type === type);
    for (const record of ofType.slice(0, policy.keepLastOfEachType ?? 0)) seqs.add(record.seq);
    const first = ofType.at(-1);
    if (policy.keepFirst === true && first !== undefined) seqs.add(first.seq);
  }
  const bornAfterMs = nowMs - (policy.keepYoungerThanMs ?? 0);
  return records.filter((record) => seqs.has(record.seq) || Date.parse(record.createdAt) > bornAfterMs);
}

/** A record that equals an earlier one is only as good as that one. */
function withOriginals(
  records: readonly CheckpointRecord[],
  kept: readonly CheckpointRecord[],
): CheckpointRecord[] {
  const seqs = new Set(kept.map((record) => record.seq));
  for (const record of kept) {
    if (record.type === 'git_diff' && record.unchangedSince !== undefined) seqs.add(record.unchangedSince);
  }
  return records.filter((record) => seqs.has(record.seq));
}

/** Where this run has refs, and where an earlier prune could not remove them. */
function owedRefsOf({ records, owedRefs }: IndexListing): readonly RunRefs[] {
  const owed = new Map<string, RunRefs>();
  for (const { repository, runId } of [
    ...owedRefs,
    ...records.filter((record) => record.type === 'git_diff'),
  ]) {
    owed.set(JSON.stringify([repository, runId]), { repository, runId });
  }
  return [...owed.values()];
}

async function removeRefs(
  git: Git,
  owed: readonly RunRefs[],
  kept: readonly CheckpointRecord[],
): Promise<Pick<PruneResult, 'removedRefs' | 'unreachable'> & { readonly stillOwed: readonly RunRefs[] }> {
  const keptRefs = new Set(kept.map((record) => (record.type === 'git_diff' ? record.ref : '')));
  const removedRefs: string[] = [];
  const unreachable: { repository: string; reason: string }[] = [];
  const stillOwed: RunRefs[] = [];
  for (const refs of owed) {
    try {
      removedRefs.push(...(await removeRunRefs(git, refs.repository, refs.runId, keptRefs)));
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      unreachable.push({ repository: refs.repository, reason: error.message });
      stillOwed.push(refs);
    }
  }
  return { removedRefs, unreachable, stillOwed };
}

/** Also removes refs no record names: a crash between the ref and its index line leaves one. */
async function removeRunRefs(
  git: Git,
  repository: string,
  runId: string,
  keptRefs: ReadonlySet<string>,
): Promise<string[]> {
  const { stdout } = await git.run({
    args: [`--git-dir=${repository}`, 'for-each-ref', '--format=%(refname)', `refs/conductor/${runId}/`],
    cwd: repository,
  });
  const doomed = stdout
    .toString('utf8')
    .split('\n')
    .filter((ref) => ref !== '' && !keptRefs.has(ref));
  if (doomed.length > 0) {
    const input = doomed.map((ref) => `delete ${ref}\n`).join('');
    await git.run({ args: [`--git-dir=${repository}`, 'update-ref', '--stdin'], cwd: repository, input });
  }
  return doomed;
}
