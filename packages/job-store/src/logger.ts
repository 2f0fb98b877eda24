/** The logger port, shaped like pino's. */

/** Writes one line with fields. pino fits. */
export interface Logger {
  /** Something an operator may want to know. */
  info(fields: object, message: string): void;
  /** Something is wrong and the store copes. */
  warn(fields: object, message: string): void;
}

/** @internal Says nothing. */
export const silentLogger: Logger = { info: () => undefined, warn: () => undefined };
