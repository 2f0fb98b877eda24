/** The app's one error class. Everything a user can mend reaches them as one of these, printed without a stack. */

/** Why a command or a request was refused. Stable: `--json` and the HTTP API's error envelopes carry it. */
export type ConductorErrorCode =
  | 'config-invalid'
  | 'config-not-found'
  | 'usage'
  | 'job-unknown'
  | 'payload-invalid'
  | 'run-unknown'
  | 'run-ambiguous'
  | 'run-ended'
  | 'stream-limit'
  | 'checkpoint-unknown'
  | 'claim-refused'
  | 'attempt-left'
  | 'not-a-repository'
  | 'git-missing'
  | 'log-not-found'
  | 'daemon-running'
  | 'daemon-not-found'
  | 'start-failed'
  | 'port-in-use'
  | 'token-invalid'
  | 'unauthorized'
  | 'host-refused'
  | 'origin-refused'
  | 'route-unknown'
  | 'method-refused'
  | 'request-invalid'
  | 'body-too-large'
  | 'media-type-refused'
  | 'headers-too-large'
  | 'request-timeout'
  | 'answer-timeout'
  | 'rate-limited'
  | 'not-ready'
  | 'internal';

/** Thrown when a command or a request cannot be carried out; `hint` says what to do next. */
export class ConductorError extends Error {
  override get name(): string {
    return 'ConductorError';
  }
  /** Why, as a stable word. */
  readonly code: ConductorErrorCode;
  /** What the user can do next, as one sentence; printed below the message. */
  readonly hint: string | undefined;
  /** More for programs, such as which field was not understood; JSON. */
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(
    code: ConductorErrorCode,
    message: string,
    options: ErrorOptions & {
      readonly hint?: string;
      readonly details?: Readonly<Record<string, unknown>>;
    } = {},
  ) {
    super(message, options);
    this.code = code;
    this.hint = options.hint;
    this.details = options.details;
  }
}
