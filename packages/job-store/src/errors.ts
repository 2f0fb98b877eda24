/** The one error class of this package. Losing a race is never an error: see the outcomes in `results.ts`. */

/** Why the store refused a call. Stable: switch on it, log it, alert on it. */
export type JobStoreErrorCode =
  | 'busy'
  | 'closed'
  | 'corrupt'
  | 'disk-full'
  | 'io'
  | 'network-file-system'
  | 'not-empty'
  | 'read-only'
  | 'schema-mismatch'
  | 'schema-too-new'
  | 'transfer-invalid'
  | 'unexpected';

/** Thrown when the store cannot do what it was asked. */
export class JobStoreError extends Error {
  /** Always `JobStoreError`. */
  override get name(): string {
    return 'JobStoreError';
  }
  /** Why, as a stable code. */
  readonly code: JobStoreErrorCode;

  /**
   * @param code - the stable reason
   * @param message - `Cannot <verb> <thing> "<value>": <state now>, expected <wanted>`
   * @param options - the cause, when another error led to this one
   */
  constructor(code: JobStoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
