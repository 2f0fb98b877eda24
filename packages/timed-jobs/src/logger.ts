/** The logger this package accepts. Invariant: without one it is silent. */

/** One log call, shaped like pino's: fields first, then a constant message. */
export type LogMethod = (fields: Readonly<Record<string, unknown>>, message: string) => void;

/** A pino-shaped logger; a pino instance fits as it is. */
export interface Logger {
  /** What helps while developing. */
  readonly debug: LogMethod;
  /** What an operator wants to know once. */
  readonly info: LogMethod;
  /** What went wrong and was survived. */
  readonly warn: LogMethod;
  /** What somebody has to look at. */
  readonly error: LogMethod;
}

/** @internal */
export const silentLogger: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };

function ignore(): void {}
