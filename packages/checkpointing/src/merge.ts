/**
 * Bringing a snapshot's changes to another commit, by a three-way merge of trees.
 * Invariant: the merge happens among objects of the view; no work tree sees half of it.
 */
import { recordPath, splitNul } from './byte-path.ts';
import { CheckpointError } from './errors.ts';
import { SNAPSHOT_IDENTITY } from './git-diff.ts';
import type { RecordedPath } from './record.ts';
import type { Workbench } from './snapshot-source.ts';

/** A snapshot that does not fit onto another commit. Nothing was made. */
export interface ReplayConflicts {
  /** Discriminates the result. */
  readonly outcome: 'conflicts';
  /** The paths both sides changed. */
  readonly conflicts: readonly RecordedPath[];
}

/** @internal */
export interface MergedTree {
  readonly tree: string;
  readonly ontoTree: string;
  readonly head: string;
}

/** @internal Merges what `tree` changed against `base` into the commit `onto`. */
export async function mergeOnto(
  bench: Workbench,
  base: string,
  changed: string,
  onto: string,
): Promise<MergedTree | ReplayConflicts> {
  const { git, repo, view } = bench;
  if (onto.startsWith('-'))
    throw new TypeError(`Cannot replay onto "${onto}": expected a revision, not an option`);
  const resolved = await git.run({
    args: ['rev-parse', `${onto}^{commit}`, `${onto}^{tree}`],
    cwd: repo.topLevel,
    okExitCodes: [0, 128],
  });
  const [head = '', ontoTree = ''] = resolved.stdout.toString('utf8').split('\n');
  if (resolved.exitCode !== 0) {
    throw new CheckpointError(
      'unknown-base',
      `Cannot find "${onto}" in "${repo.topLevel}": ${resolved.stderr.trim()}, expected a commit`,
    );
  }
  // Three commits made for the purpose: their merge base is the snapshot's base, whatever the real history says.
  const commit = async (tree: string, parents: readonly string[]): Promise<string> => {
    const made = await view.run({
      args: ['commit-tree', tree, ...parents.flatMap((parent) => ['-p', parent]), '-m', 'Merge side'],
      env: SNAPSHOT_IDENTITY,
    });
    return made.stdout.toString('utf8').trim();
  };
  const root = await commit(base, []);
  const sides = [await commit(ontoTree, [root]), await commit(changed, [root])];
  const merged = await view.run({
    args: ['merge-tree', '--write-tree', '--name-only', '--no-messages', '-z', ...sides],
    okExitCodes: [0, 1, 128, 129],
  });
  if (merged.exitCode > 1) {
    const code = /usage:|unknown option|unknown rev/.test(merged.stderr) ? 'git-too-old' : 'git-failed';
    throw new CheckpointError(
      code,
      `Cannot merge onto "${onto}": ${merged.stderr.trim().slice(0, 500)}, expected git 2.38 or newer`,
    );
  }
  const [tree = '', ...conflicts] = splitNul(merged.stdout);
  if (merged.exitCode === 1) {
    return { outcome: 'conflicts', conflicts: conflicts.filter((path) => path !== '').map(recordPath) };
  }
  return { tree, ontoTree, head };
}
