/**
 * Budget counters (section 9.6). Invariant: one counter serves enforcement, `job.subscribed` and the metrics, and a
 * child's spending is taken from every ancestor that counts the currency.
 */
import { ArcpError } from './errors.ts';
import {
  addDecimal,
  compareDecimal,
  decimalToNumber,
  formatDecimal,
  numberToDecimal,
  parseDecimal,
  subtractDecimal,
  ZERO,
  type Decimal,
} from './decimal.ts';

/** What one charge did to one counter. */
export interface BudgetChange {
  /** The counter's currency. */
  readonly currency: string;
  /** What is left; may be negative. */
  readonly remaining: Decimal;
  /** Whether a `cost.budget.remaining` metric is due: at first, after 5 % of the initial amount, and at zero. */
  readonly isMaterial: boolean;
}

/** The counters of one job. */
export interface Budget {
  /** Takes a reported cost off this counter and those of the ancestors; `undefined` when nothing was counted here. */
  charge(currency: string, value: number): BudgetChange | undefined;
  /** Takes an amount off this counter and those of the ancestors without a report: a child's spending. */
  debit(currency: string, amount: Decimal): void;
  /** A currency at or below zero, here or at an ancestor; `undefined` while there is something left of all. */
  exhausted(): string | undefined;
  /** What is left by currency, at most what is left at the ancestors. */
  remaining(): ReadonlyMap<string, Decimal>;
  /** The same as JSON numbers, own counters only; `undefined` when the lease has no budget. */
  toJson(): Readonly<Record<string, number>> | undefined;
  /** The counters as exact text, for a store. */
  toStored(): Readonly<Record<string, StoredCounter>>;
}

/** A counter in a store. */
export interface StoredCounter {
  /** What the job began with, as decimal text. */
  readonly initial: string;
  /** What has been spent, as decimal text. */
  readonly spent: string;
}

/**
 * Starts counters.
 *
 * @param initial - the amount by currency
 * @param parent - the delegating job's budget, if there is one
 */
export function createBudget(initial: ReadonlyMap<string, Decimal>, parent?: Budget): Budget {
  const counters = new Map<string, Counter>();
  for (const [currency, amount] of initial) {
    counters.set(currency, { initial: amount, remaining: amount, reported: undefined });
  }
  return budgetOf(counters, parent);
}

/**
 * Continues counters after a restart.
 *
 * @param stored - what `toStored` gave
 * @param parent - the delegating job's budget, if there is one
 * @throws ArcpError with code store-unreadable when a counter is not a number
 */
export function restoreBudget(stored: Readonly<Record<string, StoredCounter>>, parent?: Budget): Budget {
  const counters = new Map<string, Counter>();
  for (const [currency, counter] of Object.entries(stored)) {
    const initial = requireDecimal(counter.initial);
    const remaining = subtractDecimal(initial, requireDecimal(counter.spent));
    counters.set(currency, { initial, remaining, reported: remaining });
  }
  return budgetOf(counters, parent);
}

interface Counter {
  readonly initial: Decimal;
  remaining: Decimal;
  /** What the last metric said; `undefined` before the first. */
  reported: Decimal | undefined;
}

function budgetOf(counters: Map<string, Counter>, parent: Budget | undefined): Budget {
  const exhausted = (): string | undefined => {
    for (const [currency, counter] of counters) {
      if (compareDecimal(counter.remaining, ZERO) <= 0) return currency;
    }
    return parent?.exhausted();
  };
  const remaining = (): ReadonlyMap<string, Decimal> => {
    const above = parent?.remaining() ?? new Map<string, Decimal>();
    const left = new Map<string, Decimal>();
    for (const [currency, counter] of counters) {
      const bound = above.get(currency);
      const isTighter = bound !== undefined && compareDecimal(bound, counter.remaining) < 0;
      left.set(currency, isTighter ? bound : counter.remaining);
    }
    return left;
  };
  const debit = (currency: string, amount: Decimal): void => {
    parent?.debit(currency, amount);
    const counter = counters.get(currency);
    if (counter !== undefined) counter.remaining = subtractDecimal(counter.remaining, amount);
  };
  return {
    debit,
    charge(currency, value) {
      if (!Number.isFinite(value) || value < 0) return undefined;
      debit(currency, numberToDecimal(value));
      const counter = counters.get(currency);
      if (counter === undefined) return undefined;
      const isMaterial = isReportDue(counter);
      if (isMaterial) counter.reported = counter.remaining;
      return { currency, remaining: counter.remaining, isMaterial };
    },
    exhausted,
    remaining,
    toJson() {
      if (counters.size === 0) return undefined;
      return Object.fromEntries(
        [...counters].map(([currency, counter]) => [currency, decimalToNumber(counter.remaining)]),
      );
    },
    toStored() {
      return Object.fromEntries(
        [...counters].map(([currency, { initial, remaining: left }]) => [
          currency,
          { initial: formatDecimal(initial), spent: formatDecimal(subtractDecimal(initial, left)) },
        ]),
      );
    },
  };
}

function requireDecimal(text: string): Decimal {
  const value = parseDecimal(text);
  if (value !== undefined) return value;
  throw new ArcpError('store-unreadable', `Cannot read counter "${text}": expected a decimal number`);
}

function isReportDue(counter: Counter): boolean {
  const { initial, remaining, reported } = counter;
  if (reported === undefined) return true;
  if (compareDecimal(remaining, ZERO) <= 0 && compareDecimal(reported, ZERO) > 0) return true;
  const dropped = subtractDecimal(reported, remaining);
  if (compareDecimal(dropped, ZERO) <= 0) return false;
  // dropped >= 5 % of initial, without dividing: 20 * dropped >= initial.
  const twentyfold = { units: dropped.units * 20n, scale: dropped.scale };
  return compareDecimal(addDecimal(twentyfold, ZERO), initial) >= 0;
}
