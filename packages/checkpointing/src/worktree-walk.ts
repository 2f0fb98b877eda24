/**
 * Reading the folders of a work tree: for files that are not in the index, and for FIFOs, sockets and devices, which git
 * never mentions.
 * Invariant: nothing but the index and git's own word on what is ignored decides. Where git goes by more than that, the walk
 * says that it is not certain, and git has to list the untracked files.
 */
import { lstatSync, readdirSync } from 'node:fs';
import { promisify } from 'node:util';
import { absolutePath, splitNul, type BytePath } from './byte-path.ts';
import { systemErrorCode } from './errors.ts';
import type { Repository } from './git-repository.ts';
import type { GitView } from './git-view.ts';
import type { IndexSurvey } from './index-survey.ts';

/** @internal What a folder held when it was last read, by the index of then. */
export interface KnownFolder extends FolderContent {
  readonly changedAtNs: bigint;
  readonly ino: bigint;
}

/** @internal */
export interface WorktreeWalk {
  /** Untracked and not ignored; without any when they were not asked for. */
  readonly untracked: readonly BytePath[];
  /** Not ignored, but maybe tracked as what was there before. */
  readonly specials: readonly BytePath[];
  /** Folders whose path is longer than the system takes, so that git passes over them without a word. */
  readonly tooDeep: readonly BytePath[];
  /** False when git may see other untracked files. */
  readonly isCertain: boolean;
  readonly folders: ReadonlyMap<BytePath, KnownFolder>;
}

/** @internal */
export interface WalkRequest {
  readonly view: GitView;
  readonly repo: Repository;
  /** `undefined` while there is no index. */
  readonly survey: IndexSurvey | undefined;
  /** What an earlier walk by the same index has left. */
  readonly known: ReadonlyMap<BytePath, KnownFolder>;
  readonly withUntracked: boolean;
  readonly nowMs: number;
}

/** @internal True when names are compared in ways that only git knows. */
export function mustGitWalk({ settings }: Repository): boolean {
  return ['core.ignorecase', 'core.precomposeunicode'].some(
    (name) => (settings.get(name) ?? 'false') !== 'false',
  );
}

/** @internal */
export async function walkWorktree(request: WalkRequest): Promise<WorktreeWalk> {
  const folders = new Map<BytePath, KnownFolder>();
  const untracked: BytePath[] = [];
  const specials: BytePath[] = [];
  const tooDeep: BytePath[] = [];
  let isCertain = request.survey?.hasSkipped !== true;
  let turn = 0;
  let level: BytePath[] = [''];
  while (level.length > 0) {
    const found: FolderContent[] = [];
    // Grows on the way: whether a folder with tracked files is ignored makes no difference to those.
    for (const path of level) {
      const folder = readFolder(request, path);
      if (folder === 'unreadable') isCertain = false;
      if (folder === 'too-deep') tooDeep.push(path);
      if (typeof folder === 'string') continue;
      if (isSettled(folder, request.nowMs)) folders.set(path, folder);
      if (folder.isForeign) isCertain = false;
      for (const child of folder.tracked) level.push(child);
      found.push(folder);
      if (++turn % FOLDERS_PER_TURN === 0) await nextTurn();
    }
    const files = request.withUntracked ? found.flatMap((folder) => folder.files) : [];
    const unknown = found.flatMap((folder) => folder.folders);
    const special = found.flatMap((folder) => folder.specials);
    const ignored = await findIgnored(request, [...files, ...unknown, ...special]);
    isCertain &&= ignored !== undefined;
    const isKept = (path: BytePath): boolean => ignored?.has(path) !== true;
    for (const path of files) if (isKept(path)) untracked.push(path);
    for (const path of special) if (isKept(path)) specials.push(path);
    level = ignored === undefined ? [] : unknown.filter(isKept);
  }
  return { untracked, specials, tooDeep, isCertain, folders };
}

interface FolderContent {
  /** Folders that hold entries of the index. */
  readonly tracked: readonly BytePath[];
  /** What is not in the index. */
  readonly folders: readonly BytePath[];
  readonly files: readonly BytePath[];
  /** In the index or not. */
  readonly specials: readonly BytePath[];
  /** Maybe another repository's work tree. */
  readonly isForeign: boolean;
}

function readFolder(request: WalkRequest, path: BytePath): KnownFolder | 'gone' | 'unreadable' | 'too-deep' {
  const absolute = absolutePath(request.repo.topLevel, path);
  let isThere = false;
  try {
    const stats = lstatSync(absolute, { bigint: true });
    if (!stats.isDirectory()) return 'gone';
    const changedAtNs = stats.ctimeNs > stats.mtimeNs ? stats.ctimeNs : stats.mtimeNs;
    const known = request.known.get(path);
    if (known?.changedAtNs === changedAtNs && known.ino === stats.ino) return known;
    isThere = true;
    return { changedAtNs, ino: stats.ino, ...listFolder(request.survey, absolute, path) };
  } catch (error) {
    const code = systemErrorCode(error) ?? '';
    // Once it was there, something in it vanished while it was read, and the rest has to be read by git.
    if (GONE.has(code)) return isThere ? 'unreadable' : 'gone';
    if (code === 'ENAMETOOLONG') return 'too-deep';
    if (UNREADABLE.has(code)) return 'unreadable';
    throw error;
  }
}

function listFolder(
  survey: IndexSurvey | undefined,
  absolute: string | Buffer,
  path: BytePath,
): FolderContent {
  const tracked: BytePath[] = [];
  const folders: BytePath[] = [];
  const files: BytePath[] = [];
  const specials: BytePath[] = [];
  let isForeign = false;
  const names = survey?.namesByFolder.get(path) ?? [];
  let nameSet: ReadonlySet<BytePath> | undefined;
  let next = 0;
  const prefix = path === '' ? '' : `${path}/`;
  for (const entry of listEntries(absolute)) {
    const { name } = entry;
    // Nearly all are: a look at the next name is enough while the folder is read in the order of the index.
    if (name === names[next] && entry.isFile()) {
      next++;
      continue;
    }
    // The top has one as well.
    if (name === '.git') isForeign = path !== '';
    else if (entry.isDirectory()) {
      const child = prefix + name;
      // A submodule is another repository's, whatever is in it.
      if (survey?.gitlinks.has(child) === true) continue;
      (survey?.namesByFolder.has(child) === true ? tracked : folders).push(child);
    } else if (!entry.isFile() && !entry.isSymbolicLink()) specials.push(prefix + name);
    else if (!(nameSet ??= new Set(names)).has(name)) files.push(prefix + name);
  }
  if (isForeign) return { tracked, folders: [], files: [], specials: [], isForeign };
  return { tracked, folders, files, specials, isForeign };
}

interface FolderEntry {
  /** One char code per byte. */
  readonly name: BytePath;
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}

/**
 * Where the file system does not tell what an entry is, Node looks at each by its name as text. Of a name that is not ASCII
 * that is another name, so the folder is read once more by its bytes, which costs twice as much.
 */
function listEntries(absolute: string | Buffer): readonly FolderEntry[] {
  try {
    return readdirSync(absolute, { withFileTypes: true, encoding: 'latin1' });
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
    return readdirSync(absolute, { withFileTypes: true, encoding: 'buffer' }).map((entry) => ({
      name: entry.name.toString('latin1'),
      isFile: () => entry.isFile(),
      isDirectory: () => entry.isDirectory(),
      isSymbolicLink: () => entry.isSymbolicLink(),
    }));
  }
}

/** `undefined` when git cannot say: a folder on the way to one of them has become a link, as a rule. */
async function findIgnored(
  request: WalkRequest,
  paths: readonly BytePath[],
): Promise<ReadonlySet<BytePath> | undefined> {
  if (paths.length === 0) return new Set();
  const { stdout, exitCode } = await request.view.run({
    // None of them is in the index, where git would otherwise look for each by reading all of it.
    args: ['check-ignore', '--no-index', '-z', '--stdin'],
    env: { GIT_FLUSH: '0' },
    // What begins with a colon would be taken for more than a path.
    input: Buffer.from(paths.map((path) => `./${path}\0`).join(''), 'latin1'),
    okExitCodes: [0, 1, 128],
  });
  if (exitCode === 128) return undefined;
  return new Set(splitNul(stdout).map((path) => path.slice('./'.length)));
}

/** A folder that changed just now may change again without its times showing it. */
function isSettled(folder: KnownFolder, nowMs: number): boolean {
  return Number(folder.changedAtNs / 1_000_000n) < nowMs - 2_000;
}

/** Lets timers and sockets of this process have their turn. */
const nextTurn: () => Promise<void> = promisify(setImmediate);

const GONE: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ELOOP']);
const UNREADABLE: ReadonlySet<string> = new Set(['EACCES', 'EPERM']);
/** Few enough that whoever hears from git meanwhile is not kept waiting. */
const FOLDERS_PER_TURN = 25;
