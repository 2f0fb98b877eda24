/**
 * Keeps a log under its limit by giving up its middle.
 * Invariant: offsets never move; the head and at least the newest half of the limit stay.
 */
import type { DroppedRange } from './run-records.ts';

/** @internal The part of a log to give up, or `undefined` while it is under its limit. */
export function rangeToDrop(
  sizeBytes: number,
  limitBytes: number,
  dropped: DroppedRange | undefined,
): DroppedRange | undefined {
  if (sizeBytes - (dropped?.bytes ?? 0) <= limitBytes) return undefined;
  const headBytes = alignDown(Math.min(MAX_HEAD_BYTES, limitBytes / 4));
  const end = alignDown(sizeBytes - limitBytes / 2);
  return { offset: headBytes, bytes: end - headBytes };
}

/** @internal The smallest limit that leaves room for a head, a gap and a tail of whole file-system blocks. */
export const MIN_STREAM_LIMIT_BYTES: number = 64 * 1024;

function alignDown(bytes: number): number {
  return Math.floor(bytes / BLOCK_BYTES) * BLOCK_BYTES;
}

/** Holes are made of whole file-system blocks. */
const BLOCK_BYTES = 4096;
const MAX_HEAD_BYTES = 1024 * 1024;
