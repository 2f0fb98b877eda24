/**
 * What status does not say about the index: submodules, entries git was told not to look at, folders, attributes.
 * Invariant: the answer depends on the index file alone, so it is kept until that file changes.
 */
import { stat } from 'node:fs/promises';
import { parentOf, type BytePath } from './byte-path.ts';
import { systemErrorCode } from './errors.ts';
import type { Repository } from './git-repository.ts';
import type { StatusEntry } from './git-status.ts';
import type { GitView } from './git-view.ts';

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
  readonly gitlinks: readonly BytePath[];
  /** Entries status never compares: assume-unchanged, and skip-worktree outside a sparse checkout. */
  readonly unwatched: readonly StatusEntry[];
  /** Every folder that holds an entry, and their parents. */
  readonly directories: ReadonlySet<BytePath>;
  readonly hasAttributeFiles: boolean;
  /** Parsed when called; the listing is large. */
  files(): IndexFile[];
}

/** @internal `undefined` while there is no index. */
export async function indexIdentity(repo: Repository): Promise<string | undefined> {
  try {
    const { ino, size, mtimeNs, ctimeNs } = await stat(repo.indexFile, { bigint: true });
    return `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** @internal */
export async function surveyIndex(view: GitView, repo: Repository, identity: string): Promise<IndexSurvey> {
  const { stdout } = await view.run({
    args: ['ls-files', '--stage', '-v', '-z'],
    env: { GIT_INDEX_FILE: repo.indexFile },
  });
  const isSparse = repo.settings.get('core.sparsecheckout') === 'true';
  const gitlinks = new Set<BytePath>();
  const unwatched: StatusEntry[] = [];
  const directories = new Set<BytePath>(['']);
  let lastDirectory = '';
  let hasAttributeFiles = false;
  for (const { tag, mode, oid, path } of entriesOf(stdout)) {
    if (mode === '160000') gitlinks.add(path);
    const isAssumed = tag === tag.toLowerCase();
    const isSkipped = tag === 'S' || tag === 's';
    if (isSkipped ? !isSparse : isAssumed)
      unwatched.push({ ...toEntry(path, mode, oid), mayBeAbsent: isSkipped });
    if (path.endsWith('.gitattributes')) hasAttributeFiles = true;
    const directory = parentOf(path);
    if (directory !== lastDirectory) addWithParents(directories, directory);
    lastDirectory = directory;
  }
  return {
    identity,
    gitlinks: [...gitlinks],
    unwatched,
    directories,
    hasAttributeFiles,
    files: () =>
      [...entriesOf(stdout)]
        .filter((entry) => entry.tag === 'H' && entry.stage === '0' && entry.mode.startsWith('100'))
        .map(({ path, mode, oid }) => ({ path, mode, oid })),
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

interface ListedEntry {
  readonly tag: string;
  readonly mode: string;
  readonly oid: string;
  readonly stage: string;
  readonly path: BytePath;
}

/** `H 100644 <oid> 0<TAB>path`, NUL-terminated. */
function* entriesOf(output: Buffer): Generator<ListedEntry> {
  const text = output.toString('latin1');
  for (let start = 0; start < text.length;) {
    const end = text.indexOf('\0', start);
    const tab = text.indexOf('\t', start);
    yield {
      tag: text.charAt(start),
      mode: text.slice(start + 2, start + 8),
      oid: text.slice(start + 9, tab - 2),
      stage: text.charAt(tab - 1),
      path: text.slice(tab + 1, end),
    };
    start = end + 1;
  }
}

function addWithParents(directories: Set<BytePath>, path: BytePath): void {
  for (let directory = path; !directories.has(directory); directory = parentOf(directory))
    directories.add(directory);
}
