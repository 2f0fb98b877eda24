/** The app's one error class. Everything a user can mend reaches them as one of these, printed without a stack. */

/** Why a command was refused. Stable: `--json` prints it. */
export type ConductorErrorCode =
  | 'config-invalid'
  | 'config-not-found'
  | 'usage'
  | 'job-unknown'
  | 'run-unknown'
  | 'run-ambiguous'
  | 'checkpoint-unknown'
  | 'claim-refused'
  | 'not-a-repository'
  | 'daemon-running'
  | 'start-failed';

/** Thrown when a command cannot be carried out; `hint` says what to do next. */
export class ConductorError extends Error {
  override get name(): string {
    return 'ConductorError';
  }
  /** Why, as a stable word. */
  readonly code: ConductorErrorCode;
  /** What the user can do next, as one sentence; printed below the message. */
  readonly hint: string | undefined;

  constructor(
    code: ConductorErrorCode,
    message: string,
    options: ErrorOptions & { readonly hint?: string } = {},
  ) {
    super(message, options);
    this.code = code;
    this.hint = options.hint;
  }
}
