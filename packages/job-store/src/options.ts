/** Checks of what callers pass in, made before anything is written. Messages name the value and what was expected. */

/** @internal Throws RangeError unless `value` is a safe integer in the range. */
export function requireInteger(
  name: string,
  value: number,
  min: number,
  max: number = Number.MAX_SAFE_INTEGER,
): number {
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw new RangeError(
      `Cannot use ${name} "${value}": expected an integer of at least ${min}${max === Number.MAX_SAFE_INTEGER ? '' : ` and at most ${max}`}`,
    );
  }
  return value;
}

/** @internal Throws RangeError unless `value` is an instant in UTC ms, or a duration in ms of at least `min`. */
export function requireMs(name: string, value: number, min = 0): number {
  return requireInteger(name, value, min, MAX_INSTANT_MS);
}

/** @internal Throws RangeError unless `value` is a watermark or a term: from 1, with room to count on. */
export function requireNumber(name: string, value: number): number {
  return requireInteger(name, value, 1, MAX_NUMBER);
}

/** @internal The instant that long after another, no later than time itself ends: sums stay safe integers. */
export function addMs(instantMs: number, durationMs: number): number {
  return Math.min(instantMs + durationMs, MAX_INSTANT_MS);
}

/** @internal Throws TypeError unless `value` is text of a length the store can index. */
export function requireText(name: string, value: string, maxLength: number = MAX_TEXT_LENGTH): string {
  if (typeof value !== 'string' || value.length === 0 || value.length > maxLength || !isStorable(value)) {
    throw new TypeError(
      `Cannot use ${name} "${describe(value)}": expected well-formed text of 1 to ${maxLength} characters without NUL`,
    );
  }
  return value;
}

/**
 * @internal Whether every engine gives this text back as it is. Half a surrogate pair becomes another character in UTF-8,
 * the same one for all of them; at NUL, SQLite's functions and PostgreSQL stop.
 */
export function isStorable(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0');
}

function describe(value: unknown): string {
  // Half a surrogate pair must not reach a log.
  return typeof value === 'string' ? Buffer.from(value.slice(0, 100)).toString() : typeof value;
}

/** @internal The JSON of a value, `null` for none; throws TypeError for what JSON cannot hold. */
export function toJson(name: string, value: unknown): string | null {
  if (value === undefined) return null;
  const json: string | undefined = JSON.stringify(value);
  if (json === undefined) {
    throw new TypeError(`Cannot use ${name} of type "${typeof value}": expected a JSON value`);
  }
  return json;
}

/** @internal In characters. */
export const MAX_KIND_LENGTH = 200;
/** @internal In characters. */
export const MAX_TEXT_LENGTH = 1000;
/** @internal The last instant a `Date` can hold, and the longest duration, in ms. */
export const MAX_INSTANT_MS = 8.64e15;
/** @internal The highest watermark, term, token or number of a row: leaves room to count on within safe integers. */
export const MAX_NUMBER = 8.64e15;
