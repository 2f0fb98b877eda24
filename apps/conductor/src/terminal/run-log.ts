/** A run's output on the terminal, wherever it came from. */
import type { Context } from '../context.ts';
import { logLineView } from '../views/run-views.ts';
import type { LogLineView } from '../views/types.ts';

/** What of a log is wanted. */
export interface WantedLog {
  readonly channel: LogLineView['channel'] | 'combined';
  readonly isFollowing: boolean;
  readonly hasTimestamps: boolean;
  readonly keepsColor: boolean;
  readonly tail: number | undefined;
  readonly sinceMs: number | undefined;
}

/** Where logs come from. */
export interface LogSource {
  /** The runs to print that there are by now, in the order in which they began. */
  readonly runs: () => Promise<readonly { readonly runId: string; readonly stepName: string }[]>;
  /** Prints what is wanted of one of them, to its end when it is followed. */
  readonly print: (runId: string, wanted: WantedLog, signal: AbortSignal) => Promise<void>;
  /** Whether more runs may begin, once those there are have ended. */
  readonly hasMoreToCome: () => boolean;
}

/** One line; with `--json` one document, for a log has no end to wait for. */
export function printLogLine(context: Context, line: LogLineView, hasTimestamps: boolean): void {
  if (context.json) context.printJsonLine(logLineView, line);
  // As it was written: whoever wants it without colours has said so.
  else context.io.stdout.write(formatLine(context, line, hasTimestamps));
}

function formatLine(
  context: Context,
  line: Pick<LogLineView, 'atMs' | 'text'>,
  hasTimestamps: boolean,
): string {
  if (!hasTimestamps) return `${line.text}\n`;
  const at = line.atMs === null ? '-'.padEnd(24) : new Date(line.atMs).toISOString();
  return `${context.paint('dim', at)} ${line.text}\n`;
}
