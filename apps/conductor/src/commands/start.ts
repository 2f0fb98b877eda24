/** `conductor start`: the daemon, in the foreground; a service manager or a terminal keeps it. */
import path from 'node:path';

import { createLogger } from '@conductor-run/logging';
import type { TickResult } from '@conductor-run/timed-jobs';
import type { Command } from 'commander';

import { type CliOptions, type Context, createContext, withCommonOptions } from '../context.ts';
import { startDaemon } from '../daemon/daemon.ts';
import type { NodeMetrics } from '../daemon/metrics.ts';
import { combineObservers, type Observer } from '../daemon/observer.ts';
import { type HurryReason, listenForStop } from '../daemon/stop-request.ts';
import { formatDuration, parseDuration } from '../duration.ts';
import { describeReload } from '../terminal/reload.ts';
import { ConductorError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import type { CliIo } from '../io.ts';
import { settingKeys } from '../settings.ts';
import { ensureStateDir } from '../state-dir.ts';
import { createTaskBell } from '../task-bell.ts';
import { stripControl } from '../terminal/style.ts';
import { daemonEventView } from '../views/node-views.ts';
import type { DaemonEventView } from '../views/types.ts';
import { DEFAULT_KEY, storePath, withStore } from '../wire.ts';

/** Adds `start`. */
export function addStartCommand(program: Command, io: CliIo, finish: (exitCode: number) => void): void {
  withCommonOptions(
    program
      .command('start')
      .description(
        'the daemon: leadership, HTTP API, schedules, claims; a first signal waits for running steps and exits with 0, a second one ends them and exits with 3',
      )
      .option(
        '--run-once',
        'run what is due, wait for it, exit with its outcome; 75 when nothing could be planned',
      )
      .option(
        '--grace <duration>',
        'end steps that still run this long after the first signal and exit with 4, such as 10m; without it they may take as long as they need',
      )
      .addHelpText('after', '\nExample:\n  conductor start --max-parallel 8 --grace 10m'),
    settingKeys(),
  ).action(async (options: CliOptions) => {
    const { runOnce, grace, ...common } = options;
    const graceMs = typeof grace === 'string' ? parseGrace(grace) : Infinity;
    const context = createContext(io, common);
    finish(await runDaemon(context, runOnce === true, graceMs));
  });
}

async function runDaemon(context: Context, isOnce: boolean, graceMs: number): Promise<number> {
  const { io, config, paint } = context;
  const { settings } = config;
  io.outliveReader();
  ensureStateDir(settings.stateDir);
  const logFile = path.join(settings.logsDir, 'daemon.log');
  const logger = createLogger({
    level: settings.logLevel,
    destination: { file: logFile, maxBytes: LOG_BYTES, keep: KEPT_LOGS },
    fields: { node: settings.nodeId },
    clock: io.clock,
  });
  const stop = listenForStop(io, graceMs);
  const { metrics, observer } = await observe();
  const until = graceMs === Infinity ? 'end first' : `have ${formatDuration(graceMs)} to end`;
  let failed = 0;
  let planning: number = EXIT.ok;
  const tell = createTeller(context);
  try {
    await withStore(context, async (store) => {
      const say = (name: string, detail: string | undefined): void =>
        tell(
          { event: 'part.started', name, detail: detail ?? null },
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
        readConfig: context.readConfig,
        onReloaded: (reloaded) => {
          const event = reloaded.isInUse ? 'config.reloaded' : 'config.refused';
          const detail = describeReload(reloaded);
          tell({ event, detail }, `${paint(reloaded.isInUse ? 'good' : 'bad', detail)}\n`);
        },
        observer,
        metrics,
        hurry: stop.hurry,
        stopping: stop.stopping,
        onStarted: say,
        onTask: ({ results, recorded, summary, taskId }) => {
          const last = results.at(-1);
          if (recorded !== 'succeeded') failed += 1;
          const tone = recorded === 'succeeded' ? 'good' : 'bad';
          tell(
            {
              event: 'task.ended',
              name: taskId,
              detail: summary,
              recorded,
              runId: last?.runId ?? null,
            },
            `${paint('dim', new Date(io.clock.nowMs()).toISOString())} ${paint(tone, recorded)} ${taskId}  ${stripControl(summary)}${last === undefined ? '' : `  ${paint('dim', last.runId)}`}\n`,
          );
        },
        onTaskThrown: ({ kind, key }, error) => {
          const detail = error instanceof Error ? error.message : String(error);
          const name = key === DEFAULT_KEY ? kind : `${kind} (${key})`;
          failed += 1;
          tell(
            { event: 'task.ended', name, detail },
            `${paint('dim', new Date(io.clock.nowMs()).toISOString())} ${paint('bad', 'failed')} ${stripControl(`${name}  ${detail}`)}\n`,
          );
        },
      });
      logger.info({ jobs: [...config.jobs.keys()] }, 'daemon.started');
      // A single pass is over before a new config could matter.
      if (!isOnce) stop.onReload(() => void daemon.reload());
      tell(
        { event: 'daemon.up', detail: logFile },
        `${paint('strong', 'conductor is up')}, log in ${logFile}; Ctrl-C drains and stops\n`,
      );
      const tick = await Promise.race(isOnce ? [stop.asked, daemon.runOnce()] : [stop.asked]);
      planning = tick === undefined ? EXIT.ok : tellPlanning(context, tick, logFile);
      tell(
        { event: 'daemon.stopping' },
        `stopping: nothing new starts, running steps ${until}; Ctrl-C again ends them\n`,
      );
      stop.begin();
      await daemon.stop();
      const ending = stop.hurryReason() ?? 'drained';
      logger.info({ reason: ending }, 'daemon.stopped');
      tell({ event: 'daemon.stopped', detail: ending }, `stopped${ENDINGS[ending]}\n`);
    });
  } finally {
    stop.release();
    logger.flush();
  }
  const exitCode = exitCodeOf(stop.hurryReason());
  if (!isOnce || exitCode !== EXIT.ok) return exitCode;
  return failed > 0 ? EXIT.failed : planning;
}

/** Says when a single pass planned nothing or not all; gives the exit code of that. */
function tellPlanning(
  { paint, warn }: Context,
  { decision, failedRunnerCount }: TickResult,
  logFile: string,
): number {
  if (decision === 'scheduled' && failedRunnerCount === 0) return EXIT.ok;
  const skip = SKIPS[decision];
  const what = skip === undefined ? `planning failed, see ${logFile}` : `nothing was planned: ${skip}`;
  warn(`${paint('bad', what)}\n`);
  return skip === undefined ? EXIT.failed : EXIT.refused;
}

const SKIPS: Readonly<Partial<Record<TickResult['decision'], string>>> = {
  skipped_not_leader: 'another node leads, or nobody could yet; `conductor leader` shows who',
  skipped_system_paused: 'everything is paused; `conductor jobs resume` ends that',
  skipped_busy: 'another tick was under way',
};

type Telling = Pick<DaemonEventView, 'event'> & Partial<Omit<DaemonEventView, 'event' | 'atMs'>>;

/** Says what happens: a line for people, or one document with `--json`. */
function createTeller(context: Context): (view: Telling, text: string) => void {
  const nothing = { name: null, detail: null, recorded: null, runId: null };
  return (view, text) => {
    if (!context.json) context.print(text);
    else context.printJsonLine(daemonEventView, { atMs: context.io.clock.nowMs(), ...nothing, ...view });
  };
}

/** How it ended: by itself, or with steps that were ended. */
function exitCodeOf(reason: HurryReason | undefined): number {
  switch (reason) {
    case 'second-signal':
      return EXIT.hurried;
    case 'grace-over':
      return EXIT.graceOver;
    case undefined:
      return EXIT.ok;
  }
}

function parseGrace(text: string): number {
  const graceMs = parseDuration(text);
  if (graceMs !== undefined) return graceMs;
  throw new ConductorError('usage', `Cannot use --grace "${text}": expected a duration such as 90s or 1h30m`);
}

/** Loaded here, because no other command needs it. */
async function observe(): Promise<{ readonly metrics: NodeMetrics; readonly observer: Observer }> {
  const { createNodeMetrics } = await import('../daemon/metrics.ts');
  const { loadTracing } = await import('../daemon/tracing.ts');
  const metrics = createNodeMetrics();
  const tracing = await loadTracing();
  const observers = tracing === undefined ? [metrics.observer] : [metrics.observer, tracing];
  return { metrics, observer: combineObservers(observers) };
}

const ENDINGS: Readonly<Record<HurryReason | 'drained', string>> = {
  drained: '',
  'second-signal': ': a second signal ended the running steps; their jobs are due again',
  'grace-over': ': the grace was over and the running steps were ended; their jobs are due again',
};
/** Of the daemon's log: up to 80 MiB with the four files before it. */
const LOG_BYTES = 16 * 1024 * 1024;
const KEPT_LOGS = 4;
