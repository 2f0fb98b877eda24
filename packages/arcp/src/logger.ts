/** The pino-shaped logger the package writes to. Silence by default. */

/** Writes one line; fields first, constant text second. */
export type LogLine = (fields: Readonly<Record<string, unknown>>, message: string) => void;

/** The part of pino that is used here. */
export interface Logger {
  /** Noise for finding faults. */
  readonly debug: LogLine;
  /** What happened. */
  readonly info: LogLine;
  /** What somebody should look at. */
  readonly warn: LogLine;
  /** What is broken. */
  readonly error: LogLine;
}

/** A logger that writes nothing. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
