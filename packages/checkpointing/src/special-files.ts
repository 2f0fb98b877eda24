/**
 * Finding FIFOs, sockets and devices, which git never mentions.
 * Invariant: ignored folders and nested repositories are not entered.
 */
import { lstatSync, readdirSync } from 'node:fs';
import { promisify } from 'node:util';
import { absoluteBytes, splitNul, type BytePath } from './byte-path.ts';
import { systemErrorCode } from './errors.ts';
import type { Repository } from './git-repository.ts';
import type { GitView } from './git-view.ts';

/** @internal What a folder held when it was last read. */
export interface KnownFolder {
  readonly changedAtNs: bigint;
  readonly ino: bigint;
  readonly folders: readonly BytePath[];
  readonly specials: readonly BytePath[];
}

/** @internal */
export interface SpecialFiles {
  readonly paths: readonly BytePath[];
  readonly folders: ReadonlyMap<BytePath, KnownFolder>;
}

/** @internal */
export interface SpecialFilesRequest {
  readonly view: GitView;
  readonly repo: Repository;
  /** Folders that hold tracked files; they are entered without asking whether they are ignored. */
  readonly tracked: ReadonlySet<BytePath>;
  readonly known: ReadonlyMap<BytePath, KnownFolder>;
  readonly nowMs: number;
}

/** @internal */
export async function findSpecialFiles(request: SpecialFilesRequest): Promise<SpecialFiles> {
  const folders = new Map<BytePath, KnownFolder>();
  const specials: BytePath[] = [];
  let level = [...request.tracked];
  let turn = 0;
  while (level.length > 0) {
    const unknown: BytePath[] = [];
    for (const path of level) {
      const folder = readFolder(request, path);
      if (folder === undefined) continue;
      if (isSettled(folder, request.nowMs)) folders.set(path, folder);
      specials.push(...folder.specials);
      for (const child of folder.folders) if (!request.tracked.has(child)) unknown.push(child);
      if (++turn % FOLDERS_PER_TURN === 0) await nextTurn();
    }
    level = await withoutIgnored(request, unknown);
  }
  return { paths: await withoutIgnored(request, specials), folders };
}

function readFolder(request: SpecialFilesRequest, path: BytePath): KnownFolder | undefined {
  const absolute =
    path === '' ? Buffer.from(request.repo.topLevel) : absoluteBytes(request.repo.topLevel, path);
  try {
    const stats = lstatSync(absolute, { bigint: true });
    // A tracked folder may be a link or a file by now.
    if (!stats.isDirectory()) return undefined;
    const changedAtNs = stats.ctimeNs > stats.mtimeNs ? stats.ctimeNs : stats.mtimeNs;
    const known = request.known.get(path);
    if (known?.changedAtNs === changedAtNs && known.ino === stats.ino) return known;
    return { changedAtNs, ino: stats.ino, ...listFolder(absolute, path) };
  } catch (error) {
    // Gone, or not ours to read, which status reports.
    if (UNREADABLE.has(systemErrorCode(error) ?? '')) return undefined;
    throw error;
  }
}

function listFolder(absolute: Buffer, path: BytePath): Pick<KnownFolder, 'folders' | 'specials'> {
  const folders: BytePath[] = [];
  const specials: BytePath[] = [];
  const prefix = path === '' ? '' : `${path}/`;
  for (const entry of readdirSync(absolute, { withFileTypes: true, encoding: 'latin1' })) {
    if (entry.isFile() || entry.isSymbolicLink()) continue;
    const { name } = entry;
    if (name === '.git') {
      // Another repository's work tree; nothing in it is ours. The top has one too.
      if (path !== '') return { folders: [], specials: [] };
    } else if (entry.isDirectory()) folders.push(prefix + name);
    else specials.push(prefix + name);
  }
  return { folders, specials };
}

async function withoutIgnored(request: SpecialFilesRequest, paths: readonly BytePath[]): Promise<BytePath[]> {
  if (paths.length === 0) return [];
  const { stdout } = await request.view.run({
    args: ['check-ignore', '-z', '--stdin'],
    env: { GIT_INDEX_FILE: request.repo.indexFile },
    input: Buffer.from(paths.map((path) => `${path}\0`).join(''), 'latin1'),
    okExitCodes: [0, 1],
  });
  const ignored = new Set(splitNul(stdout));
  return paths.filter((path) => !ignored.has(path));
}

/** A folder that changed just now may change again without its times showing it. */
function isSettled(folder: KnownFolder, nowMs: number): boolean {
  return Number(folder.changedAtNs / 1_000_000n) < nowMs - 2_000;
}

/** Lets timers and sockets of this process have their turn. */
const nextTurn: () => Promise<void> = promisify(setImmediate);

const UNREADABLE: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM', 'ELOOP']);
/** Few enough that whoever hears from git meanwhile is not kept waiting. */
const FOLDERS_PER_TURN = 25;
