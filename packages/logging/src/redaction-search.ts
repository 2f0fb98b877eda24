/**
 * Finds many literals and token shapes in bytes at once.
 * It looks at the two last bytes of a window as wide as the shortest anchor and skips ahead by a table (Wu and Manber, 1994),
 * so that output without secrets costs less than one look per byte.
 * Invariant: the answer at an offset depends on the bytes from there on alone, so a search may restart anywhere outside a match.
 */
import type { TokenShape } from './token-shapes.ts';

/** @internal Something to find. */
export interface Needle {
  readonly name: string;
  /** The literal, or the prefix of a shape. */
  readonly anchor: Buffer;
  readonly shape?: ShapeBody;
}

/** @internal What follows a shape's prefix. */
export interface ShapeBody {
  /** 1 for bytes that may follow. */
  readonly allowed: Uint8Array;
  readonly minLength: number;
  readonly maxLength: number;
  readonly minDots: number;
}

/** @internal A match, or that more bytes are needed to know. */
export type MatchResult =
  | { readonly kind: 'match'; readonly end: number; readonly name: string }
  | { readonly kind: 'more' };

/** @internal Knows what to find. */
export interface Search {
  /** Begins to look through `bytes`, which must not change meanwhile; with `isFinal` nothing follows them. */
  scan(bytes: Uint8Array, isFinal: boolean): Scan;
}

/** @internal Looks through one stretch of bytes. */
export interface Scan {
  /** The first offset from `from` on where a match may start; `bytes.length` when there is none. */
  nextCandidate(from: number): number;
  /** The longest match that starts at `at`. */
  matchAt(at: number): MatchResult | undefined;
}

/** @internal The bytes a shape's class admits. */
export function shapeBody(shape: TokenShape): ShapeBody {
  const pattern = new RegExp(`^[${shape.characters}]$`);
  const allowed = new Uint8Array(256);
  for (let byte = 0; byte < 128; byte++) {
    if (pattern.test(String.fromCharCode(byte))) allowed[byte] = 1;
  }
  return {
    allowed,
    minLength: shape.minLength,
    maxLength: shape.maxLength ?? DEFAULT_MAX_LENGTH,
    minDots: shape.minDots ?? 0,
  };
}

/** @internal Prepares a search for `needles`, each of at least 3 bytes. */
export function createSearch(needles: readonly Needle[]): Search {
  const width = Math.min(MAX_WIDTH, ...needles.map((needle) => needle.anchor.byteLength));
  const skips = new Uint8Array(65_536).fill(width - 1);
  const heads = new Uint8Array(65_536);
  const needlesByBlock = new Map<number, Needle[]>();
  for (const needle of needles) {
    for (let at = 0; at <= width - 2; at++) {
      const block = needle.anchor.readUInt16BE(at);
      skips[block] = Math.min(skips[block] ?? 0, width - 2 - at);
    }
    heads[needle.anchor.readUInt16BE(0)] = 1;
    const lastBlock = needle.anchor.readUInt16BE(width - 2);
    needlesByBlock.set(lastBlock, [...(needlesByBlock.get(lastBlock) ?? []), needle]);
  }

  const nextCandidate = (bytes: Uint8Array, from: number): number => {
    const length = bytes.length;
    if (needles.length === 0) return length;
    let last = from + width - 1;
    while (last < length) {
      // Indexes are in range by the loop's condition; a check per byte would halve the speed.
      const skip = skips[((bytes[last - 1] as number) << 8) | (bytes[last] as number)] as number;
      if (skip !== 0) {
        last += skip;
        continue;
      }
      // The window ends like an anchor; most of those that are none do not begin like one.
      const first = last - width + 1;
      if (heads[((bytes[first] as number) << 8) | (bytes[first + 1] as number)] === 1) return first;
      last += 1;
    }
    // What is left is shorter than an anchor: any of it may be the start of one.
    return Math.min(length, Math.max(from, length - width + 1));
  };
  /** Those whose last anchor bytes are at `at`; near the end, where they do not fit, all. */
  const candidatesAt = (bytes: Uint8Array, at: number): readonly Needle[] => {
    if (at + width > bytes.length) return needles;
    const block = ((bytes[at + width - 2] ?? 0) << 8) | (bytes[at + width - 1] ?? 0);
    return needlesByBlock.get(block) ?? [];
  };

  return {
    scan(bytes, isFinal) {
      const runs = new Map<ShapeBody, Run>();
      return {
        nextCandidate: (from) => nextCandidate(bytes, from),
        matchAt(at) {
          let longest: MatchResult | undefined;
          for (const needle of candidatesAt(bytes, at)) {
            const result = matchNeedle(needle, bytes, at, isFinal, runs);
            if (result?.kind === 'more') return result;
            if (result !== undefined && (longest?.kind !== 'match' || result.end > longest.end))
              longest = result;
          }
          return longest;
        },
      };
    },
  };
}

function matchNeedle(
  { anchor, shape, name }: Needle,
  bytes: Uint8Array,
  at: number,
  isFinal: boolean,
  runs: Map<ShapeBody, Run>,
): MatchResult | undefined {
  const compared = Math.min(anchor.length, bytes.length - at);
  for (let index = 0; index < compared; index++) {
    if (anchor[index] !== bytes[at + index]) return undefined;
  }
  if (compared < anchor.length) return isFinal ? undefined : NEED_MORE;
  const bodyStart = at + anchor.length;
  if (shape === undefined) return { kind: 'match', end: bodyStart, name };

  const run = runAt(shape, bytes, bodyStart, runs);
  const limit = bodyStart + shape.maxLength;
  const end = Math.min(run.end, limit);
  if (end === bytes.length && end < limit && !isFinal) return NEED_MORE;
  if (end - bodyStart < shape.minLength || dotsBetween(run, bodyStart, end) < shape.minDots) return undefined;
  return { kind: 'match', end, name };
}

/** A stretch of bytes that a shape admits. */
interface Run {
  readonly start: number;
  readonly end: number;
  readonly dots: readonly number[];
  /** The first of `dots` that may still matter: bodies are looked at from left to right. */
  firstDot: number;
}

/** Each stretch is walked once, however many prefixes are in it: `eyJeyJeyJ…` would take quadratic time otherwise. */
function runAt(shape: ShapeBody, bytes: Uint8Array, start: number, runs: Map<ShapeBody, Run>): Run {
  const known = runs.get(shape);
  if (known !== undefined && known.start <= start && start <= known.end) return known;
  const dots: number[] = [];
  let end = start;
  while (end < bytes.length && shape.allowed[bytes[end] ?? 0] === 1) {
    if (bytes[end] === DOT) dots.push(end);
    end += 1;
  }
  const run = { start, end, dots, firstDot: 0 };
  runs.set(shape, run);
  return run;
}

function dotsBetween(run: Run, start: number, end: number): number {
  while ((run.dots[run.firstDot] ?? end) < start) run.firstDot += 1;
  let count = 0;
  while ((run.dots[run.firstDot + count] ?? end) < end) count += 1;
  return count;
}

const NEED_MORE: MatchResult = { kind: 'more' };
const DEFAULT_MAX_LENGTH = 16 * 1024;
const MAX_WIDTH = 8;
const DOT = 46;
