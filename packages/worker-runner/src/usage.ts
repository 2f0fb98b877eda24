/** Adds up what a step reported: costs exactly, in decimals, so that 0.1 and 0.2 make 0.3. */
import type { StepEvent } from './step-events.ts';
import type { StepUsage } from './result.ts';

/** Sums `cost.*` and `tokens.*` metrics. */
export interface UsageCounter {
  /** Takes one event; anything but such a metric is ignored, and so is a negative value. */
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
      if (event.kind !== 'metric' || typeof name !== 'string' || typeof value !== 'number' || value < 0)
        return;
      if (name.startsWith('cost.') && typeof unit === 'string') {
        costs.set(unit, addDecimals(costs.get(unit) ?? ZERO, parseDecimal(value)));
      } else if (name.startsWith('tokens.')) {
        const what = name.slice('tokens.'.length);
        tokens.set(what, (tokens.get(what) ?? 0) + value);
      }
    },
    usage: () => ({
      costs: Object.fromEntries([...costs].map(([unit, sum]) => [unit, formatDecimal(sum)])),
      tokens: Object.fromEntries(tokens),
    }),
  };
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
