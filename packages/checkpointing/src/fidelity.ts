/**
 * Unchanged files that a checkout would not bring back byte for byte, because attributes convert what git stores.
 * Status calls such a file clean; a snapshot of it must then hold the raw bytes, or say that it cannot.
 * Invariant: git itself does the conversion that is compared; our own reading of attributes only narrows down for which files.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { splitNul, type BytePath } from './byte-path.ts';
import type { Git } from './git-process.ts';
import type { Repository } from './git-repository.ts';
import type { StatusEntry } from './git-status.ts';
import type { GitView } from './git-view.ts';
import { fileIdentity, toEntry, type IndexFile } from './index-survey.ts';
import { createWorktreeReader, type WorktreeReader } from './worktree-reader.ts';

/** @internal */
export interface Unfaithful {
  /** To be read and kept as raw bytes. */
  readonly entries: readonly StatusEntry[];
  /** Made by a filter: the repository holds something else, such as an LFS pointer. */
  readonly filtered: readonly BytePath[];
}

/** @internal */
export interface FidelityRequest {
  readonly repo: Repository;
  /** A view with the repository's conversions. */
  readonly view: GitView;
  /** Files of the index that status says nothing about. */
  readonly files: readonly IndexFile[];
}

/** @internal What decides on conversions outside the work tree. */
export interface ConversionRules {
  /** Changes when one of the settings or one of the files does. */
  readonly identity: string;
  /** Whether there are any. */
  readonly areThere: boolean;
}

/** @internal Looks at the settings, the repository's own attributes file and the user's. */
export function findConversionRules(git: Git, repo: Repository): ConversionRules {
  const { settings, topLevel } = repo;
  const home = git.home ?? topLevel;
  const named = settings.get('core.attributesfile')?.replace(/^~(?=\/)/, home);
  const usual = join(git.configHome ?? join(home, '.config'), 'git/attributes');
  const files = [join(repo.commonDir, 'info/attributes'), resolve(topLevel, named ?? usual)];
  const identities = files.map(fileIdentity);
  const autocrlf = settings.get('core.autocrlf') ?? 'false';
  return {
    identity: JSON.stringify([autocrlf, settings.get('core.eol') ?? '', files, identities]),
    areThere: !isFalse(autocrlf) || identities.some((identity) => identity !== undefined),
  };
}

/** @internal */
export async function findUnfaithful(request: FidelityRequest): Promise<Unfaithful> {
  const { repo, view, files } = request;
  const conversions = await listConversions(request);
  const suspects = files.filter(({ path }) => conversions.normalised(path) && !conversions.altered(path));
  const candidates = [
    ...files.filter(({ path }) => conversions.altered(path)),
    ...(await withOtherSize(request, suspects)),
  ];
  if (candidates.length === 0) return { entries: [], filtered: [] };

  const prefix = join(view.gitDir, 'checkout');
  await mkdir(prefix);
  await view.run({
    args: ['checkout-index', '--force', '-z', '--stdin', `--prefix=${prefix}/`],
    env: { GIT_INDEX_FILE: repo.indexFile },
    input: Buffer.from(candidates.map(({ path }) => `${path}\0`).join(''), 'latin1'),
  });
  const onDisk = createWorktreeReader(repo.topLevel, repo.objectFormat);
  const checkedOut = createWorktreeReader(prefix, repo.objectFormat);
  const entries: StatusEntry[] = [];
  const filtered: BytePath[] = [];
  for (const [index, { path, mode, oid }] of candidates.entries()) {
    const disk = onDisk.look(path);
    if (disk.kind !== 'file') continue;
    if ((index + 1) % FILES_PER_TURN === 0) await nextTurn();
    if (isSameFile(path, onDisk, checkedOut)) continue;
    if (conversions.filtered.has(path)) filtered.push(path);
    else entries.push(toEntry(path, mode, oid));
  }
  await rm(prefix, { recursive: true, force: true });
  return { entries, filtered };
}

/** Files of other sizes are not read: what a filter has made of a few bytes may be as large as a disk. */
function isSameFile(path: BytePath, one: WorktreeReader, other: WorktreeReader): boolean {
  const [seen, fresh] = [one.look(path), other.look(path)];
  if (seen.kind !== 'file' || fresh.kind !== 'file' || seen.signature.size !== fresh.signature.size) {
    return false;
  }
  const [a, b] = [one, other].map((reader) => reader.read(path, Number.MAX_SAFE_INTEGER));
  return a?.kind === 'content' && b?.kind === 'content' && a.oid === b.oid;
}

interface Conversions {
  /** A checkout may write other bytes than the blob's. */
  altered(path: BytePath): boolean;
  /** Line ends may have been removed on the way in; a checkout writes the blob as it is. */
  normalised(path: BytePath): boolean;
  readonly filtered: ReadonlySet<BytePath>;
}

async function listConversions(request: FidelityRequest): Promise<Conversions> {
  const { settings } = request.repo;
  const autocrlf = settings.get('core.autocrlf') ?? 'false';
  const isCrlfNative = settings.get('core.eol') === 'crlf';
  const altered = new Set<BytePath>();
  const normalised = new Set<BytePath>();
  const filtered = new Set<BytePath>();
  const { stdout } = await request.view.run({
    args: ['check-attr', '--all', '-z', '--stdin'],
    env: { GIT_INDEX_FILE: request.repo.indexFile },
    input: Buffer.from(request.files.map(({ path }) => `${path}\0`).join(''), 'latin1'),
  });
  const fields = splitNul(stdout);
  for (let index = 0; index + 2 < fields.length; index += 3) {
    const [path = '', attribute = '', value = ''] = fields.slice(index, index + 3);
    if (value === 'unset') continue;
    const isText = attribute === 'text' || attribute === 'crlf' || attribute === 'eol';
    if (isText) normalised.add(path);
    if (isText ? isCrlfNative || value === 'crlf' : ALTERING.has(attribute)) altered.add(path);
    if (attribute === 'filter') filtered.add(path);
  }
  return {
    altered: (path) => isTrue(autocrlf) || altered.has(path),
    normalised: (path) => !isFalse(autocrlf) || normalised.has(path),
    filtered,
  };
}

/** Taking line ends away is all that can have happened to these, and that changes the size. */
async function withOtherSize(request: FidelityRequest, files: readonly IndexFile[]): Promise<IndexFile[]> {
  if (files.length === 0) return [];
  const { stdout } = await request.view.run({
    args: ['cat-file', '--batch-check=%(objectsize)'],
    input: files.map(({ oid }) => `${oid}\n`).join(''),
  });
  const sizes = stdout.toString('latin1').split('\n');
  const reader = createWorktreeReader(request.repo.topLevel, request.repo.objectFormat);
  return files.filter(({ path }, index) => {
    const seen = reader.look(path);
    return seen.kind === 'file' && String(seen.signature.size) !== sizes[index];
  });
}

function isTrue(value: string): boolean {
  return ['true', 'yes', 'on', '1'].includes(value.toLowerCase());
}

function isFalse(value: string): boolean {
  return ['false', 'no', 'off', '0', ''].includes(value.toLowerCase());
}

/** Lets timers and sockets of this process have their turn. */
const nextTurn: () => Promise<void> = promisify(setImmediate);

const FILES_PER_TURN = 50;
const ALTERING: ReadonlySet<string> = new Set(['ident', 'filter', 'working-tree-encoding']);
