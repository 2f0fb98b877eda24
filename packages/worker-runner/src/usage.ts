/**
 * Adds up what a step reported: costs exactly, in decimals, so that 0.1 and 0.2 make 0.3.
 * Invariant: every sum is a number that JSON can hold, and there are no more than 1,000 of each sort.
 */
import type { StepEvent } from './step-events.ts';
import type { StepUsage } from './result.ts';

/** Sums `cost.*` and `tokens.*` metrics. */
export interface UsageCounter {
  /** Takes one event; anything but such a metric is ignored, and so are negative values and those no number holds. */
  add(event: Pick<StepEvent, 'kind' | 'body'>): void;
  /** The sums so far. */
  usage(): StepUsage;
}

/** Starts at nothing. */
export function createUsageCounter(): UsageCounter {
  const costs = new Map<string, Decimal>();
  const tokens = new Map<string, number>();
  return {
    add(event) {
      const { name, value, unit } = event.body;
      if (event.kind !== 'metric' || typeof name !== 'string' || typeof value !== 'number' || !(value >= 0))
        return;
      if (name.startsWith('cost.') && typeof unit === 'string') {
        put(costs, unit, addDecimals(costs.get(unit) ?? ZERO, parseDecimal(value)));
      } else if (name.startsWith('tokens.')) {
        const what = name.slice('tokens.'.length);
        put(tokens, what, Math.min((tokens.get(what) ?? 0) + value, Number.MAX_VALUE));
      }
    },
    usage: () => ({
      costs: Object.fromEntries([...costs].map(([unit, sum]) => [unit, formatDecimal(sum)])),
      tokens: Object.fromEntries(tokens),
    }),
  };
}

function put<T>(sums: Map<string, T>, name: string, sum: T): void {
  if (sums.has(name) || sums.size < MAX_NAMES) sums.set(name, sum);
}

/** `units` × 10^-scale. */
interface Decimal {
  readonly units: bigint;
  readonly scale: number;
}

/** The shortest text that reads back as the same number is what the step wrote. */
function parseDecimal(value: number): Decimal {
  const [mantissa = '0', exponent = '0'] = value.toString().split('e');
  const [whole = '0', fraction = ''] = mantissa.split('.');
  const scale = fraction.length - Number(exponent);
  const units = BigInt(whole + fraction);
  return scale >= 0 ? { units, scale } : { units: units * 10n ** BigInt(-scale), scale: 0 };
}

function addDecimals(a: Decimal, b: Decimal): Decimal {
  const scale = Math.max(a.scale, b.scale);
  const grow = (decimal: Decimal): bigint => decimal.units * 10n ** BigInt(scale - decimal.scale);
  return { units: grow(a) + grow(b), scale };
}

function formatDecimal({ units, scale }: Decimal): string {
  const digits = units.toString().padStart(scale + 1, '0');
  const whole = digits.slice(0, digits.length - scale);
  const fraction = digits.slice(digits.length - scale).replace(/0+$/u, '');
  return fraction === '' ? whole : `${whole}.${fraction}`;
}

const ZERO: Decimal = { units: 0n, scale: 0 };
const MAX_NAMES = 1000;
