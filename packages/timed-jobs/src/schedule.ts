/**
 * A schedule: when its slots are, and the policy for slots that meet trouble.
 * Invariant: a parsed schedule is immutable and depends on nothing but its spec and the time-zone data of Node.
 */

import { parseWallPattern } from './cron-pattern.ts';
import { nextCronSlot } from './cron-slots.ts';
import { TimedJobsError } from './errors.ts';
import { parseInstant } from './instant.ts';
import { stableHash } from './stable-hash.ts';
import { type Zone, zoneOf } from './zone.ts';

/** What happens to slots that nobody decided in time: run the newest, run each, or run none. */
export type CatchUp = 'latest' | 'all' | 'none';

/**
 * What happens when a slot is due while work of an earlier slot is unfinished.
 * `skip` drops it; `queue-one` makes the work run once more; `queue-all` runs every slot, one at a time;
 * `cancel-previous` stops the earlier work; `allow` runs both at once.
 */
export type Overlap = 'skip' | 'queue-one' | 'queue-all' | 'cancel-previous' | 'allow';

/** A stretch of time in which slots are skipped. */
export type BlackoutSpec =
  | {
      /** First instant of it: UTC ms, or ISO 8601; without an offset it is read in the schedule's time zone. */
      readonly from: number | string;
      /** First instant after it. */
      readonly until: number | string;
    }
  | {
      /** When it begins, again and again, in the schedule's time zone. */
      readonly cron: string;
      /** How long it lasts each time, in ms, at least 1. */
      readonly durationMs: number;
    };

/** What every kind of schedule has. */
export interface SchedulePolicy {
  /** What it is called everywhere; trimmed, non-empty, unique among schedules. */
  readonly name: string;
  /**
   * IANA name of the zone in which cron fields and instants without an offset are read.
   *
   * @defaultValue 'UTC'
   */
  readonly timezone?: string;
  /**
   * What happens to slots that passed undecided: the node was down, paused, or not the leader.
   *
   * @defaultValue 'latest'
   */
  readonly catchUp?: CatchUp;
  /**
   * How old a slot may be and still be caught up, in ms, at least 0. A long one costs nothing for `latest` and `none`.
   *
   * @defaultValue 86_400_000 (24 h)
   */
  readonly catchUpWindowMs?: number;
  /**
   * How many slots `catchUp: 'all'` runs at most, the newest ones; 1 to 10,000. The older ones are recorded as missed.
   *
   * @defaultValue 100
   */
  readonly catchUpMax?: number;
  /**
   * How late a slot may be decided and still count as on time, in ms, at least 0. `catchUp: 'none'` runs nothing later.
   *
   * @defaultValue 60_000
   */
  readonly graceMs?: number;
  /**
   * What happens when earlier work is unfinished.
   *
   * @defaultValue 'queue-one'
   */
  readonly overlap?: Overlap;
  /**
   * Slots fire up to this much later, in ms: by a hash of the name, so always by the same amount. At least 0.
   *
   * @defaultValue 0
   */
  readonly jitterMs?: number;
  /** There are no slots before this instant: UTC ms or ISO 8601. */
  readonly notBefore?: number | string;
  /** There are no slots after this instant: UTC ms or ISO 8601. */
  readonly notAfter?: number | string;
  /**
   * When slots are skipped.
   *
   * @defaultValue []
   */
  readonly blackouts?: readonly BlackoutSpec[];
}

/** A schedule as written in a configuration: exactly one of `cron`, `everyMs` and `at`. */
export type ScheduleSpec = SchedulePolicy &
  (
    | {
        /** Five or six fields (seconds first), names, lists, ranges, steps, `L`, `W`, `#`, or `@daily` and friends. */
        readonly cron: string;
        readonly everyMs?: never;
        readonly at?: never;
      }
    | {
        /** A fixed spacing in ms, at least 100; slots are the multiples of it since 1970. */
        readonly everyMs: number;
        readonly cron?: never;
        readonly at?: never;
      }
    | {
        /** A single instant: UTC ms or ISO 8601. */
        readonly at: number | string;
        readonly cron?: never;
        readonly everyMs?: never;
      }
  );

/** A schedule ready for use; make it with {@link parseSchedule}. */
export interface Schedule {
  /** Its name, trimmed. */
  readonly name: string;
  /** Which of the three kinds it is. */
  readonly kind: 'cron' | 'every' | 'at';
  /** IANA name of its zone. */
  readonly timezone: string;
  /** See {@link SchedulePolicy.catchUp}. */
  readonly catchUp: CatchUp;
  /** See {@link SchedulePolicy.catchUpWindowMs}. */
  readonly catchUpWindowMs: number;
  /** See {@link SchedulePolicy.catchUpMax}. */
  readonly catchUpMax: number;
  /** See {@link SchedulePolicy.graceMs}. */
  readonly graceMs: number;
  /** See {@link SchedulePolicy.overlap}. */
  readonly overlap: Overlap;
  /** How long after its slot this schedule fires, in ms: less than `jitterMs`, derived from the name. */
  readonly delayMs: number;
  /** First instant that can be a slot, UTC ms; -Infinity when unlimited. */
  readonly notBeforeMs: number;
  /** Last instant that can be a slot, UTC ms; Infinity when unlimited. */
  readonly notAfterMs: number;
  /**
   * The first slot strictly after an instant.
   *
   * @param afterMs - UTC ms
   * @returns UTC ms, or `undefined` when no slot follows
   */
  nextAfter(afterMs: number): number | undefined;
  /**
   * Whether a slot falls into a blackout.
   *
   * @param slotMs - UTC ms
   */
  isBlackedOut(slotMs: number): boolean;
  /**
   * Until when `isBlackedOut` stays as it is at a slot, at least.
   *
   * @param slotMs - UTC ms
   * @returns UTC ms, after `slotMs`; Infinity when it stays so for good
   */
  blackoutChangeAfter(slotMs: number): number;
}

/**
 * Checks a spec and makes it ready for use.
 *
 * @param spec - what to read; unknown fields are ignored
 * @throws {@link TimedJobsError} with code `invalid-schedule`, naming the schedule and the field
 */
export function parseSchedule(spec: ScheduleSpec): Schedule {
  const name = requireName(spec.name);
  const refuse: Refuse = (field, value, wanted, cause) =>
    new TimedJobsError(
      'invalid-schedule',
      `Cannot read schedule "${name}": ${field} is "${String(value)}", expected ${wanted}`,
      cause === undefined ? {} : { cause },
    );
  const zone = parseZone(spec.timezone ?? 'UTC', refuse);
  const instant = (field: string, value: number | string): number => {
    const atMs = parseInstant(value, zone);
    if (atMs === undefined) throw refuse(field, value, 'UTC milliseconds or an ISO 8601 instant');
    return atMs;
  };
  const atLeast = (field: string, value: number, least: number): number => {
    if (!Number.isSafeInteger(value) || value < least) {
      throw refuse(field, value, `an integer of at least ${least}`);
    }
    return value;
  };

  const slots = parseSlots(spec, zone, refuse, instant, atLeast);
  const notBeforeMs = spec.notBefore === undefined ? -Infinity : instant('notBefore', spec.notBefore);
  const notAfterMs = spec.notAfter === undefined ? Infinity : instant('notAfter', spec.notAfter);
  if (notAfterMs < notBeforeMs) throw refuse('notAfter', spec.notAfter, 'an instant not before notBefore');
  const blackouts = (spec.blackouts ?? []).map((blackout, index) =>
    parseBlackout(blackout, `blackouts[${index}]`, zone, refuse, instant, atLeast),
  );
  const jitterMs = atLeast('jitterMs', spec.jitterMs ?? 0, 0);
  const catchUpMax = atLeast('catchUpMax', spec.catchUpMax ?? 100, 1);
  if (catchUpMax > MOST_CAUGHT_UP) {
    throw refuse('catchUpMax', catchUpMax, `an integer of at most ${MOST_CAUGHT_UP}`);
  }

  const policy = {
    catchUp: oneOf('catchUp', spec.catchUp ?? 'latest', CATCH_UPS, refuse),
    catchUpWindowMs: atLeast('catchUpWindowMs', spec.catchUpWindowMs ?? DAY_MS, 0),
    catchUpMax,
    graceMs: atLeast('graceMs', spec.graceMs ?? 60_000, 0),
    overlap: oneOf('overlap', spec.overlap ?? 'queue-one', OVERLAPS, refuse),
    delayMs: jitterMs === 0 ? 0 : stableHash(name) % jitterMs,
  };
  // Planning asks "is there another one?" and, a slot later, "which is next?": the same question twice.
  let askedMs = NaN;
  let answeredMs: number | undefined;
  return {
    name,
    kind: slots.kind,
    timezone: zone.name,
    ...policy,
    notBeforeMs,
    notAfterMs,
    nextAfter(afterMs) {
      if (afterMs === askedMs) return answeredMs;
      const slotMs = slots.nextAfter(Math.max(afterMs, notBeforeMs - 1));
      askedMs = afterMs;
      answeredMs = slotMs === undefined || slotMs > notAfterMs ? undefined : slotMs;
      return answeredMs;
    },
    isBlackedOut: (slotMs) => blackouts.some(({ contains }) => contains(slotMs)),
    blackoutChangeAfter: (slotMs) => Math.min(...blackouts.map(({ changeAfter }) => changeAfter(slotMs))),
  };
}

type Refuse = (field: string, value: unknown, wanted: string, cause?: unknown) => TimedJobsError;
type ReadInstant = (field: string, value: number | string) => number;
type ReadInteger = (field: string, value: number, least: number) => number;

interface Blackout {
  contains(slotMs: number): boolean;
  /** Until when `contains` stays as it is at `slotMs`, at least. */
  changeAfter(slotMs: number): number;
}

interface Slots {
  readonly kind: Schedule['kind'];
  nextAfter(afterMs: number): number | undefined;
}

function parseSlots(
  spec: ScheduleSpec,
  zone: Zone,
  refuse: Refuse,
  instant: ReadInstant,
  atLeast: ReadInteger,
): Slots {
  const given = [spec.cron, spec.everyMs, spec.at].filter((value) => value !== undefined);
  if (given.length !== 1) {
    throw refuse('the number of cron, everyMs and at', given.length, 'exactly one of them');
  }
  if (spec.cron !== undefined) {
    const nextAfter = parseCron('cron', spec.cron, zone, refuse);
    return { kind: 'cron', nextAfter };
  }
  if (spec.everyMs !== undefined) {
    const everyMs = atLeast('everyMs', spec.everyMs, LEAST_SPACING_MS);
    return {
      kind: 'every',
      nextAfter: (afterMs) => (Math.floor(afterMs / everyMs) + 1) * everyMs,
    };
  }
  const atMs = instant('at', spec.at);
  return { kind: 'at', nextAfter: (afterMs) => (afterMs < atMs ? atMs : undefined) };
}

function parseCron(
  field: string,
  text: string,
  zone: Zone,
  refuse: Refuse,
): (afterMs: number) => number | undefined {
  try {
    const pattern = parseWallPattern(text);
    return (afterMs) => nextCronSlot(pattern, zone, afterMs);
  } catch (error) {
    throw refuse(field, text, wantedOfCron(text), error);
  }
}

/** What is wrong with a pattern that cannot be read: its first field that cannot, else their number. */
function wantedOfCron(text: string): string {
  const fields = text.trim().split(/\s+/u);
  const wanted = CRON_FIELDS.slice(CRON_FIELDS.length - fields.length);
  if (wanted.length !== fields.length || fields.length < 5) return 'a cron pattern of 5 or 6 fields';
  const wrong = fields.findIndex((_, index) => !isCronField(fields, index));
  return wrong === -1
    ? 'a cron pattern of 5 or 6 fields'
    : `${wanted[wrong] ?? ''} in field ${wrong + 1}, not "${fields[wrong] ?? ''}"`;
}

/** Whether a field can be read when all others are left open. */
function isCronField(fields: readonly string[], index: number): boolean {
  try {
    parseWallPattern(fields.map((field, at) => (at === index ? field : '*')).join(' '));
    return true;
  } catch {
    return false;
  }
}

function parseBlackout(
  spec: BlackoutSpec,
  field: string,
  zone: Zone,
  refuse: Refuse,
  instant: ReadInstant,
  atLeast: ReadInteger,
): Blackout {
  if ('cron' in spec) {
    const nextAfter = parseCron(`${field}.cron`, spec.cron, zone, refuse);
    const durationMs = atLeast(`${field}.durationMs`, spec.durationMs, 1);
    return {
      contains(slotMs) {
        const beginsAtMs = nextAfter(slotMs - durationMs);
        return beginsAtMs !== undefined && beginsAtMs <= slotMs;
      },
      changeAfter(slotMs) {
        const beginsAtMs = nextAfter(slotMs - durationMs) ?? Infinity;
        return beginsAtMs <= slotMs ? beginsAtMs + durationMs : beginsAtMs;
      },
    };
  }
  const fromMs = instant(`${field}.from`, spec.from);
  const untilMs = instant(`${field}.until`, spec.until);
  if (untilMs <= fromMs) throw refuse(`${field}.until`, spec.until, 'an instant after its from');
  return {
    contains: (slotMs) => slotMs >= fromMs && slotMs < untilMs,
    changeAfter: (slotMs) => [fromMs, untilMs].find((edgeMs) => edgeMs > slotMs) ?? Infinity,
  };
}

function parseZone(name: string, refuse: Refuse): Zone {
  try {
    return zoneOf(name);
  } catch (error) {
    throw refuse('timezone', name, 'an IANA time zone known to this Node', error);
  }
}

function requireName(name: unknown): string {
  const trimmed = typeof name === 'string' ? name.trim() : '';
  if (trimmed === '') {
    throw new TimedJobsError(
      'invalid-schedule',
      `Cannot read schedule "${String(name)}": name is "${String(name)}", expected a non-empty text`,
    );
  }
  return trimmed;
}

function oneOf<T extends string>(field: string, value: T, allowed: readonly T[], refuse: Refuse): T {
  if (!allowed.includes(value)) throw refuse(field, value, `one of ${allowed.join(', ')}`);
  return value;
}

const CRON_FIELDS = [
  'a second from 0 to 59',
  'a minute from 0 to 59',
  'an hour from 0 to 23',
  'a day of the month from 1 to 31',
  'a month from 1 to 12 or JAN to DEC',
  'a day of the week from 0 to 7 or SUN to SAT',
];
const CATCH_UPS: readonly CatchUp[] = ['latest', 'all', 'none'];
const OVERLAPS: readonly Overlap[] = ['skip', 'queue-one', 'queue-all', 'cancel-previous', 'allow'];
const DAY_MS = 86_400_000;
/** Ticks are made for seconds; this bounds how many slots a catch-up window can hold. */
const LEAST_SPACING_MS = 100;
/** Each is a transaction of the store, and their instants are held while they are counted. */
const MOST_CAUGHT_UP = 10_000;
