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

/** @internal Whatever was thrown, as an Error. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown), { cause: thrown });
}
