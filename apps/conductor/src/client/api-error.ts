/** The client's one error class. */

/**
 * Why a call failed. Codes of a daemon are its own stable words, listed at `/openapi.json`; the client adds
 * `connection-failed` (no answer came) and `answer-invalid` (one came that is not of this API).
 */
export type ConductorApiErrorCode = 'connection-failed' | 'answer-invalid' | (string & {});

/** Thrown when a daemon refuses a call or cannot be reached. */
export class ConductorApiError extends Error {
  override get name(): string {
    return 'ConductorApiError';
  }
  /** Why, as a stable word. */
  readonly code: ConductorApiErrorCode;
  /** HTTP status; 0 when no answer came. */
  readonly status: number;
  /** Names the request in the daemon's log; `undefined` when no answer came. */
  readonly requestId: string | undefined;
  /** More for programs, such as `hint` and `fields`. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ConductorApiErrorCode,
    message: string,
    options: ErrorOptions & {
      readonly status?: number;
      readonly requestId?: string | undefined;
      readonly details?: Readonly<Record<string, unknown>>;
    } = {},
  ) {
    super(message, options);
    this.code = code;
    this.status = options.status ?? 0;
    this.requestId = options.requestId;
    this.details = options.details ?? {};
  }
}
