/** `conductor runs logs RUN`: a run's output, now or as it comes. Reading never touches the run; Ctrl-C ends only the reading. */
import { openRun, type OutputChannelName, type RunReader } from '@conductor-run/logging';
import type { Command } from 'commander';

import {
  type CliOptions,
  type Context,
  createContext,
  withApiOption,
  withCommonOptions,
} from '../context.ts';
import { parseDuration } from '../duration.ts';
import { ConductorError } from '../errors.ts';
import type { CliIo } from '../io.ts';
import { remoteClient } from '../remote.ts';
import { selectRun } from '../run-selector.ts';
import { printLogLine, type WantedLog } from '../terminal/run-log.ts';
import { toLogLineView } from '../views/run-views.ts';
import { printRemoteLog } from './runs-logs-remote.ts';

/** Adds `runs logs`. */
export function addRunsLogsCommand(runs: Command, io: CliIo): void {
  withApiOption(
    withCommonOptions(
      runs
        .command('logs <run>')
        .description('the output of a run; RUN is last, an id or a part of one, or a job')
        .option('-f, --follow', 'go on until the run has ended')
        .option(
          '--channel <channel>',
          'stdout, stderr or combined; a single one is byte for byte',
          'combined',
        )
        .option('--since <when>', 'leave out what is older: a duration such as 10m, or an ISO 8601 instant')
        .option('--tail <n>', 'only the last lines')
        .option('--timestamps', 'say when each line appeared')
        .option('--no-color', 'take terminal escape sequences out')
        .addHelpText('after', '\nExample:\n  conductor runs logs nightly-tests -f --tail 20 --timestamps'),
    ),
  ).action(async (selector: string, options: CliOptions) => {
    const { follow, channel, since, tail, timestamps, color, ...common } = options;
    const context = createContext(io, common);
    const wanted: WantedLog = {
      channel: parseChannel(channel),
      isFollowing: follow === true,
      hasTimestamps: timestamps === true,
      keepsColor: color !== false,
      tail: parseTail(tail),
      sinceMs: parseSince(since, io.clock.nowMs()),
    };
    const client = remoteClient(context);
    if (client !== undefined) {
      await printRemoteLog(context, client, selector, wanted);
      return;
    }
    const run = await selectRun(context.config.settings.runsDir, selector, context.io.clock);
    await printLog(context, openRun(run.paths, { clock: io.clock }), wanted);
  });
}

async function printLog(context: Context, reader: RunReader, wanted: WantedLog): Promise<void> {
  const isPlain = wanted.tail === undefined && wanted.sinceMs === undefined && !wanted.hasTimestamps;
  if (wanted.channel !== 'combined' && isPlain && wanted.keepsColor && !wanted.isFollowing && !context.json) {
    await copyBytes(context, reader, wanted.channel);
    return;
  }
  const abort = new AbortController();
  const release = context.io.onSignal(() => abort.abort());
  try {
    const lines = reader.lines({
      channel: wanted.channel,
      follow: wanted.isFollowing,
      ansi: wanted.keepsColor ? 'keep' : 'strip',
      signal: abort.signal,
      ...(wanted.tail !== undefined && { tail: wanted.tail }),
      ...(wanted.sinceMs !== undefined && { sinceMs: wanted.sinceMs }),
    });
    for await (const line of lines) {
      printLogLine(context, toLogLineView(line), wanted.hasTimestamps);
    }
  } finally {
    release();
  }
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

const BLOCK_BYTES = 1024 * 1024;
