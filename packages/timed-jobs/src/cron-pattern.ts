/**
 * A cron pattern as wall-clock arithmetic: croner reads the text, this file finds the matching wall times.
 * Invariant: nothing here knows of time zones; a wall time is a number of ms as if the wall clock showed UTC.
 */

import { CronPattern } from 'croner';

/** @internal A pattern made ready for searching. */
export interface WallPattern {
  /** No `*` and no step in second, minute and hour: the schedule means a time of day, not a spacing. */
  readonly isFixedTime: boolean;
  /** The first matching wall time in [`fromWallMs`, `limitWallMs`), or `undefined`. */
  next(fromWallMs: number, limitWallMs: number): number | undefined;
}

/**
 * @internal Reads a pattern of 5 or 6 fields.
 *
 * @throws whatever croner throws about a pattern it cannot read
 */
export function parseWallPattern(text: string): WallPattern {
  // Croner keeps 80 kB per pattern (a table of years), so only these small tables outlive this call.
  const pattern = new CronPattern(text, undefined, { mode: '5-or-6-parts', fixedTimeRule: 'no-wildcard' });
  const nextSecond = nextTable(pattern.second);
  const nextMinute = nextTable(pattern.minute);
  const nextHour = nextTable(pattern.hour);
  const dayMask = createDayMask(pattern);
  const firstTime = nextTimeOfDay(0, nextHour, nextMinute, nextSecond);

  return {
    isFixedTime: pattern.isFixedTime,
    next(fromWallMs, limitWallMs) {
      const fromSecond = Math.ceil(fromWallMs / SECOND_MS);
      let day = Math.floor(fromSecond / DAY_S);
      const today = nextTimeOfDay(fromSecond - day * DAY_S, nextHour, nextMinute, nextSecond);
      // The day of `from` counts only when a matching time is left in it.
      const startDay = today === -1 ? day + 1 : day;
      day = nextDay(dayMask, startDay, Math.ceil(limitWallMs / DAY_MS));
      if (day === -1) return undefined;
      const timeOfDay = day === startDay && today !== -1 ? today : firstTime;
      const wallMs = (day * DAY_S + timeOfDay) * SECOND_MS;
      return wallMs < limitWallMs ? wallMs : undefined;
    },
  };
}

/** `table[i]` is the smallest set index at or after `i`, or -1. One longer than `flags`, so that `i + 1` is always in it. */
function nextTable(flags: readonly number[]): Int8Array {
  const table = new Int8Array(flags.length + 1).fill(-1);
  for (let index = flags.length - 1; index >= 0; index--) {
    table[index] = flags[index] ? index : (table[index + 1] ?? -1);
  }
  return table;
}

/** The first matching second of the day at or after `second`, or -1. */
function nextTimeOfDay(second: number, hours: Int8Array, minutes: Int8Array, seconds: Int8Array): number {
  const wantedHour = Math.floor(second / 3_600);
  const wantedMinute = Math.floor(second / 60) % 60;
  let hour = hours[wantedHour] ?? -1;
  if (hour === wantedHour) {
    let minute = minutes[wantedMinute] ?? -1;
    if (minute === wantedMinute) {
      const found = seconds[second % 60] ?? -1;
      if (found !== -1) return hour * 3_600 + minute * 60 + found;
      minute = minutes[wantedMinute + 1] ?? -1;
    }
    if (minute !== -1) return hour * 3_600 + minute * 60 + (seconds[0] ?? -1);
    hour = hours[wantedHour + 1] ?? -1;
  }
  return hour === -1 ? -1 : hour * 3_600 + (minutes[0] ?? -1) * 60 + (seconds[0] ?? -1);
}

/** The first matching day number in [`fromDay`, `limitDay`), or -1. Day 0 is 1970-01-01. */
function nextDay(mask: DayMask, fromDay: number, limitDay: number): number {
  let { year, month, day } = civilOfDay(fromDay);
  for (;;) {
    const firstOfMonth = dayOfCivil(year, month, 1);
    if (firstOfMonth >= limitDay) return -1;
    const bits = mask(year, month) >>> (day - 1);
    // `31 - clz32` of the lowest bit is its index.
    if (bits !== 0) return firstOfMonth + day - 1 + (31 - Math.clz32(bits & -bits));
    day = 1;
    month += 1;
    if (month === 13) {
      month = 1;
      year += 1;
    }
  }
}

/** Bit d-1 is set when day d of that month matches; zero when none does. */
type DayMask = (year: number, month: number) => number;

function createDayMask(pattern: CronPattern): DayMask {
  const { useAndLogic, starDOM, starDOW, lastDayOfMonth, lastWeekday } = pattern;
  const months = pattern.month.map(Boolean);
  const daysOfMonth = pattern.day.map(Boolean);
  const weekdays = pattern.dayOfWeek.slice(0, 7);
  const nearest = pattern.nearestWeekdays.flatMap((flag, index) => (flag ? [index + 1] : []));

  const matches = (day: number, length: number, firstWeekday: number): boolean => {
    const weekday = (firstWeekday + day - 1) % 7;
    const byDate =
      daysOfMonth[day - 1] === true ||
      (lastDayOfMonth && day === length) ||
      (lastWeekday && day === nearestWeekday(length, length, firstWeekday)) ||
      nearest.some((wanted) => wanted <= length && nearestWeekday(wanted, length, firstWeekday) === day);
    if (starDOW) return byDate;
    const byWeekday = matchesWeekday(weekdays[weekday] ?? 0, day, length);
    if (useAndLogic) return byDate && byWeekday;
    // As in every cron since 1988: two restricted day fields mean either; a star leaves it to the other.
    return starDOM ? byWeekday : byDate || byWeekday;
  };

  let lastKey = -1;
  let lastMask = 0;
  return (year, month) => {
    const key = year * 12 + month;
    if (key === lastKey) return lastMask;
    let mask = 0;
    if (months[month - 1] === true) {
      const first = dayOfCivil(year, month, 1);
      const firstWeekday = (((first + 4) % 7) + 7) % 7;
      const length = month === 12 ? 31 : dayOfCivil(year, month + 1, 1) - first;
      for (let day = 1; day <= length; day++) {
        if (matches(day, length, firstWeekday)) mask |= 1 << (day - 1);
      }
    }
    lastKey = key;
    lastMask = mask;
    return mask;
  };
}

/** Croner's encoding: bit n-1 for the nth such weekday of the month, bit 5 for the last one, all six for any. */
function matchesWeekday(flags: number, day: number, length: number): boolean {
  if (flags === 0) return false;
  const nth = 1 << Math.floor((day - 1) / 7);
  return (flags & nth) !== 0 || ((flags & LAST_OCCURRENCE) !== 0 && day + 7 > length);
}

/** The Monday to Friday nearest to `day` within its month. */
function nearestWeekday(day: number, length: number, firstWeekday: number): number {
  const weekday = (firstWeekday + day - 1) % 7;
  if (weekday === 0) return day === length ? day - 2 : day + 1;
  if (weekday === 6) return day === 1 ? day + 2 : day - 1;
  return day;
}

/** Days since 1970-01-01 of a date in the proleptic Gregorian calendar (Howard Hinnant's days_from_civil). */
function dayOfCivil(year: number, month: number, day: number): number {
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}

/** The inverse of `dayOfCivil`. */
function civilOfDay(dayNumber: number): { year: number; month: number; day: number } {
  const shifted = dayNumber + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1_460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9;
  const day = dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1;
  return { year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day };
}

const LAST_OCCURRENCE = 32;
const SECOND_MS = 1_000;
const DAY_S = 86_400;
const DAY_MS = DAY_S * SECOND_MS;
