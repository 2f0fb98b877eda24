/** What a command may touch of the outside world; the one place that reads `process` is `process-io.ts`. */
import type { Writable } from 'node:stream';

import type { Clock } from '@conductor-run/clock';

/** Streams, environment and time of one invocation. */
export interface CliIo {
  /** Whether standard input is a pipe, a file or a socket: something a step can be given to read. */
  readonly hasInput: boolean;
  /** What programs read: tables, JSON, the output of steps. */
  readonly stdout: Writable;
  /** What people read: errors, progress, the steps' own stderr. */
  readonly stderr: Writable;
  /** Whether stderr is a terminal: progress is drawn there. */
  readonly isTerminal: boolean;
  /** Columns of the terminal, 80 when unknown. */
  readonly columns: number;
  /** Whether colours are wanted, `NO_COLOR` and `FORCE_COLOR` heeded. */
  readonly hasColor: boolean;
  /** The environment: settings, and what jobs pass on to their steps. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where relative paths start and the config is looked for, absolute. */
  readonly cwd: string;
  /** Where time comes from. */
  readonly clock: Clock;
  /**
   * Calls `listener` on SIGINT, SIGTERM and SIGHUP.
   *
   * @returns what removes the listener again
   */
  onSignal(listener: (signal: NodeJS.Signals) => void): () => void;
  /** Whether the terminal this process was started from has been closed since; false when there was none. */
  isTerminalClosed(): boolean;
  /**
   * From here on nothing ends because nobody reads what is printed: a pipe or terminal that was closed loses the text,
   * and the work goes on to its end and its exit code. For commands that do more than print.
   */
  outliveReader(): void;
}
