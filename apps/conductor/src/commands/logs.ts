/** `conductor logs`: the daemon's own log and what it was rotated into, as it is or readable, now or as it comes. */
import path from 'node:path';

import type { Command } from 'commander';

import { type CliOptions, type Context, createReadingContext, withCommonOptions } from '../context.ts';
import { ConductorError } from '../errors.ts';
import type { CliIo } from '../io.ts';
import { openRotatedLog } from '../rotated-log.ts';
import { formatLogLine } from '../terminal/log-line.ts';

/** Adds `logs`. */
export function addLogsCommand(program: Command, io: CliIo): void {
  withCommonOptions(
    program
      .command('logs')
      .description(
        "the daemon's own log and the files it was rotated into; with --json the lines as they are",
      )
      .option('-f, --follow', 'go on until Ctrl-C')
      .option('--tail <n>', 'how many of the last lines', '100')
      .option('--level <level>', 'leave out what matters less than debug, info, warn or error', 'debug')
      .addHelpText('after', '\nExample:\n  conductor logs -f --level warn'),
    ['stateDir', 'logsDir'],
  ).action(async (options: CliOptions) => {
    const { follow, tail, level, ...common } = options;
    const context = createReadingContext(io, common);
    const wanted = { tail: parseTail(tail), leastLevel: parseLevel(level), isFollowing: follow === true };
    await printLog(context, path.join(context.config.settings.logsDir, 'daemon.log'), wanted);
  });
}

interface Wanted {
  readonly tail: number;
  readonly leastLevel: number;
  readonly isFollowing: boolean;
}

async function printLog(context: Context, file: string, wanted: Wanted): Promise<void> {
  const abort = new AbortController();
  const release = context.io.onSignal(() => abort.abort());
  const show = (lines: readonly string[]): void => {
    for (const line of lines) {
      const text = formatLogLine(line, wanted.leastLevel, context.paint);
      if (text === undefined) continue;
      if (context.json) context.io.stdout.write(`${line}\n`);
      else context.print(text);
    }
  };
  try {
    // What does not matter enough does not use up the tail.
    const isShown = (line: string): boolean =>
      formatLogLine(line, wanted.leastLevel, context.paint) !== undefined;
    await using log = openRotatedLog(file, context.io.clock);
    const first = await log.last(wanted.tail, isShown);
    if (first === undefined && !wanted.isFollowing) {
      throw new ConductorError(
        'log-not-found',
        `Cannot read the daemon's log "${file}": no daemon has written one here`,
        { hint: 'conductor start runs a daemon.' },
      );
    }
    show(first ?? []);
    while (wanted.isFollowing && !abort.signal.aborted) {
      const lines = await log.next();
      show(lines);
      if (lines.length === 0) await pause(context, abort.signal);
    }
  } finally {
    release();
  }
}

/** Waits a moment, or until Ctrl-C. */
async function pause({ io }: Context, signal: AbortSignal): Promise<void> {
  try {
    await io.clock.sleep(LOOK_MS, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

function parseTail(value: CliOptions[string]): number {
  const lines = Number(value);
  if (Number.isSafeInteger(lines) && lines >= 0) return lines;
  throw new ConductorError('usage', `Cannot use --tail "${String(value)}": expected a whole number of lines`);
}

function parseLevel(value: CliOptions[string]): number {
  const level = LEVELS[String(value)];
  if (level !== undefined) return level;
  throw new ConductorError(
    'usage',
    `Cannot use --level "${String(value)}": expected one of ${Object.keys(LEVELS).join(', ')}`,
  );
}

const LEVELS: Readonly<Record<string, number>> = { debug: 20, info: 30, warn: 40, error: 50 };
const LOOK_MS = 200;
