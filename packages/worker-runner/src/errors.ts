/** The one error class of this package. Invariant: `code` is stable; nobody branches on a message. */

/** Why worker-runner refused or failed. Stable: switch on it, log it, alert on it. */
export type WorkerRunnerErrorCode =
  | 'invalid-request'
  | 'run-not-found'
  | 'run-not-live'
  | 'run-owned'
  | 'record-unreadable'
  | 'record-unwritable'
  | 'supervisor-unavailable'
  | 'supervisor-refused'
  | 'lease-keeper-unusable'
  | 'worktree-exists'
  | 'worktree-not-found'
  | 'worktree-dirty'
  | 'worktree-unmerged'
  | 'worktree-setup-failed'
  | 'git-failed';

/** Thrown when a call cannot be honoured. How a step ends is never an error: see `StepResult.outcome`. */
export class WorkerRunnerError extends Error {
  override get name(): string {
    return 'WorkerRunnerError';
  }
  /** Why; see the table in the README. */
  readonly code: WorkerRunnerErrorCode;
  constructor(code: WorkerRunnerErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** @internal The system's code of an error, such as `ENOENT`; `undefined` for any other error. */
export function systemCodeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** @internal The words of whatever was thrown. */
export function messageOf(error: unknown): string {
  try {
    const words: unknown = error instanceof Error ? error.message : error;
    return typeof words === 'string' ? words : String(words);
  } catch {
    // An object that refuses to become a string; some do.
    return 'something without words';
  }
}
