/**
 * The checkpoints folder: `index.ndjson` and one numbered folder per record.
 * Invariant: a number is claimed by creating its folder, files get their names by rename, and only then does the index line
 * name them; so a line always has its files, and a crash leaves at most a folder without a line.
 */
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
} from 'node:fs';
import { open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CheckpointError, systemErrorCode, unlessMissing } from './errors.ts';
import { flush, writeFlushed } from './flushed-file.ts';
import { parseIndexLine, type PruneMark, type RunRefs } from './record-door.ts';
import type { CheckpointFile, CheckpointRecord } from './record.ts';

/** What a checkpoints folder holds. */
export interface CheckpointListing {
  /** Every record, by `seq`. */
  readonly records: readonly CheckpointRecord[];
  /** Numbers of the lines of `index.ndjson` (from 1) that could not be read, such as one torn by a crash. */
  readonly skippedLines: readonly number[];
  /** No record so far, present or pruned, has this number or a higher one. */
  readonly nextSeq: number;
}

/**
 * Reads the checkpoints of any run, finished or live, also while another process writes them. Takes no lock.
 *
 * @param directory - the run's checkpoints folder; one that does not exist has no records
 */
export async function readCheckpoints(directory: string): Promise<CheckpointListing> {
  const { owedRefs: _owed, ...listing } = await readIndex(directory);
  return listing;
}

/** @internal What only a prune needs beside. */
export interface IndexListing extends CheckpointListing {
  readonly owedRefs: readonly RunRefs[];
}

/** @internal */
export async function readIndex(directory: string): Promise<IndexListing> {
  const [text = '', folders] = await Promise.all([
    unlessMissing(readFile(join(directory, INDEX_NAME), 'utf8')),
    listFolders(directory),
  ]);
  const bySeq = new Map<number, CheckpointRecord>();
  const skippedLines: number[] = [];
  let nextSeq = Math.max(0, ...folders) + 1;
  let owedRefs: readonly RunRefs[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    if (line === '') continue;
    const parsed = parseIndexLine(line, directory);
    if (parsed === undefined) skippedLines.push(index + 1);
    else if ('pruned' in parsed) {
      nextSeq = Math.max(nextSeq, parsed.pruned.nextSeq);
      owedRefs = parsed.pruned.owedRefs;
    } else {
      bySeq.set(parsed.seq, parsed);
      nextSeq = Math.max(nextSeq, parsed.seq + 1);
    }
  }
  const records = [...bySeq.values()].sort((a, b) => a.seq - b.seq);
  return { records, skippedLines, nextSeq, owedRefs };
}

/** @internal Folders of numbers, whether or not the index names them. */
export async function listFolders(directory: string): Promise<number[]> {
  const names = (await unlessMissing(readdir(directory))) ?? [];
  return names.filter((name) => /^\d{4,}$/.test(name)).map(Number);
}

/** @internal */
export function folderName(seq: number): string {
  return String(seq).padStart(4, '0');
}

/** @internal Takes the first free number from `nextSeq` on for this caller alone, also against other processes. */
export function claimSeq(directory: string, nextSeq: number): number {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  for (let seq = nextSeq; ; seq++) {
    try {
      mkdirSync(join(directory, folderName(seq)), { mode: 0o700 });
      return seq;
    } catch (error) {
      if (systemErrorCode(error) !== 'EEXIST') throw error;
    }
  }
}

/** @internal The folder inside a record's own in which a capture of this process works; it is gone when no capture runs. */
export function workFolderName(): string {
  return `${WORK_PREFIX}${process.pid}`;
}

/** @internal Removes what captures that were killed have left: the work folders of processes that are no more. */
export async function sweepWorkFolders(
  directory: string,
  records: readonly CheckpointRecord[],
): Promise<void> {
  const finished = new Set(records.map(({ seq }) => seq));
  for (const seq of await listFolders(directory)) {
    if (finished.has(seq)) continue;
    const folder = join(directory, folderName(seq));
    for (const name of await readdir(folder)) {
      const isLeft = name.startsWith(WORK_PREFIX) && !isAlive(Number(name.slice(WORK_PREFIX.length)));
      if (isLeft) await rm(join(folder, name), { recursive: true, force: true });
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemErrorCode(error) !== 'ESRCH';
  }
}

/** @internal One file to be written. */
export interface NewFile {
  readonly name: string;
  readonly format: string;
  readonly mediaType: string;
  readonly content: string | Uint8Array;
}

/** @internal Writes a file of record `seq` by temporary file and rename. */
export async function writeRecordFile(
  directory: string,
  seq: number,
  file: NewFile,
): Promise<CheckpointFile> {
  const folder = join(directory, folderName(seq));
  const temporary = join(folder, `.${file.name}.tmp`);
  const bytes = Buffer.from(file.content);
  await writeFlushed(temporary, bytes);
  renameSync(temporary, join(folder, file.name));
  return {
    fileName: `${folderName(seq)}/${file.name}`,
    format: file.format,
    mediaType: file.mediaType,
    bytes: bytes.length,
    sha256: createHash('sha256').update(bytes).digest('hex'),
  };
}

/** @internal Describes a file that is already in place; `look` sees its bytes on the way. */
export async function describeFile(
  directory: string,
  fileName: string,
  format: string,
  mediaType: string,
  look: (chunk: Buffer) => void = () => undefined,
): Promise<CheckpointFile> {
  const hash = createHash('sha256');
  const chunk = Buffer.allocUnsafe(256 * 1024);
  let bytes = 0;
  const handle = await open(join(directory, fileName), 'r');
  try {
    for (;;) {
      const { bytesRead } = await handle.read(chunk, 0, chunk.length, null);
      if (bytesRead === 0) break;
      hash.update(chunk.subarray(0, bytesRead));
      look(chunk.subarray(0, bytesRead));
      bytes += bytesRead;
    }
  } finally {
    await handle.close();
  }
  return { fileName, format, mediaType, bytes, sha256: hash.digest('hex') };
}

/**
 * @internal Adds the line that makes a record exist. One write; a torn line before it is closed off first. What a failed write
 * has left of the line is taken back, so that no line names files that are gone.
 *
 * @throws AggregateError when the line may be there all the same: the record's files then have to stay
 */
export async function appendRecord(directory: string, record: CheckpointRecord): Promise<void> {
  const { directory: _where, ...stored } = record;
  const fd = openSync(join(directory, INDEX_NAME), 'a+', 0o600);
  try {
    const { size } = fstatSync(fd);
    const last = Buffer.alloc(1);
    if (size > 0) readSync(fd, last, 0, 1, size - 1);
    const isTorn = size > 0 && last[0] !== LINE_FEED;
    const line = Buffer.from(`${isTorn ? '\n' : ''}${JSON.stringify(stored)}\n`);
    try {
      appendFileSync(fd, line);
      await flush(fd);
    } catch (error) {
      takeBack(fd, size, line, error);
      throw error;
    }
  } finally {
    closeSync(fd);
  }
}

/** Cuts the file where it ended before, unless somebody else has written to it since. */
function takeBack(fd: number, size: number, line: Buffer, cause: unknown): void {
  const errors = [cause];
  try {
    if (fstatSync(fd).size <= size + line.length) {
      ftruncateSync(fd, size);
      return;
    }
  } catch (error) {
    errors.push(error);
  }
  throw new AggregateError(errors, `Cannot write the index: ${String(cause)}, and its line may be there`);
}

/** @internal Replaces the index as a whole: what is kept, and a mark that keeps numbers from coming back. */
export async function rewriteIndex(
  directory: string,
  kept: readonly CheckpointRecord[],
  mark: PruneMark,
): Promise<void> {
  const lines = [mark, ...kept.map(({ directory: _where, ...stored }) => stored)];
  const temporary = join(directory, `.${INDEX_NAME}.tmp`);
  await rm(temporary, { force: true });
  await writeFlushed(temporary, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  renameSync(temporary, join(directory, INDEX_NAME));
}

/** @internal */
export function requireRecord(listing: CheckpointListing, seq: number, directory: string): CheckpointRecord {
  const record = listing.records.find((candidate) => candidate.seq === seq);
  if (record !== undefined) return record;
  throw new CheckpointError(
    'checkpoint-not-found',
    `Cannot read checkpoint "${seq}" of "${directory}": there is none, expected one of ${listing.records.length} records`,
  );
}

const WORK_PREFIX = '.work-';
const INDEX_NAME = 'index.ndjson';
const LINE_FEED = 10;
