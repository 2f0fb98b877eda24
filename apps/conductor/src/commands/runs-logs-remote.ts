/** `conductor runs logs RUN --api URL`: a run's output from a daemon elsewhere. */
import { stripAnsi } from '@conductor-run/logging';

import type { ConductorClient } from '../client.ts';
import type { Context } from '../context.ts';
import { namesTask } from '../run-selector.ts';
import { type LogSource, printLogLine, type WantedLog } from '../terminal/run-log.ts';
import type { LogLineView, OutputEventView } from '../views/types.ts';

/**
 * The logs a daemon elsewhere has.
 *
 * @param context - the invocation
 * @param client - of the daemon
 * @param selector - the run, as the user named it
 */
export async function remoteSource(
  context: Context,
  client: ConductorClient,
  selector: string,
): Promise<LogSource> {
  const { run } = await client.showRun(selector);
  const isTask = namesTask(selector, run.taskId);
  return {
    async runs() {
      if (!isTask) return [run];
      const { runs } = await client.listRuns({ job: run.job, limit: MAX_RUNS });
      return runs.filter((each) => each.taskId === run.taskId).toReversed();
    },
    print: (runId, wanted, signal) => printRemoteLog(context, client, runId, wanted, signal),
    // Nothing tells it from there.
    hasMoreToCome: () => false,
  };
}

async function printRemoteLog(
  context: Context,
  client: ConductorClient,
  runId: string,
  wanted: WantedLog,
  signal: AbortSignal,
): Promise<void> {
  const lines = createLines();
  const show = (line: LogLineView): void => {
    if (wanted.sinceMs !== undefined && (line.atMs ?? 0) < wanted.sinceMs) return;
    const text = wanted.keepsColor ? line.text : stripAnsi(line.text);
    printLogLine(context, { ...line, text }, wanted.hasTimestamps);
  };
  try {
    const items = client.followRun(runId, {
      channel: wanted.channel,
      live: wanted.isFollowing,
      signal,
      ...(wanted.tail !== undefined && { tail: wanted.tail }),
    });
    for await (const item of items) if (item.kind === 'output') lines.push(item).forEach(show);
    lines.end().forEach(show);
  } catch (error) {
    // Ctrl-C ends the reading; it is no error.
    if (!signal.aborted) throw error;
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

/** More steps than a task has. */
const MAX_RUNS = 1_000;
