/**
 * What status does not say about the index: submodules, entries git was told not to look at, folders, attributes.
 * Invariant: the answer depends on the index file alone, so it is kept until that file changes.
 */
import { statSync } from 'node:fs';
import { parentOf, type BytePath } from './byte-path.ts';
import type { Repository } from './git-repository.ts';
import type { StatusEntry } from './git-status.ts';
import type { GitView } from './git-view.ts';
import { listIndex, type IndexEntry } from './index-file.ts';

/** @internal One regular file of the index, not in conflict. */
export interface IndexFile {
  readonly path: BytePath;
  readonly mode: string;
  readonly oid: string;
}

/** @internal */
export interface IndexSurvey {
  /** Changes when the index file does. */
  readonly identity: string;
  readonly gitlinks: ReadonlySet<BytePath>;
  /** Entries status never compares: assume-unchanged, and skip-worktree outside a sparse checkout; in one, those with both. */
  readonly unwatched: readonly StatusEntry[];
  /** Every folder that holds an entry, and their parents, with the names of the entries in it, in order. */
  readonly namesByFolder: ReadonlyMap<BytePath, readonly BytePath[]>;
  /** Whether some entries are absent from the work tree on purpose; git then reads .gitignore from the index as well. */
  readonly hasSkipped: boolean;
  readonly hasAttributeFiles: boolean;
  /** Parsed when called; the listing is large. */
  files(): IndexFile[];
}

/** @internal `undefined` while there is no index. */
export function indexIdentity(repo: Repository): string | undefined {
  return fileIdentity(repo.indexFile);
}

/** @internal Changes when the file does; `undefined` while there is none. */
export function fileIdentity(path: string): string | undefined {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found && `${found.ino} ${found.size} ${found.mtimeNs} ${found.ctimeNs}`;
}

/** @internal */
export async function surveyIndex(view: GitView, repo: Repository, identity: string): Promise<IndexSurvey> {
  const index = await listIndex(view, repo);
  const isSparse = repo.settings.get('core.sparsecheckout') === 'true';
  const gitlinks = new Set<BytePath>();
  const unwatched: StatusEntry[] = [];
  const namesByFolder = new Map<BytePath, BytePath[]>();
  let names = namesOf(namesByFolder, '');
  let lastFolder = '';
  let hasAttributeFiles = false;
  let hasSkipped = false;
  for (const entry of index) {
    const { path, mode } = entry;
    if (mode === '160000') gitlinks.add(path);
    const { isSkipped } = entry;
    // Git looks again at a skipped entry that is there after all, but not at one that is assumed unchanged as well.
    if (isSkipped && isSparse ? entry.isAssumed : isSkipped || entry.isAssumed) {
      unwatched.push({ ...toEntry(path, mode, entry.oid), mayBeAbsent: isSkipped });
    }
    if (isSkipped) hasSkipped = true;
    if (path.endsWith('.gitattributes')) hasAttributeFiles = true;
    const folder = parentOf(path);
    if (folder !== lastFolder) names = namesOf(namesByFolder, folder);
    lastFolder = folder;
    names.push(folder === '' ? path : path.slice(folder.length + 1));
  }
  return {
    identity,
    gitlinks,
    unwatched,
    namesByFolder,
    hasSkipped,
    hasAttributeFiles,
    files: () => [...watchedFiles(index)],
  };
}

/** @internal A path of the index as status would list it, taking the index for the base. */
export function toEntry(path: BytePath, mode: string, oid: string): StatusEntry {
  return {
    path,
    isTracked: true,
    isUnmerged: false,
    isGitlink: false,
    baseOid: oid,
    baseMode: mode,
    worktreeMode: mode,
  };
}

function* watchedFiles(index: Iterable<IndexEntry>): Generator<IndexFile> {
  for (const { path, mode, oid, stage, isAssumed, isSkipped } of index) {
    if (stage === 0 && !isAssumed && !isSkipped && mode.startsWith('100')) yield { path, mode, oid };
  }
}

function namesOf(namesByFolder: Map<BytePath, BytePath[]>, folder: BytePath): BytePath[] {
  let names = namesByFolder.get(folder);
  if (names === undefined) {
    names = [];
    namesByFolder.set(folder, names);
    if (folder !== '') namesOf(namesByFolder, parentOf(folder));
  }
  return names;
}
