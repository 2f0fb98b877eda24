/** `conductor runs prune`: removes old run directories by limits given now. */
import type { Command } from 'commander';

import { type CliOptions, createContext, withCommonOptions } from '../context.ts';
import { parseDuration } from '../duration.ts';
import { ConductorError } from '../errors.ts';
import type { CliIo } from '../io.ts';
import { pruneTaskRuns } from '../task-runs.ts';
import { plural } from '../terminal/plural.ts';
import { pruneRunsView, toPruneRunsView } from '../views/run-views.ts';
import { withStoreThatIsThere } from '../wire.ts';

/** Adds `runs prune`. */
export function addRunsPruneCommand(runs: Command, io: CliIo): void {
  withCommonOptions(
    runs
      .command('prune')
      .description('remove ended runs that are over a limit, oldest first; live ones are never touched')
      .option('--max-age <duration>', 'ended longer ago than this, such as 30d')
      .option('--max-runs <n>', 'how many ended runs stay')
      .option('--max-bytes <n>', 'how many bytes ended runs may take together')
      .option('--dry-run', 'only say what would go')
      .addHelpText('after', '\nExample:\n  conductor runs prune --max-age 30d --max-runs 1000 --dry-run'),
  ).action(async (options: CliOptions) => {
    const { maxAge, maxRuns, maxBytes, dryRun, ...common } = options;
    const context = createContext(io, common);
    if (maxAge === undefined && maxRuns === undefined && maxBytes === undefined) {
      throw new ConductorError(
        'usage',
        'Cannot prune runs without a limit: expected --max-age, --max-runs or --max-bytes',
      );
    }
    const limits = {
      ...(maxAge !== undefined && { maxAgeMs: parseAge(maxAge) }),
      ...(maxRuns !== undefined && { maxRuns: parseCount('--max-runs', maxRuns) }),
      ...(maxBytes !== undefined && { maxBytes: parseCount('--max-bytes', maxBytes) }),
      dryRun: dryRun === true,
    };
    const { runsDir } = context.config.settings;
    const report = await withStoreThatIsThere(context, (store) =>
      pruneTaskRuns({ runsDir, store, clock: io.clock }, limits),
    );
    if (context.json) {
      context.printJson(pruneRunsView, toPruneRunsView(report, dryRun === true));
      return;
    }
    for (const run of report.removed)
      context.print(`${run.taskId}/${run.runId}  ${run.reason}  ${run.bytes} bytes\n`);
    const verb = dryRun === true ? 'would remove' : 'removed';
    context.print(
      `${verb} ${plural(report.removed.length, 'run')}, ${plural(report.freedBytes, 'byte')}; ${report.keptRuns} stay\n`,
    );
  });
}

function parseAge(value: CliOptions[string]): number {
  const ageMs = parseDuration(String(value));
  if (ageMs !== undefined) return ageMs;
  throw new ConductorError(
    'usage',
    `Cannot use --max-age "${String(value)}": expected a duration such as 30d`,
  );
}

function parseCount(option: string, value: CliOptions[string]): number {
  const count = Number(value);
  if (Number.isSafeInteger(count) && count >= 0) return count;
  throw new ConductorError('usage', `Cannot use ${option} "${String(value)}": expected a whole number`);
}
