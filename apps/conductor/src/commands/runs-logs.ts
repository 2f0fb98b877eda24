/** `conductor runs logs RUN`: a run's output, now or as it comes. Reading never touches the run; Ctrl-C ends only the reading. */
import path from 'node:path';

import { openRun, type OutputChannelName, type RunReader, type RunSummary } from '@conductor-run/logging';
import type { Command } from 'commander';

import {
  type CliOptions,
  type Context,
  createReadingContext,
  withApiOption,
  withCommonOptions,
} from '../context.ts';
import { parseDuration } from '../duration.ts';
import { ConductorError } from '../errors.ts';
import type { CliIo } from '../io.ts';
import { isTaskHeld } from '../owner-lock.ts';
import { createRunIndex } from '../record/run-index.ts';
import { remoteClient } from '../remote.ts';
import { namesTask, selectRun } from '../run-selector.ts';
import { type LogSource, printLogLine, type WantedLog } from '../terminal/run-log.ts';
import { stripControl } from '../terminal/style.ts';
import { toLogLineView } from '../views/run-views.ts';
import { remoteSource } from './runs-logs-remote.ts';

/** Adds `runs logs`. */
export function addRunsLogsCommand(runs: Command, io: CliIo): void {
  withApiOption(
    withCommonOptions(
      runs
        .command('logs <run>')
        .description(
          'the output of a run; RUN is last, an id or a part of one, or a task or a job for all steps of its newest task',
        )
        .option('-f, --follow', 'go on until the run has ended')
        .option(
          '--channel <channel>',
          'stdout, stderr or combined; a single one is byte for byte',
          'combined',
        )
        .option('--since <when>', 'leave out what is older: a duration such as 10m, or an ISO 8601 instant')
        .option('--tail <n>', 'only the last lines, of each step')
        .option('--timestamps', 'say when each line appeared')
        .option('--no-color', 'take terminal escape sequences out')
        .addHelpText('after', '\nExample:\n  conductor runs logs nightly-tests -f --tail 20 --timestamps'),
    ),
  ).action(async (selector: string, options: CliOptions) => {
    const { follow, channel, since, tail, timestamps, color, ...common } = options;
    const context = createReadingContext(io, common);
    const wanted: WantedLog = {
      channel: parseChannel(channel),
      isFollowing: follow === true,
      hasTimestamps: timestamps === true,
      keepsColor: color !== false,
      tail: parseTail(tail),
      sinceMs: parseSince(since, io.clock.nowMs()),
    };
    const client = remoteClient(context);
    const abort = new AbortController();
    const release = io.onSignal(() => abort.abort());
    try {
      const source =
        client === undefined ? localSource(context, selector) : remoteSource(context, client, selector);
      await printRuns(context, await source, wanted, abort.signal);
    } finally {
      release();
    }
  });
}

/** Prints the runs of a task one after the other, also those that begin while it follows. */
async function printRuns(
  context: Context,
  source: LogSource,
  wanted: WantedLog,
  signal: AbortSignal,
): Promise<void> {
  const printed = new Set<string>();
  for (;;) {
    const runs = await source.runs();
    const next = runs.find((run) => !printed.has(run.runId));
    if (signal.aborted) return;
    if (next !== undefined) {
      const head = `== ${stripControl(next.stepName)}  ${next.runId}`;
      if (runs.length > 1 && !context.json) context.warn(`${context.paint('dim', head)}\n`);
      printed.add(next.runId);
      await source.print(next.runId, wanted, signal);
    } else if (wanted.isFollowing && source.hasMoreToCome()) {
      await context.io.clock.sleep(NEXT_RUN_POLL_MS, { signal }).catch(() => undefined);
    } else {
      return;
    }
  }
}

/** From the run directories. */
async function localSource(context: Context, selector: string): Promise<LogSource> {
  const { io, config } = context;
  const { runsDir } = config.settings;
  const { paths } = await selectRun(runsDir, selector, io.clock);
  const isTask = namesTask(selector, paths.taskId);
  const list = async (): Promise<readonly RunSummary[]> => {
    const runs = await createRunIndex(runsDir, io.clock).ofTask(paths.taskId);
    return isTask ? runs : runs.filter((run) => run.paths.runId === paths.runId);
  };
  return {
    runs: async () => (await list()).map((run) => ({ runId: run.paths.runId, stepName: run.meta.stepName })),
    async print(runId, wanted, signal) {
      const run = (await list()).find((each) => each.paths.runId === runId);
      if (run !== undefined) await printLog(context, openRun(run.paths, { clock: io.clock }), wanted, signal);
    },
    hasMoreToCome: () => isTask && isTaskHeld(path.dirname(paths.runDir)),
  };
}

async function printLog(
  context: Context,
  reader: RunReader,
  wanted: WantedLog,
  signal: AbortSignal,
): Promise<void> {
  const isPlain = wanted.tail === undefined && wanted.sinceMs === undefined && !wanted.hasTimestamps;
  if (wanted.channel !== 'combined' && isPlain && wanted.keepsColor && !wanted.isFollowing && !context.json) {
    await copyBytes(context, reader, wanted.channel);
    return;
  }
  const lines = reader.lines({
    channel: wanted.channel,
    follow: wanted.isFollowing,
    ansi: wanted.keepsColor ? 'keep' : 'strip',
    signal,
    ...(wanted.tail !== undefined && { tail: wanted.tail }),
    ...(wanted.sinceMs !== undefined && { sinceMs: wanted.sinceMs }),
  });
  for await (const line of lines) printLogLine(context, toLogLineView(line), wanted.hasTimestamps);
}

async function copyBytes(context: Context, reader: RunReader, channel: OutputChannelName): Promise<void> {
  let offset = 0;
  for (;;) {
    const bytes = await reader.readRange(channel, offset, BLOCK_BYTES);
    if (bytes.byteLength === 0) return;
    offset += bytes.byteLength;
    if (!context.io.stdout.write(bytes)) {
      await new Promise<void>((resolve) => void context.io.stdout.once('drain', resolve));
    }
  }
}

function parseChannel(value: CliOptions[string]): WantedLog['channel'] {
  const channel = (['stdout', 'stderr', 'combined'] as const).find((known) => known === value);
  if (channel !== undefined) return channel;
  throw new ConductorError(
    'usage',
    `Cannot read channel "${String(value)}": expected stdout, stderr or combined`,
  );
}

function parseTail(value: CliOptions[string]): number | undefined {
  if (value === undefined) return undefined;
  const lines = Number(value);
  if (Number.isSafeInteger(lines) && lines >= 0) return lines;
  throw new ConductorError('usage', `Cannot use --tail "${String(value)}": expected a whole number of lines`);
}

function parseSince(value: CliOptions[string], nowMs: number): number | undefined {
  if (value === undefined) return undefined;
  const agoMs = parseDuration(String(value));
  const sinceMs = agoMs === undefined ? Date.parse(String(value)) : nowMs - agoMs;
  if (!Number.isNaN(sinceMs)) return sinceMs;
  throw new ConductorError(
    'usage',
    `Cannot use --since "${String(value)}": expected a duration such as 10m, or an ISO 8601 instant`,
  );
}

/** How long the next step of a followed task takes to begin, at most, until it is seen. */
const NEXT_RUN_POLL_MS = 200;
const BLOCK_BYTES = 1024 * 1024;
