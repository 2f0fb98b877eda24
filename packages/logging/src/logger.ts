/**
 * The pino set-up of the app: JSON lines to a file or stderr, readable lines for a terminal, no secrets in either.
 * Invariant: nothing is written that did not pass the redactor.
 */
import { createRealClock, type Clock } from '@conductor-run/clock';
import { pino, type DestinationStream, type Level } from 'pino';

import { prettyLine } from './pretty-line.ts';
import { createRedactor, type Redactor } from './redactor.ts';

/** What libraries ask for when they log: pino's shape, nothing else of it. */
export interface Logger {
  /** For whoever looks for a cause. */
  debug(fields: object, message?: string): void;
  /** What is worth knowing. */
  info(fields: object, message?: string): void;
  /** What somebody should look at. */
  warn(fields: object, message?: string): void;
  /** What went wrong. */
  error(fields: object, message?: string): void;
}

/** A logger that can be narrowed and closed. */
export interface AppLogger extends Logger {
  /** A logger that adds `fields` to every line. */
  child(fields: object): Logger;
  /** Writes what is buffered. Lines go out synchronously, so only a file on a slow disk notices. */
  flush(): void;
}

/** How lines are written. */
export interface LoggerOptions {
  /**
   * The least level that is written.
   *
   * @defaultValue 'info'
   */
  readonly level?: Level | 'silent';
  /**
   * Where lines go: stderr, or a file that is appended to (made with its directory when absent).
   *
   * @defaultValue stderr
   */
  readonly destination?: 'stderr' | { readonly file: string };
  /**
   * Readable lines instead of JSON. Pass whether stderr is a terminal (`process.stderr.isTTY`).
   *
   * @defaultValue false
   */
  readonly pretty?: boolean;
  /**
   * Takes known secrets out of every line.
   *
   * @defaultValue a redactor of the default token shapes
   */
  readonly redactor?: Redactor;
  /**
   * Fields on every line.
   *
   * @defaultValue none
   */
  readonly fields?: object;
  /**
   * Where the time of a line comes from.
   *
   * @defaultValue the real clock
   */
  readonly clock?: Clock;
}

/**
 * Makes the app's logger. Fields called `token`, `password`, `secret`, `apiKey`, `authorization` or `cookie`, also one
 * and two levels down, are replaced whatever their value.
 *
 * @param options - where lines go and which
 */
export function createLogger(options: LoggerOptions = {}): AppLogger {
  const { level = 'info', destination = 'stderr', pretty = false, fields = {} } = options;
  const { clock = createRealClock(), redactor = createRedactor() } = options;
  const sink = pino.destination(
    destination === 'stderr'
      ? { fd: 2, sync: true }
      : { dest: destination.file, mkdir: true, sync: true, mode: 0o600 },
  );
  const stream: DestinationStream = {
    write: (line) => void sink.write(redactLine(line, redactor, pretty)),
  };
  const logger = pino(
    {
      level,
      base: fields,
      timestamp: () => `,"time":${clock.nowMs()}`,
      redact: { paths: SECRET_PATHS, censor: '[redacted]' },
    },
    stream,
  );
  return {
    debug: (entry, message) => logger.debug(entry, message),
    info: (entry, message) => logger.info(entry, message),
    warn: (entry, message) => logger.warn(entry, message),
    error: (entry, message) => logger.error(entry, message),
    child: (entry) => logger.child(entry),
    flush: () => sink.flushSync(),
  };
}

/** Redacts the values, not the JSON text: a replacement must not run over a quote. */
function redactLine(line: string, redactor: Redactor, pretty: boolean): string {
  if (!pretty && !redactor.contains(Buffer.from(line))) return line;
  const entry = redactor.redactValue(JSON.parse(line) as Record<string, unknown>);
  return pretty ? prettyLine(entry) : `${JSON.stringify(entry)}\n`;
}

const SECRET_NAMES = [
  'token',
  'password',
  'secret',
  'apiKey',
  'authorization',
  'Authorization',
  'cookie',
  'Cookie',
];
const SECRET_PATHS = SECRET_NAMES.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);
