/** The one error class of this package. Invariant: `code` is stable; nobody branches on a message. */

/** Why logging refused or failed. Stable: switch on it, log it, alert on it. */
export type LoggingErrorCode =
  | 'invalid-id'
  | 'unsafe-path'
  | 'run-exists'
  | 'run-not-found'
  | 'record-unreadable'
  | 'layout-unsupported'
  | 'illegal-transition'
  | 'write-failed'
  | 'limit-unenforceable'
  | 'output-claimed'
  | 'redactor-required'
  | 'secret-unusable'
  | 'closed';

/** Thrown, or handed to `onError`, when a run directory cannot be read or written as asked. */
export class LoggingError extends Error {
  override get name(): string {
    return 'LoggingError';
  }
  /** Why; see the table in the README. */
  readonly code: LoggingErrorCode;
  constructor(code: LoggingErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** @internal Whether a system call failed with `code`, such as `ENOENT`. */
export function hasSystemCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
