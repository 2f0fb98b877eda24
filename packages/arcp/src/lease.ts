/**
 * Leases: what a job may do (sections 9.1 to 9.4 and 9.7). Invariant: what no pattern covers is refused, and a
 * delegated lease is allowed only when it is proved to be within its parent's.
 */
import { ArcpError } from './errors.ts';
import { compareDecimal, formatDecimal, parseDecimal, type Decimal } from './decimal.ts';
import {
  compilePattern,
  isPatternIncluded,
  matchPattern,
  normaliseResource,
  type ResourcePattern,
} from './resource.ts';

/** Grants by namespace, as they travel. */
export type Lease = Readonly<Record<string, readonly string[]>>;

/** Bounds of a lease beside its grants. */
export interface LeaseConstraints {
  /** When the authority ends: ISO 8601 with a final `Z`. */
  readonly expires_at?: string;
}

/** A lease ready to be asked. */
export interface CompiledLease {
  /** As it travels. */
  readonly lease: Lease;
  /** The patterns by namespace, without `cost.budget`. */
  readonly patterns: ReadonlyMap<string, readonly ResourcePattern[]>;
  /** The budget by currency, exact. Empty when the lease has none. */
  readonly budget: ReadonlyMap<string, Decimal>;
}

/** The namespaces the draft reserves. */
export const RESERVED_NAMESPACES: readonly string[] = [
  'fs.read',
  'fs.write',
  'net.fetch',
  'tool.call',
  'agent.delegate',
  'cost.budget',
  'model.use',
];

/**
 * Checks and compiles a lease.
 *
 * @param lease - at most 64 namespaces of 256 patterns
 * @throws ArcpError with code INVALID_REQUEST when a namespace, a pattern or an amount cannot be understood
 */
export function compileLease(lease: Lease): CompiledLease {
  const entries = Object.entries(lease);
  if (entries.length > MAX_NAMESPACES)
    throw invalid('lease', String(entries.length), 'at most 64 namespaces');
  const patterns = new Map<string, readonly ResourcePattern[]>();
  let budget: ReadonlyMap<string, Decimal> = new Map();
  for (const [namespace, sources] of entries) {
    if (!NAMESPACE.test(namespace)) throw invalid('capability', namespace, 'a dotted namespace');
    if (sources.length > MAX_PATTERNS) throw invalid('capability', namespace, 'at most 256 patterns');
    if (namespace === 'cost.budget') budget = parseBudget(sources);
    else patterns.set(namespace, compilePatterns(namespace, sources));
  }
  return { lease, patterns, budget };
}

/**
 * Whether the lease covers one operation. Time and budget are asked elsewhere.
 *
 * @param lease - the effective lease
 * @param namespace - such as `tool.call`
 * @param resource - path, URL or name
 */
export function isGranted(lease: CompiledLease, namespace: string, resource: string): boolean {
  const patterns = lease.patterns.get(namespace);
  if (patterns === undefined) return false;
  const parts = normaliseResource(namespace, resource);
  return parts !== undefined && patterns.some((pattern) => matchPattern(pattern, parts));
}

/** What bounds a delegation beside the parent's grants. */
export interface ParentBounds {
  /** The parent's lease. */
  readonly lease: CompiledLease;
  /** What is left of each of the parent's currencies now, its own ancestors counted. */
  readonly remaining: ReadonlyMap<string, Decimal>;
  /** When the parent's authority ends, in UTC milliseconds; `undefined` when it does not. */
  readonly expiresAtMs: number | undefined;
}

/**
 * Refuses a delegated lease that is not proved to be within its parent's.
 *
 * @param child - what the agent asks for
 * @param childExpiresAtMs - the end it asks for, if any
 * @param parent - what bounds it
 * @returns the child's effective end: the earlier of the two
 * @throws ArcpError with code LEASE_SUBSET_VIOLATION, naming the first grant that is too much
 */
export function requireSubset(
  child: CompiledLease,
  childExpiresAtMs: number | undefined,
  parent: ParentBounds,
): number | undefined {
  for (const [namespace, patterns] of child.patterns) {
    const bound = parent.lease.patterns.get(namespace) ?? [];
    const excess = patterns.find((pattern) => !isPatternIncluded(pattern, bound));
    if (excess !== undefined) throw violation(namespace, excess.source, 'a pattern within the parent lease');
  }
  for (const [currency, amount] of child.budget) {
    const left = parent.remaining.get(currency);
    if (left === undefined || compareDecimal(amount, left) > 0) {
      const wanted = left === undefined ? 'a currency of the parent' : `at most ${formatDecimal(left)}`;
      throw violation('cost.budget', `${currency}:${formatDecimal(amount)}`, wanted);
    }
  }
  if (childExpiresAtMs === undefined) return parent.expiresAtMs;
  if (parent.expiresAtMs !== undefined && childExpiresAtMs > parent.expiresAtMs) {
    const wanted = `at most "${new Date(parent.expiresAtMs).toISOString()}"`;
    throw violation('expires_at', new Date(childExpiresAtMs).toISOString(), wanted);
  }
  return childExpiresAtMs;
}

/**
 * Reads `expires_at`.
 *
 * @param text - ISO 8601 with a final `Z`
 * @param nowMs - UTC milliseconds; the result is later
 * @returns UTC milliseconds
 * @throws ArcpError with code INVALID_REQUEST when it is no such instant, or not in the future
 */
export function parseExpiresAt(text: string, nowMs: number): number {
  const atMs = UTC_INSTANT.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(atMs)) throw invalid('expires_at', text, 'an ISO 8601 instant that ends in Z');
  if (atMs <= nowMs) throw invalid('expires_at', text, 'an instant in the future');
  return atMs;
}

function compilePatterns(namespace: string, sources: readonly string[]): readonly ResourcePattern[] {
  return sources.map((source) => {
    const pattern = compilePattern(namespace, source);
    if (pattern === undefined) throw invalid(`${namespace} pattern`, source, 'a glob of that namespace');
    return pattern;
  });
}

function parseBudget(amounts: readonly string[]): ReadonlyMap<string, Decimal> {
  const budget = new Map<string, Decimal>();
  for (const amount of amounts) {
    const [, currency, digits] = AMOUNT.exec(amount) ?? [];
    const value = digits === undefined ? undefined : parseDecimal(digits);
    if (currency === undefined || value === undefined) {
      throw invalid('cost.budget', amount, 'currency:digits[.digits]');
    }
    if (budget.has(currency)) throw invalid('cost.budget', amount, 'each currency once');
    budget.set(currency, value);
  }
  return budget;
}

function invalid(what: string, value: string, wanted: string): ArcpError {
  return new ArcpError('INVALID_REQUEST', `Cannot read ${what} "${value.slice(0, 200)}": expected ${wanted}`);
}

function violation(namespace: string, value: string, wanted: string): ArcpError {
  return new ArcpError(
    'LEASE_SUBSET_VIOLATION',
    `Cannot delegate ${namespace} "${value}": it is not proved to be within the parent's, expected ${wanted}`,
    { details: { capability: namespace, requested: value } },
  );
}

const NAMESPACE = /^[a-z][a-z0-9_-]*(?:\.[a-z0-9_-]+)+$/;
const AMOUNT = /^([A-Za-z][A-Za-z0-9_-]{0,31}):(\d{1,40}(?:\.\d{1,40})?)$/;
const UTC_INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?Z$/;
const MAX_NAMESPACES = 64;
const MAX_PATTERNS = 256;
