/** Failures that happen behind the owner's back: told once, or kept for the next call. */
import type { LoggingError } from './errors.ts';

/** @internal */
export interface FailureReport {
  /** A background write failed. Tells the owner unless it was told since something last succeeded. */
  fail(error: LoggingError): void;
  /** Something was written: the next failure is news again. */
  succeed(): void;
  /** Throws what nobody could be told, once. */
  throwKept(): void;
}

/** @internal */
export function createFailureReport(onError: ((error: LoggingError) => void) | undefined): FailureReport {
  let isFailing = false;
  let kept: LoggingError | undefined;
  return {
    fail(error) {
      if (isFailing) return;
      isFailing = true;
      if (onError === undefined) kept ??= error;
      else onError(error);
    },
    succeed() {
      isFailing = false;
    },
    throwKept() {
      const error = kept;
      kept = undefined;
      if (error !== undefined) throw error;
    },
  };
}
