/**
 * Taking a small pack apart, so that a capture of a few files adds loose objects and not one more pack. Git would start
 * `unpack-objects` for it, which takes longer than the import itself.
 * Invariant: an object's name is the hash of what is written; a pack that holds anything but whole objects is left as it is.
 */
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { deflateSync, inflateSync } from 'node:zlib';
import type { Repository } from './git-repository.ts';

/** @internal */
export interface LooseObject {
  readonly oid: string;
  /** The whole file as git wants it. */
  readonly file: Buffer;
}

/** @internal Every object of a pack and its index, or `undefined` when the pack should stay one. */
export function unpackSmall(
  packPath: string,
  indexPath: string,
  objectFormat: Repository['objectFormat'],
): LooseObject[] | undefined {
  if (statSync(packPath).size > MAX_BYTES) return undefined;
  const hashBytes = objectFormat === 'sha256' ? 32 : 20;
  const starts = readOffsets(readFileSync(indexPath), hashBytes);
  if (starts.length > MAX_OBJECTS) return undefined;
  const pack = readFileSync(packPath);
  const ends = [...starts.slice(1), pack.length - hashBytes];
  const entries = starts.map((start, index) => readEntry(pack, start, ends[index] ?? start));
  const isWhole = entries.every(({ type }) => type !== undefined);
  const bytes = entries.reduce((sum, { size }) => sum + size, 0);
  if (!isWhole || bytes > MAX_BYTES) return undefined;
  return entries.map(({ type, deflated }) => toLoose(`${type}`, inflateSync(deflated), objectFormat));
}

/** Where the objects begin, in the order of the pack. Only version 2 of an index is ever written by git. */
function readOffsets(index: Buffer, hashBytes: number): number[] {
  const count = index.readUInt32BE(FANOUT_END - 4);
  const table = FANOUT_END + count * (hashBytes + CRC_BYTES);
  const offsets = Array.from({ length: count }, (_, entry) => index.readUInt32BE(table + entry * 4));
  return offsets.sort((a, b) => a - b);
}

interface PackEntry {
  /** `undefined` for a delta. */
  readonly type: string | undefined;
  readonly size: number;
  readonly deflated: Buffer;
}

/** Three bits of type and four of size, then seven more of size as long as the highest bit is set. */
function readEntry(pack: Buffer, start: number, end: number): PackEntry {
  let at = start;
  let byte = pack.readUInt8(at++);
  const type = TYPES.get((byte >> 4) & 7);
  let size = byte & 15;
  for (let unit = 16; byte >= 0x80; unit *= 128) {
    byte = pack.readUInt8(at++);
    size += (byte & 0x7f) * unit;
  }
  return { type, size, deflated: pack.subarray(at, end) };
}

function toLoose(type: string, content: Buffer, objectFormat: Repository['objectFormat']): LooseObject {
  const whole = Buffer.concat([Buffer.from(`${type} ${content.length}\0`), content]);
  return {
    oid: createHash(objectFormat).update(whole).digest('hex'),
    file: deflateSync(whole, { level: 1 }),
  };
}

const TYPES: ReadonlyMap<number, string> = new Map([
  [1, 'commit'],
  [2, 'tree'],
  [3, 'blob'],
  [4, 'tag'],
]);
/** More objects than this are better off in a pack of their own. */
const MAX_OBJECTS = 100;
/** Unpacking happens in memory and at once. */
const MAX_BYTES = 8 * 1024 * 1024;
/** Magic number, version, and 256 counts of which the last is the total. */
const FANOUT_END = 8 + 256 * 4;
const CRC_BYTES = 4;
