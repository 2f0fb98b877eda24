/** `conductor start`: the daemon, in the foreground; a service manager or a terminal keeps it. */
import path from 'node:path';

import { createLogger } from '@conductor-run/logging';
import type { Command } from 'commander';

import { type CliOptions, type Context, createContext, withCommonOptions } from '../context.ts';
import { type Daemon, startDaemon } from '../daemon/daemon.ts';
import { EXIT } from '../exit-codes.ts';
import type { CliIo } from '../io.ts';
import { settingKeys } from '../settings.ts';
import { ensureStateDir } from '../state-dir.ts';
import { createTaskBell } from '../task-bell.ts';
import { storePath, withStore } from '../wire.ts';

/** Adds `start`. */
export function addStartCommand(program: Command, io: CliIo, finish: (exitCode: number) => void): void {
  withCommonOptions(
    program
      .command('start')
      .description('the daemon: leadership, schedules, claims; SIGTERM drains, a second signal hurries')
      .option('--run-once', 'run what is due, wait for it, exit with its outcome')
      .addHelpText('after', '\nExample:\n  conductor start --max-parallel 8'),
    settingKeys(),
  ).action(async (options: CliOptions) => {
    const { runOnce, ...common } = options;
    const context = createContext(io, common);
    finish(await runDaemon(context, runOnce === true));
  });
}

async function runDaemon(context: Context, isOnce: boolean): Promise<number> {
  const { io, config, paint } = context;
  const { settings } = config;
  ensureStateDir(settings.stateDir);
  const logFile = path.join(settings.logsDir, 'daemon.log');
  const logger = createLogger({
    level: settings.logLevel,
    destination: { file: logFile },
    fields: { node: settings.nodeId },
    clock: io.clock,
  });
  const signals = listenForSignals(context);
  const stopping = new AbortController();
  let failed = 0;
  try {
    await withStore(context, async (store) => {
      const say = (name: string, detail: string | undefined): void =>
        context.print(
          `${paint('good', '✓')} ${name}${detail === undefined ? '' : `  ${paint('dim', detail)}`}\n`,
        );
      say('job store', storePath(context));
      const daemon = await startDaemon({
        config,
        io,
        store,
        logger,
        isOnce,
        taskBell: createTaskBell(io.clock),
        hurry: signals.hurry,
        stopping: stopping.signal,
        onStarted: say,
        onTask: ({ results, recorded, summary, taskId }) => {
          const last = results.at(-1);
          if (recorded !== 'succeeded') failed += 1;
          const tone = recorded === 'succeeded' ? 'good' : 'bad';
          context.print(
            `${paint('dim', new Date(io.clock.nowMs()).toISOString())} ${paint(tone, recorded)} ${taskId}  ${summary}${last === undefined ? '' : `  ${paint('dim', last.runId)}`}\n`,
          );
        },
      });
      logger.info({ jobs: [...config.jobs.keys()] }, 'daemon.started');
      context.print(`${paint('strong', 'conductor is up')}, log in ${logFile}; Ctrl-C drains and stops\n`);
      await untilStopped(daemon, signals, isOnce);
      context.print('stopping: nothing new starts, running steps end first; Ctrl-C again ends them\n');
      stopping.abort();
      await daemon.stop();
      logger.info({}, 'daemon.stopped');
      context.print('stopped\n');
    });
  } finally {
    signals.release();
    logger.flush();
  }
  return isOnce && failed > 0 ? EXIT.failed : EXIT.ok;
}

async function untilStopped(daemon: Daemon, signals: Signals, isOnce: boolean): Promise<void> {
  await Promise.race(isOnce ? [signals.first, daemon.runOnce()] : [signals.first]);
}

interface Signals {
  /** Resolves with the first signal. */
  readonly first: Promise<void>;
  /** Aborted by the second. */
  readonly hurry: AbortSignal;
  release(): void;
}

function listenForSignals({ io }: Context): Signals {
  const hurry = new AbortController();
  let count = 0;
  let release = (): void => undefined;
  const first = new Promise<void>((resolve) => {
    release = io.onSignal((signal) => {
      count += 1;
      resolve();
      if (count === 2) hurry.abort(new Error(`second ${signal}: ending running steps`));
    });
  });
  return { first, hurry: hurry.signal, release };
}
