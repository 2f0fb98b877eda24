/** What this package refuses, and why. Invariant: the union below and the table in the README list the same codes. */

/** Why timed-jobs refused, or what went wrong in a tick. Stable: switch on it, log it, alert on it. */
export type TimedJobsErrorCode =
  | 'duplicate-runner'
  | 'duplicate-schedule'
  | 'gate-contract'
  | 'invalid-schedule'
  | 'runner-aborted'
  | 'runner-timeout'
  | 'slots-undecided'
  | 'unknown-schedule';

/** Thrown when a call is refused; also the recorded cause when a runner is cut off. */
export class TimedJobsError extends Error {
  override get name(): string {
    return 'TimedJobsError';
  }

  /** Which refusal it is. */
  readonly code: TimedJobsErrorCode;

  /**
   * @param code - which refusal it is
   * @param message - what could not be done, the state now, the state wanted
   * @param options - the cause, when there is one
   */
  constructor(code: TimedJobsErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/**
 * @internal Whatever was thrown, as an Error whose name, message and stack can be read. Never throws: a value without a
 * text form, or an error whose fields throw, becomes an error that says so.
 */
export function toError(thrown: unknown): Error {
  try {
    if (!(thrown instanceof Error)) return new Error(String(thrown), { cause: thrown });
    const { name, message, stack } = thrown;
    if (isText(name) && isText(message) && (stack === undefined || isText(stack))) return thrown;
  } catch {
    // Nothing of it can be trusted, so nothing of it is handed on.
  }
  return new Error(`Something that cannot be shown as text was thrown, of type "${typeof thrown}"`);
}

function isText(value: unknown): boolean {
  return typeof value === 'string';
}
