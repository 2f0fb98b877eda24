/**
 * Writing a tree into a directory, byte for byte.
 * Git checks it out with the repository's line-ending attributes, as it did where the snapshot was taken; every path the
 * snapshot changed is then compared with its blob and, where a conversion altered it, written again as it was.
 * Invariant: a path is never written through a symbolic link.
 */
import { chmod, lstat, rm, symlink, writeFile } from 'node:fs/promises';
import {
  absolutePath,
  bytePathToText,
  recordedToBytePath,
  recordPath,
  splitNul,
  type BytePath,
} from './byte-path.ts';
import { CheckpointError } from './errors.ts';
import type { GitView } from './git-view.ts';
import type { RecordedPath } from './record.ts';
import { GITLINK, listTreeChanges, type TreeChange } from './tree-diff.ts';
import { createWorktreeReader } from './worktree-reader.ts';

/** @internal */
export interface Materialised {
  /** Paths whose bytes on disk are made by a filter that is not run here; the committed content is there instead. */
  readonly filtered: readonly RecordedPath[];
}

/** @internal */
export interface MaterialiseOptions {
  readonly view: GitView;
  readonly objectFormat: 'sha1' | 'sha256';
  /** The new work tree, absolute; holds nothing but `.git`. */
  readonly directory: string;
  readonly tree: string;
  /** The tree whose paths are checked out as git would. */
  readonly baseTree: string;
  /** Further paths to be written without conversion. */
  readonly rawPaths: readonly RecordedPath[];
  /** What the new work tree's index shall hold. */
  readonly indexTree: string;
  /** The new work tree's index file. */
  readonly indexFile: string;
}

type WrittenPath = Pick<TreeChange, 'path' | 'letter' | 'newMode' | 'newOid'>;

/** @internal */
export async function materialise(options: MaterialiseOptions): Promise<Materialised> {
  const { view, tree, indexTree } = options;
  const full = ['-c', 'core.sparseCheckout=false'];
  // Its own index from the start, not a copy: a copy's later time would hide files changed right after the checkout.
  const env = { GIT_WORK_TREE: options.directory, GIT_INDEX_FILE: options.indexFile };
  const cwd = options.directory;
  await view.run({ args: [...full, 'read-tree', '--reset', '-u', tree], env, cwd });
  await writeChangedPaths(options);
  const filtered = await view.run({
    args: [...full, 'ls-files', '-z', '--', '.', ':(exclude,attr:!filter)', ':(exclude,attr:-filter)'],
    env,
    cwd,
  });
  // From the checked-out tree to the wanted one in the index alone: paths equal in both keep their times.
  if (indexTree !== tree) await view.run({ args: [...full, 'read-tree', '--reset', indexTree], env, cwd });
  return { filtered: splitNul(filtered.stdout).map(recordPath) };
}

/**
 * @internal Makes the paths that `tree` changed against `baseTree` be exactly their blobs on disk; the rest is left alone.
 *
 * @param only - which of them; all when absent
 */
export async function writeChangedPaths(
  options: Pick<MaterialiseOptions, 'view' | 'objectFormat' | 'directory' | 'tree' | 'baseTree' | 'rawPaths'>,
  only?: ReadonlySet<BytePath>,
): Promise<void> {
  const changes = [
    ...(await listTreeChanges(options.view, options.baseTree, options.tree, false)),
    ...(await listRawPaths(options)),
  ];
  for (const change of changes) {
    if (change.letter === 'D' || change.newMode === GITLINK || only?.has(change.path) === false) continue;
    if (isAsRecorded(options, change)) continue;
    await writePath(options.view, options.directory, change);
    if (!isAsRecorded(options, change)) {
      throw new CheckpointError(
        'replay-mismatch',
        `Cannot write path "${bytePathToText(change.path)}" into "${options.directory}": its bytes are not those of blob ${change.newOid}, expected them equal`,
      );
    }
  }
}

async function listRawPaths(
  options: Pick<MaterialiseOptions, 'view' | 'tree' | 'rawPaths'>,
): Promise<WrittenPath[]> {
  if (options.rawPaths.length === 0) return [];
  const wanted = new Set(options.rawPaths.map(recordedToBytePath));
  const { stdout } = await options.view.run({ args: ['ls-tree', '-r', '-z', options.tree] });
  // `100644 blob <oid><TAB>path`
  return splitNul(stdout)
    .map((line) => {
      const cut = line.indexOf('\t');
      const [newMode = '', , newOid = ''] = line.slice(0, cut).split(' ');
      return { path: line.slice(cut + 1), letter: 'M', newMode, newOid };
    })
    .filter(({ path }) => wanted.has(path));
}

/** Writes one path as its blob has it, replacing a file or link that is there. */
async function writePath(view: GitView, directory: string, change: WrittenPath): Promise<void> {
  const target = absolutePath(directory, change.path);
  const { stdout } = await view.run({ args: ['cat-file', 'blob', change.newOid] });
  await rm(target, { force: true });
  if (change.newMode === SYMLINK) {
    await symlink(stdout, target);
    return;
  }
  await writeFile(target, stdout, { flag: 'wx' });
  if (change.newMode === EXECUTABLE) {
    const { mode } = await lstat(target);
    // Whoever may read may run, as git does it.
    await chmod(target, mode | ((mode & 0o444) >> 2));
  }
}

function isAsRecorded(
  options: Pick<MaterialiseOptions, 'directory' | 'objectFormat'>,
  change: WrittenPath,
): boolean {
  const reader = createWorktreeReader(options.directory, options.objectFormat);
  const found = reader.read(change.path, Number.MAX_SAFE_INTEGER);
  return found.kind === 'content' && found.oid === change.newOid;
}

const SYMLINK = '120000';
const EXECUTABLE = '100755';
