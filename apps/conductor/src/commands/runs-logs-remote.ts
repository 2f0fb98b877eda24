/** `conductor runs logs RUN --api URL`: a run's output from a daemon elsewhere. */
import { stripAnsi } from '@conductor-run/logging';

import type { ConductorClient } from '../client.ts';
import type { Context } from '../context.ts';
import { printLogLine, type WantedLog } from '../terminal/run-log.ts';
import type { LogLineView, OutputEventView } from '../views/types.ts';

/**
 * Prints a log line by line.
 *
 * @param context - the invocation
 * @param client - of the daemon
 * @param selector - the run, as the user named it
 * @param wanted - what of it
 */
export async function printRemoteLog(
  context: Context,
  client: ConductorClient,
  selector: string,
  wanted: WantedLog,
): Promise<void> {
  const abort = new AbortController();
  const release = context.io.onSignal(() => abort.abort());
  const lines = createLines();
  const show = (line: LogLineView): void => {
    if (wanted.sinceMs !== undefined && (line.atMs ?? 0) < wanted.sinceMs) return;
    const text = wanted.keepsColor ? line.text : stripAnsi(line.text);
    printLogLine(context, { ...line, text }, wanted.hasTimestamps);
  };
  try {
    const items = client.followRun(selector, {
      channel: wanted.channel,
      live: wanted.isFollowing,
      signal: abort.signal,
      ...(wanted.tail !== undefined && { tail: wanted.tail }),
    });
    for await (const item of items) if (item.kind === 'output') lines.push(item).forEach(show);
    lines.end().forEach(show);
  } catch (error) {
    // Ctrl-C ends the reading; it is no error.
    if (!abort.signal.aborted) throw error;
  } finally {
    release();
  }
}

/** Puts pieces of two streams together to lines. */
function createLines(): {
  push(piece: OutputEventView): readonly LogLineView[];
  end(): readonly LogLineView[];
} {
  const open = new Map<LogLineView['channel'], LogLineView>();
  return {
    push({ channel, offset, atMs, text }) {
      const parts = text.split('\n');
      const done: LogLineView[] = [];
      let start = offset;
      for (const [index, part] of parts.entries()) {
        const before = open.get(channel) ?? { atMs, channel, offset: start, isWhole: false, text: '' };
        const line = { ...before, text: before.text + part };
        start += Buffer.byteLength(part) + 1;
        if (index < parts.length - 1) {
          open.delete(channel);
          done.push({ ...line, isWhole: true, text: line.text.replace(/\r$/, '') });
        } else if (line.text !== '') {
          open.set(channel, line);
        }
      }
      return done;
    },
    end: () => [...open.values()],
  };
}
