/**
 * Exact decimal numbers for money: an integer and a power of ten. Invariant: no operation here ever rounds, so
 * 0.1 + 0.2 is 0.3 and a budget is spent to the last digit.
 */

/** `units * 10^-scale`, normalised: no trailing zero in `units` while `scale` is above 0. */
export interface Decimal {
  /** The digits, with the sign. */
  readonly units: bigint;
  /** How many of the digits stand behind the point; 0 to 400. */
  readonly scale: number;
}

/** Nothing. */
export const ZERO: Decimal = { units: 0n, scale: 0 };

/**
 * Reads `digits[.digits]`, the draft's amount, optionally signed.
 *
 * @param text - at most 1,000 characters
 * @returns `undefined` for anything else
 */
export function parseDecimal(text: string): Decimal | undefined {
  if (text.length > MAX_TEXT || !DECIMAL.test(text)) return undefined;
  return fromText(text);
}

/**
 * The decimal a JavaScript number shows, so 0.1 is exactly one tenth.
 *
 * @param value - finite
 * @throws RangeError when `value` is not finite
 */
export function numberToDecimal(value: number): Decimal {
  if (!Number.isFinite(value)) {
    throw new RangeError(`Cannot read decimal "${value}": expected a finite number`);
  }
  const [mantissa = '0', exponent = '0'] = String(value).split('e');
  const { units, scale } = fromText(mantissa);
  const shift = scale - Number(exponent);
  return shift >= 0 ? normalise(units, shift) : { units: units * 10n ** BigInt(-shift), scale: 0 };
}

/** `left + right`. */
export function addDecimal(left: Decimal, right: Decimal): Decimal {
  const scale = Math.max(left.scale, right.scale);
  return normalise(unitsAt(left, scale) + unitsAt(right, scale), scale);
}

/** `left - right`. */
export function subtractDecimal(left: Decimal, right: Decimal): Decimal {
  return addDecimal(left, { units: -right.units, scale: right.scale });
}

/** Negative, zero or positive as `left` is less than, equal to or greater than `right`. */
export function compareDecimal(left: Decimal, right: Decimal): number {
  const scale = Math.max(left.scale, right.scale);
  const difference = unitsAt(left, scale) - unitsAt(right, scale);
  if (difference === 0n) return 0;
  return difference < 0n ? -1 : 1;
}

/** The plain decimal text, without exponent: `-0.12`. {@link parseDecimal} reads it back. */
export function formatDecimal(value: Decimal): string {
  const { units, scale } = value;
  if (scale === 0) return String(units);
  const sign = units < 0n ? '-' : '';
  const digits = String(units < 0n ? -units : units).padStart(scale + 1, '0');
  return `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

/** The nearest JavaScript number, for JSON. */
export function decimalToNumber(value: Decimal): number {
  return Number(formatDecimal(value));
}

function fromText(text: string): Decimal {
  const point = text.indexOf('.');
  if (point === -1) return { units: BigInt(text), scale: 0 };
  const fraction = text.slice(point + 1);
  return normalise(BigInt(text.slice(0, point) + fraction), fraction.length);
}

function unitsAt(value: Decimal, scale: number): bigint {
  return scale === value.scale ? value.units : value.units * 10n ** BigInt(scale - value.scale);
}

function normalise(units: bigint, scale: number): Decimal {
  if (units === 0n) return ZERO;
  let digits = units;
  let left = scale;
  while (left > 0 && digits % 10n === 0n) {
    digits /= 10n;
    left -= 1;
  }
  return { units: digits, scale: left };
}

const DECIMAL = /^-?\d+(?:\.\d+)?$/;
/** Room for the sum of the largest and the smallest number JavaScript knows. */
const MAX_TEXT = 1_000;
