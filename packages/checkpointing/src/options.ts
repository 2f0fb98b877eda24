/** The ports and shared options of this package. Invariant: everything here is structural; nothing imports a logger or a redactor. */
import { CheckpointError } from './errors.ts';

/** What finds and hides known secrets; the logging package's redactor fits. */
export interface Redactor {
  /** Replaces every secret in `text`. */
  redact(text: string): string;
  /** True when the bytes hold a known secret. */
  contains(bytes: Uint8Array): boolean;
}

/** The part of a pino logger this package uses. */
export interface Logger {
  /** Something a person should know, that stopped nothing. */
  warn(fields: object, message: string): void;
}

/** How git is run. */
export interface GitOptions {
  /**
   * Where PATH, HOME and the like come from. `GIT_*` is dropped, whatever is here.
   *
   * @defaultValue the environment of this process
   */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Ends the running git process and rejects with the signal's reason; nothing half-written stays in the repository. */
  readonly signal?: AbortSignal;
  /**
   * The longest one git process may take, in ms.
   *
   * @defaultValue 120000
   */
  readonly timeoutMs?: number;
}

/** @internal */
export const silentRedactor: Redactor = { redact: (text) => text, contains: () => false };

/** @internal */
export const silentLogger: Logger = { warn: () => undefined };

/** @internal Ids become parts of file and ref names, so only names that are safe as both pass. */
export function requireId(name: string, value: string): string {
  const isSafe = ID_PATTERN.test(value) && !value.includes('..') && !/(?:\.|\.lock)$/.test(value);
  if (!isSafe) {
    throw new TypeError(
      `Cannot create checkpoint manager with ${name} "${value}": expected 1 to 100 letters, digits, ".", "_" or "-", starting with a letter or digit, without ".." and not ending in "." or ".lock"`,
    );
  }
  return value;
}

/** @internal */
export function requireCount(name: string, value: number, minimum: number): number {
  if (!Number.isSafeInteger(value) || value < minimum) {
    throw new RangeError(`Cannot use ${name} "${value}": expected an integer of at least ${minimum}`);
  }
  return value;
}

/** @internal A value from our own structures that must be there; anything else is a broken record. */
export function required<T>(value: T | undefined, what: string): T {
  if (value === undefined) {
    throw new CheckpointError('git-failed', `Cannot read ${what}: git gave none, expected one`);
  }
  return value;
}

const ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;
