/**
 * The pino set-up of the app: JSON lines to a file or stderr, readable lines for a terminal, no secrets in either.
 * Invariant: nothing is written that did not pass the redactor, and no call fails because a line cannot be written.
 */
import { createRealClock, type Clock } from '@conductor-run/clock';
import { pino, type DestinationStream, type Level } from 'pino';

import { createAppendedLog, type LineTarget } from './appended-log.ts';
import { hasSystemCode, LoggingError } from './errors.ts';
import { createLineSink, createStderrTarget } from './line-sink.ts';
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
  /**
   * Tells in the log how many lines were dropped, if some were and it can be written again. Lines themselves go out
   * synchronously, so there is nothing else to wait for. Never throws, never hangs; call it at the end of the program.
   */
  flush(): void;
}

/** A log file. Several processes may append to the same, each with a logger of its own and the same settings. */
export interface LogFileDestination {
  /** Its path; appended to, made with its directory when absent. */
  readonly file: string;
  /**
   * How large it may grow, in bytes, at least 1,024, before it is renamed to `<file>.<number>-<random>` and begun anew;
   * Infinity for ever. The next logger to write begins it, and all others follow with their first line a second later,
   * so it may be larger by what they write in that second. A process killed in between leaves nothing to mend.
   *
   * @defaultValue Infinity
   */
  readonly maxBytes?: number;
  /**
   * How many of the renamed files stay, the newest; an integer of at least 1.
   *
   * @defaultValue 4
   */
  readonly keep?: number;
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
   * Where lines go: stderr, or a file.
   *
   * @defaultValue stderr
   */
  readonly destination?: 'stderr' | LogFileDestination;
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
 * A line that cannot be written, as on a full disk, is dropped and counted: the call returns as ever, stderr is told
 * (once a minute at most), and the first line that can be written again comes after a warning `log.lines-dropped` with
 * the number as `droppedCount`.
 *
 * @param options - where lines go and which
 * @throws {@link LoggingError} with code `write-failed` when the file cannot be opened for another reason than a full disk
 * @throws RangeError when `maxBytes` or `keep` is out of its range
 */
export function createLogger(options: LoggerOptions = {}): AppLogger {
  const { level = 'info', destination = 'stderr', pretty = false, fields = {} } = options;
  const { clock = createRealClock(), redactor = createRedactor() } = options;
  const toBytes = (line: string): Uint8Array => redactLine(line, redactor, pretty);
  const warning = (msg: string, error: unknown, more: object): Uint8Array => {
    const message = error instanceof Error ? error.message : String(error);
    const entry = { level: WARN, time: clock.nowMs(), ...fields, ...more, err: { message }, msg };
    return toBytes(`${JSON.stringify(entry)}\n`);
  };
  const target =
    destination === 'stderr'
      ? createStderrTarget()
      : openLog(destination, clock, (error) => warning('log.rotation-failed', error, {}));
  const sink = createLineSink({
    target,
    clock,
    linesDropped: (droppedCount, error) => warning('log.lines-dropped', error, { droppedCount }),
  });
  const stream: DestinationStream = { write: (line) => sink.write(toBytes(line)) };
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
    flush: () => sink.flush(),
  };
}

/** Opened at once, so that a path that cannot be one is refused before anything else happens. */
function openLog(
  { file, maxBytes = Infinity, keep = 4 }: LogFileDestination,
  clock: Clock,
  rotationFailed: (error: unknown) => Uint8Array,
): LineTarget {
  if (maxBytes !== Infinity) requireAtLeast('maxBytes', maxBytes, LEAST_MAX_BYTES);
  requireAtLeast('keep', keep, 1);
  const log = createAppendedLog({ file, maxBytes, keep, clock, rotationFailed });
  try {
    log.open();
  } catch (error) {
    // A program that starts on a full disk has a log as soon as there is room.
    if (!hasSystemCode(error, 'ENOSPC') && !hasSystemCode(error, 'EDQUOT')) {
      throw new LoggingError('write-failed', `Cannot open log "${file}": expected a file to append to`, {
        cause: error,
      });
    }
  }
  return log;
}

function requireAtLeast(setting: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least) {
    throw new RangeError(
      `Cannot create logger: ${setting} is "${value}", expected an integer of at least ${least}`,
    );
  }
}

/** Redacts the values, not the JSON text: a replacement must not run over a quote. */
function redactLine(line: string, redactor: Redactor, pretty: boolean): Uint8Array {
  const bytes = Buffer.from(line);
  if (!pretty && !redactor.contains(bytes)) return bytes;
  const entry = redactor.redactValue(JSON.parse(line) as Record<string, unknown>);
  return Buffer.from(pretty ? prettyLine(entry) : `${JSON.stringify(entry)}\n`);
}

const WARN = 40;
const LEAST_MAX_BYTES = 1_024;
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
