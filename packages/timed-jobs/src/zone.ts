/**
 * Time zones as stretches of constant UTC offset, read from the ICU data of the running Node.
 * Invariant: this is the only file that asks for an offset; it imports nothing, so that it can move (decision 040).
 */

/** @internal A stretch of time in which a zone's offset does not change. */
export interface ZoneSegment {
  /** First instant, UTC ms. */
  readonly startMs: number;
  /** First instant after it, UTC ms. */
  readonly endMs: number;
  /** Wall time minus UTC, in ms: negative west of Greenwich. */
  readonly offsetMs: number;
  /** The offset just before `startMs`; the same when the segment begins without a change. */
  readonly formerOffsetMs: number;
}

/** @internal A time zone by its IANA name. */
export interface Zone {
  readonly name: string;
  segmentAt(atMs: number): ZoneSegment;
}

/**
 * @internal The zone of that name; asked twice, the same object with its memory of past answers.
 *
 * @throws RangeError when the name is not known to this Node
 */
export function zoneOf(name: string): Zone {
  const known = zones.get(name);
  if (known !== undefined) return known;
  const zone = createZone(name);
  zones.set(name, zone);
  return zone;
}

function createZone(name: string): Zone {
  const format = new Intl.DateTimeFormat('en-US', { timeZone: name, timeZoneName: 'longOffset' });
  const offsetAt = (atMs: number): number => parseOffset(format.format(atMs));
  const chunks = new Map<number, readonly ZoneSegment[]>();
  let last: ZoneSegment = { startMs: 0, endMs: 0, offsetMs: 0, formerOffsetMs: 0 };

  const find = (atMs: number): ZoneSegment => {
    const index = Math.floor(atMs / CHUNK_MS);
    let segments = chunks.get(index);
    if (segments === undefined) {
      segments = segmentsOfChunk(offsetAt, index * CHUNK_MS);
      chunks.set(index, segments);
    }
    for (const segment of segments) if (atMs < segment.endMs) return segment;
    throw new RangeError(
      `Cannot find offset of zone "${name}" at "${atMs}": expected an instant in UTC milliseconds`,
    );
  };

  return {
    name,
    segmentAt(atMs) {
      if (atMs < last.startMs || atMs >= last.endMs) last = find(atMs);
      return last;
    },
  };
}

/**
 * Looks once a day and bisects where the offset differs. Two changes within one day that undo each other would go
 * unseen; the tz database has none.
 */
function segmentsOfChunk(offsetAt: (atMs: number) => number, chunkStartMs: number): readonly ZoneSegment[] {
  const chunkEndMs = chunkStartMs + CHUNK_MS;
  const segments: ZoneSegment[] = [];
  let startMs = chunkStartMs;
  let offsetMs = offsetAt(startMs);
  let formerOffsetMs = offsetAt(startMs - SECOND_MS);
  for (let probeMs = chunkStartMs; probeMs < chunkEndMs;) {
    const nextMs = Math.min(probeMs + DAY_MS, chunkEndMs - SECOND_MS);
    if (nextMs <= probeMs) break;
    const nextOffsetMs = offsetAt(nextMs);
    if (nextOffsetMs !== offsetMs) {
      const changeMs = bisect(offsetAt, probeMs, nextMs, offsetMs);
      segments.push({ startMs, endMs: changeMs, offsetMs, formerOffsetMs });
      startMs = changeMs;
      formerOffsetMs = offsetMs;
      offsetMs = nextOffsetMs;
    }
    probeMs = nextMs;
  }
  segments.push({ startMs, endMs: chunkEndMs, offsetMs, formerOffsetMs });
  return segments;
}

/** The first whole second in (`lowMs`, `highMs`] whose offset is not `offsetMs`. */
function bisect(offsetAt: (atMs: number) => number, lowMs: number, highMs: number, offsetMs: number): number {
  let low = lowMs / SECOND_MS;
  let high = highMs / SECOND_MS;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (offsetAt(middle * SECOND_MS) === offsetMs) low = middle;
    else high = middle;
  }
  return high * SECOND_MS;
}

/** Reads the "GMT-05:00" at the end of what `longOffset` prints; plain "GMT" is zero, old local times have seconds. */
function parseOffset(text: string): number {
  const match = /GMT(?:([+-])(\d{2}):(\d{2})(?::(\d{2}))?)?$/.exec(text);
  if (match === null) throw new RangeError(`Cannot read offset "${text}": expected "GMT" and a time`);
  const [, sign, hours = '0', minutes = '0', seconds = '0'] = match;
  const totalSeconds = Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds);
  return (sign === '-' ? -totalSeconds : totalSeconds) * SECOND_MS;
}

/** Only names that ICU accepts get in, so the map is as small as the tz database. */
const zones = new Map<string, Zone>();

const SECOND_MS = 1_000;
const DAY_MS = 86_400_000;
/** About a year, so that a year of slots costs one reading of at most two chunks. */
const CHUNK_MS = 366 * DAY_MS;
