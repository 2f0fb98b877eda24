import * as fc from 'fast-check';
import { describe, expect, inject, test } from 'vitest';
import {
  addDecimal,
  compareDecimal,
  createBudget,
  formatDecimal,
  numberToDecimal,
  parseDecimal,
  restoreBudget,
  subtractDecimal,
  ZERO,
  type Decimal,
} from '@conductor-run/arcp';

const COSTS = inject('soak') ? 1_000_000 : 20_000;
/** The oracle counts in units of 10^-400, where every double and every amount is a whole number. */
const ORACLE_SCALE = 400;

describe('decimals', () => {
  test('given any double, when read and written, it is the text JavaScript shows, to the last digit', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        const decimal = numberToDecimal(value);

        expect(Number(formatDecimal(decimal))).toBe(value === 0 ? 0 : value);
        expect(parseDecimal(formatDecimal(decimal))).toEqual(decimal);
      }),
    );
  });

  test('given any two, when added and taken away again, nothing is lost', () => {
    const decimals = fc.double({ noNaN: true, noDefaultInfinity: true }).map(numberToDecimal);
    fc.assert(
      fc.property(decimals, decimals, (left, right) => {
        expect(compareDecimal(subtractDecimal(addDecimal(left, right), right), left)).toBe(0);
        expect(compareDecimal(left, right)).toBe(-compareDecimal(right, left) + 0);
      }),
    );
  });
});

describe('budget', () => {
  test('given random costs, when charged, the counter equals an arbitrary-precision sum at every step', () => {
    const random = seeded(7);
    const budget = createBudget(new Map([['USD', parse('1000000')]]));
    let oracle = 1_000_000n * 10n ** BigInt(ORACLE_SCALE);
    let worst = 0n;
    for (let at = 0; at < COSTS; at += 1) {
      const cost = randomCost(random);
      const change = budget.charge('USD', cost);
      oracle -= toOracle(cost);
      const left = change === undefined ? 0n : scaled(change.remaining) - oracle;
      if (left !== 0n) worst = left;
    }

    expect(worst).toBe(0n);
    expect(scaled(budget.remaining().get('USD') ?? ZERO)).toBe(oracle);
  });

  test('given any history, when stored and restored, the counters are the same and the end is reached at the same cost', () => {
    const costs = fc.array(
      fc.integer({ min: 0, max: 10_000 }).map((units) => units / 10_000),
      { maxLength: 30 },
    );
    fc.assert(
      fc.property(costs, (spent) => {
        const budget = createBudget(new Map([['USD', parse('3')]]));
        for (const cost of spent) budget.charge('USD', cost);
        const restored = restoreBudget(budget.toStored());

        expect(restored.toStored()).toEqual(budget.toStored());
        expect(restored.exhausted()).toBe(budget.exhausted());
        expect(budget.exhausted() === undefined).toBe(
          spent.reduce((sum, cost) => sum + Math.round(cost * 10_000), 0) < 30_000,
        );
      }),
    );
  });
});

function parse(text: string): Decimal {
  const value = parseDecimal(text);
  if (value === undefined) throw new Error(`Cannot parse "${text}"`);
  return value;
}

function scaled({ units, scale }: Decimal): bigint {
  return units * 10n ** BigInt(ORACLE_SCALE - scale);
}

/** Written apart from the code under test: from `toExponential`, digit by digit. */
function toOracle(value: number): bigint {
  const [mantissa = '0', exponent = '0'] = value.toExponential().split('e');
  const digits = mantissa.replace('.', '');
  const fraction = mantissa.includes('.') ? mantissa.length - mantissa.indexOf('.') - 1 : 0;
  return BigInt(digits) * 10n ** BigInt(ORACLE_SCALE + Number(exponent) - fraction);
}

function randomCost(random: () => number): number {
  const kind = random();
  if (kind < 0.5) return Math.floor(random() * 10_000) / 10_000;
  if (kind < 0.8) return random();
  return random() * 10 ** -Math.floor(random() * 20);
}

/** A small generator, so that a failure can be repeated. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
