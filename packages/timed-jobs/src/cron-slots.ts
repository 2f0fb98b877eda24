/**
 * The daylight-saving rule: fixed-time schedules fire once (at the first instant after a gap, on the first pass of an
 * overlap); wildcard and interval schedules keep real spacing.
 * Invariant: the slot returned is always later than the instant asked about, so no caller can spin.
 */

import type { WallPattern } from './cron-pattern.ts';
import type { Zone, ZoneSegment } from './zone.ts';

/**
 * @internal The first slot of `pattern` in `zone` strictly after `afterMs`, or `undefined` when there is none within
 * four hundred years.
 */
export function nextCronSlot(pattern: WallPattern, zone: Zone, afterMs: number): number | undefined {
  let fromMs = (Math.floor(afterMs / SECOND_MS) + 1) * SECOND_MS;
  let segment = zone.segmentAt(fromMs);

  // Straight to the neighbourhood of the next match, so that a leap day does not walk through eight years of segments.
  const isSettled = fromMs > segment.startMs + LARGEST_SHIFT_MS;
  const lowestOffsetMs = isSettled ? segment.offsetMs : Math.min(segment.offsetMs, segment.formerOffsetMs);
  const earliestWallMs = fromMs + lowestOffsetMs;
  const wallMs = pattern.next(earliestWallMs, earliestWallMs + HORIZON_MS);
  if (wallMs === undefined) return undefined;
  // Far from any change, wall time and real time run in step: nearly every call ends here.
  const directMs = wallMs - segment.offsetMs;
  if (isSettled && directMs < segment.endMs) return directMs;
  const nearMs = directMs - LARGEST_SHIFT_MS;
  if (nearMs > segment.endMs) {
    fromMs = nearMs;
    segment = zone.segmentAt(fromMs);
  }

  for (const untilMs = fromMs + HORIZON_MS; fromMs < untilMs;) {
    const slotMs = firstInSegment(pattern, segment, fromMs);
    if (slotMs !== undefined) return slotMs;
    fromMs = segment.endMs;
    segment = zone.segmentAt(fromMs);
  }
  return undefined;
}

function firstInSegment(
  pattern: WallPattern,
  { startMs, endMs, offsetMs, formerOffsetMs }: ZoneSegment,
  fromMs: number,
): number | undefined {
  let lowestWallMs = fromMs + offsetMs;
  if (pattern.isFixedTime) {
    const startWallMs = startMs + offsetMs;
    /** Where the wall clock stood when this segment began. */
    const formerWallMs = startMs + formerOffsetMs;
    const isGapAhead = formerWallMs < startWallMs && fromMs === startMs;
    if (isGapAhead && pattern.next(formerWallMs, startWallMs) !== undefined) return startMs;
    // What the wall clock shows for the second time has had its turn.
    lowestWallMs = Math.max(lowestWallMs, formerWallMs);
  }
  const wallMs = pattern.next(lowestWallMs, endMs + offsetMs);
  return wallMs === undefined ? undefined : wallMs - offsetMs;
}

const SECOND_MS = 1_000;
const DAY_MS = 86_400_000;
/** The Gregorian calendar repeats after 400 years: a pattern without a match in them never matches. */
const HORIZON_MS = 146_097 * DAY_MS;
/** More than any zone's offset ever moved at once (24 h, Apia 2011). */
const LARGEST_SHIFT_MS = 2 * DAY_MS;
