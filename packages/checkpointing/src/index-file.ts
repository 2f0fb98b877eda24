/**
 * Reading git's index file: the one listing that is needed while status runs, without a second process beside it.
 * Invariant: what is not understood to the last byte of its structure is not read at all; git lists it then.
 */
import type { BytePath } from './byte-path.ts';
import { unlessMissing } from './errors.ts';
import type { Repository } from './git-repository.ts';
import type { GitView } from './git-view.ts';
import { readRegularFile } from './regular-file.ts';

/** @internal One entry, as `git ls-files --stage -v` tells of it. */
export interface IndexEntry {
  readonly path: BytePath;
  /** Octal. */
  readonly mode: string;
  /** 0, or 1 to 3 in a conflict. */
  readonly stage: number;
  /** Told not to be compared with the work tree. */
  readonly isAssumed: boolean;
  /** Told to be absent from the work tree. */
  readonly isSkipped: boolean;
  /** The blob's name. */
  readonly oid: string;
}

/** @internal Every entry in the index's order; can be walked more than once. An entry is valid until the next is asked for. */
export async function listIndex(view: GitView, repo: Repository): Promise<Iterable<IndexEntry>> {
  const file = await unlessMissing(readRegularFile(repo.indexFile));
  const own = file === undefined ? undefined : parseIndexFile(file, repo.objectFormat);
  if (own !== undefined) return own;
  const { stdout } = await view.run({
    args: ['ls-files', '--stage', '-v', '-z'],
    env: { GIT_INDEX_FILE: repo.indexFile },
  });
  return parseIndexListing(stdout.toString('latin1'));
}

/** @internal The entries of an index file, or `undefined` when git has to be asked. */
export function parseIndexFile(
  file: Buffer,
  objectFormat: Repository['objectFormat'],
): Iterable<IndexEntry> | undefined {
  const hashBytes = objectFormat === 'sha256' ? 32 : 20;
  return isPlain(file, hashBytes) ? { [Symbol.iterator]: () => entriesOf(file, hashBytes) } : undefined;
}

/** @internal The entries of `git ls-files --stage -v -z`. */
export function parseIndexListing(text: string): Iterable<IndexEntry> {
  return { [Symbol.iterator]: () => listedEntries(text) };
}

/**
 * Version 2 or 3, whole, and without an extension that changes what the entries mean, such as a split or a sparse index.
 * Git marks those that may be ignored with a capital letter.
 */
function isPlain(file: Buffer, hashBytes: number): boolean {
  const end = file.length - hashBytes;
  if (end < HEADER_BYTES || file.toString('latin1', 0, 4) !== 'DIRC') return false;
  const version = file.readUInt32BE(4);
  if (version !== 2 && version !== 3) return false;
  let at = HEADER_BYTES;
  for (let left = file.readUInt32BE(8); left > 0; left--) {
    if (at + FLAGS_AT + hashBytes + 2 > end) return false;
    at = entryEnd(file, at, hashBytes);
  }
  while (at + 8 <= end) {
    const first = file[at] ?? 0;
    if (first < CAPITAL_A || first > CAPITAL_Z) return false;
    at += 8 + file.readUInt32BE(at + 4);
  }
  return at === end;
}

/** Names end with a NUL, and entries are padded with more of them to a multiple of eight bytes. */
function entryEnd(file: Buffer, at: number, hashBytes: number): number {
  const nameAt = nameStart(file, at, hashBytes);
  return at + ((nameEnd(file, nameAt, file.readUInt16BE(at + FLAGS_AT + hashBytes)) - at + 8) & ~7);
}

function nameStart(file: Buffer, at: number, hashBytes: number): number {
  const flags = file.readUInt16BE(at + FLAGS_AT + hashBytes);
  return at + FLAGS_AT + hashBytes + ((flags & EXTENDED) === 0 ? 2 : 4);
}

function nameEnd(file: Buffer, nameAt: number, flags: number): number {
  const length = flags & NAME_LENGTH;
  if (length < NAME_LENGTH) return nameAt + length;
  const end = file.indexOf(0, nameAt);
  return end < 0 ? file.length : end;
}

/** One object for all entries, and nothing is made of its bytes before someone asks: of most only the folder matters. */
function* entriesOf(file: Buffer, hashBytes: number): Generator<IndexEntry> {
  const entry = new FileEntry(file, hashBytes);
  for (let left = file.readUInt32BE(8); left > 0; left--) {
    yield entry;
    entry.moveOn();
  }
}

class FileEntry implements IndexEntry {
  readonly #file: Buffer;
  readonly #hashBytes: number;
  #at = HEADER_BYTES;

  constructor(file: Buffer, hashBytes: number) {
    this.#file = file;
    this.#hashBytes = hashBytes;
  }

  get path(): BytePath {
    const nameAt = nameStart(this.#file, this.#at, this.#hashBytes);
    return this.#file.toString('latin1', nameAt, nameEnd(this.#file, nameAt, this.#flags));
  }

  get mode(): string {
    const mode = this.#file.readUInt32BE(this.#at + MODE_AT);
    return mode === REGULAR ? '100644' : mode.toString(8).padStart(6, '0');
  }

  get stage(): number {
    return (this.#flags >> 12) & 3;
  }

  get isAssumed(): boolean {
    return (this.#flags & ASSUME_VALID) !== 0;
  }

  get isSkipped(): boolean {
    if (this.stage !== 0 || (this.#flags & EXTENDED) === 0) return false;
    return (this.#file.readUInt16BE(this.#flagsAt + 2) & SKIP_WORKTREE) !== 0;
  }

  get oid(): string {
    return this.#file.toString('hex', this.#at + FLAGS_AT, this.#flagsAt);
  }

  moveOn(): void {
    this.#at = entryEnd(this.#file, this.#at, this.#hashBytes);
  }

  get #flagsAt(): number {
    return this.#at + FLAGS_AT + this.#hashBytes;
  }

  get #flags(): number {
    return this.#file.readUInt16BE(this.#flagsAt);
  }
}

/** `H 100644 <oid> 0<TAB>path`, NUL-terminated. */
function* listedEntries(text: string): Generator<IndexEntry> {
  for (let start = 0; start < text.length;) {
    const end = text.indexOf('\0', start);
    const tab = text.indexOf('\t', start);
    const tag = text.charAt(start);
    yield {
      path: text.slice(tab + 1, end),
      mode: text.slice(start + 2, start + 8),
      stage: Number(text.charAt(tab - 1)),
      isAssumed: tag === tag.toLowerCase(),
      isSkipped: tag === 'S' || tag === 's',
      oid: text.slice(start + 9, tab - 2),
    };
    start = end + 1;
  }
}

/** Signature, version, number of entries. */
const HEADER_BYTES = 12;
/** Within an entry: times, device, inode, mode, owner, size, object name, flags, name. */
const MODE_AT = 24;
const FLAGS_AT = 40;
const ASSUME_VALID = 0x8000;
const EXTENDED = 0x4000;
const SKIP_WORKTREE = 0x4000;
const NAME_LENGTH = 0xfff;
const REGULAR = 0o100644;
const CAPITAL_A = 65;
const CAPITAL_Z = 90;
