/**
 * The one error class of the package. Upper-case codes are the protocol's (section 12) and travel on the wire;
 * lower-case codes are ours and never leave the process.
 */

/** Why something was refused. Stable: switch on it, log it, alert on it. */
export type ArcpErrorCode =
  | 'PERMISSION_DENIED'
  | 'LEASE_SUBSET_VIOLATION'
  | 'JOB_NOT_FOUND'
  | 'DUPLICATE_KEY'
  | 'AGENT_NOT_AVAILABLE'
  | 'AGENT_VERSION_NOT_AVAILABLE'
  | 'CANCELLED'
  | 'TIMEOUT'
  | 'RESUME_WINDOW_EXPIRED'
  | 'HEARTBEAT_LOST'
  | 'LEASE_EXPIRED'
  | 'BUDGET_EXHAUSTED'
  | 'INVALID_REQUEST'
  | 'UNAUTHENTICATED'
  | 'INTERNAL_ERROR'
  | 'illegal-transition'
  | 'connection-lost'
  | 'closed'
  | 'store-unreadable';

/** The codes that may appear in a message. */
export type ArcpWireCode = Exclude<
  ArcpErrorCode,
  'illegal-transition' | 'connection-lost' | 'closed' | 'store-unreadable'
>;

/** Every wire code, in the order of the draft's table. */
export const ARCP_WIRE_CODES: readonly ArcpWireCode[] = [
  'PERMISSION_DENIED',
  'LEASE_SUBSET_VIOLATION',
  'JOB_NOT_FOUND',
  'DUPLICATE_KEY',
  'AGENT_NOT_AVAILABLE',
  'AGENT_VERSION_NOT_AVAILABLE',
  'CANCELLED',
  'TIMEOUT',
  'RESUME_WINDOW_EXPIRED',
  'HEARTBEAT_LOST',
  'LEASE_EXPIRED',
  'BUDGET_EXHAUSTED',
  'INVALID_REQUEST',
  'UNAUTHENTICATED',
  'INTERNAL_ERROR',
];

/** The error object of `session.error`, `job.error` and `tool_result` bodies. */
export interface ArcpErrorPayload {
  /** One of the fifteen codes of section 12. */
  readonly code: ArcpWireCode;
  /** For people; never branch on it. */
  readonly message: string;
  /** Whether the same request may succeed later. Always true for INTERNAL_ERROR, never for LEASE_EXPIRED and BUDGET_EXHAUSTED. */
  readonly retryable: boolean;
  /** What a program may want to know; free form. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** What an {@link ArcpError} carries beside code and message. */
export interface ArcpErrorOptions extends ErrorOptions {
  /** Sent along in `details`; never put a secret in it. */
  readonly details?: Readonly<Record<string, unknown>>;
  /**
   * Whether trying again may help. Ignored for the three codes whose answer the protocol fixes.
   *
   * @defaultValue true for INTERNAL_ERROR, HEARTBEAT_LOST and connection-lost, else false
   */
  readonly retryable?: boolean;
}

/** Thrown, or sent, when the protocol refuses something. */
export class ArcpError extends Error {
  override get name(): string {
    return 'ArcpError';
  }
  /** Why; see {@link ArcpErrorCode}. */
  readonly code: ArcpErrorCode;
  /** Whether trying again may help. */
  readonly retryable: boolean;
  /** Free-form facts for programs, if there are any. */
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(code: ArcpErrorCode, message: string, options: ArcpErrorOptions = {}) {
    super(message, options);
    this.code = code;
    this.retryable = FIXED_RETRYABLE.get(code) ?? options.retryable ?? RETRYABLE_BY_DEFAULT.has(code);
    this.details = options.details;
  }
}

/** Whether a code may appear in a message. */
export function isWireCode(code: string): code is ArcpWireCode {
  return WIRE_CODES.has(code);
}

/**
 * The wire form of anything thrown. What is not an {@link ArcpError} becomes INTERNAL_ERROR with its own message only
 * when it is an `Error`: stacks and causes stay in the process.
 *
 * @param error - whatever was thrown
 */
export function errorToPayload(error: unknown): ArcpErrorPayload {
  if (error instanceof ArcpError && isWireCode(error.code)) {
    return {
      code: error.code,
      message: error.message,
      retryable: error.retryable,
      ...(error.details === undefined ? {} : { details: error.details }),
    };
  }
  const message = error instanceof Error && error.message !== '' ? error.message : 'The agent failed';
  return { code: 'INTERNAL_ERROR', message, retryable: true };
}

/** The error a received payload stands for. */
export function payloadToError(payload: ArcpErrorPayload): ArcpError {
  const { code, message, retryable, details } = payload;
  return new ArcpError(code, message, { retryable, ...(details === undefined ? {} : { details }) });
}

const WIRE_CODES: ReadonlySet<string> = new Set(ARCP_WIRE_CODES);
const FIXED_RETRYABLE: ReadonlyMap<ArcpErrorCode, boolean> = new Map([
  ['INTERNAL_ERROR', true],
  ['LEASE_EXPIRED', false],
  ['BUDGET_EXHAUSTED', false],
]);
const RETRYABLE_BY_DEFAULT: ReadonlySet<ArcpErrorCode> = new Set<ArcpErrorCode>([
  'HEARTBEAT_LOST',
  'connection-lost',
]);
