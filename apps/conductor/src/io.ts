/** What a command may touch of the outside world; the one place that reads `process` is `bin.ts`. */
import type { Writable } from 'node:stream';

import type { Clock } from '@conductor-run/clock';

/** Streams, environment and time of one invocation. */
export interface CliIo {
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** Whether stderr is a terminal: progress is drawn there. */
  readonly isTerminal: boolean;
  /** Columns of the terminal, 80 when unknown. */
  readonly columns: number;
  /** Whether colours are wanted, `NO_COLOR` and `FORCE_COLOR` heeded. */
  readonly hasColor: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly clock: Clock;
  /**
   * Calls `listener` on SIGINT, SIGTERM and SIGHUP.
   *
   * @returns what removes the listener again
   */
  onSignal(listener: (signal: NodeJS.Signals) => void): () => void;
}
