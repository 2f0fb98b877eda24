/** `conductor checkpoints prune RUN`: removes checkpoints of an ended run, with their files and refs. */
import { createCheckpointManager } from '@conductor-run/checkpointing';
import { isTerminalStatus } from '@conductor-run/logging';
import type { Command } from 'commander';

import { type CliOptions, createContext, withCommonOptions } from '../context.ts';
import { ConductorError } from '../errors.ts';
import type { CliIo } from '../io.ts';
import { selectRun } from '../run-selector.ts';
import { plural } from '../terminal/plural.ts';
import { pruneCheckpointsView, toPruneCheckpointsView } from '../views/snapshot-views.ts';

/** Adds `checkpoints prune`. */
export function addCheckpointsPruneCommand(checkpoints: Command, io: CliIo): void {
  withCommonOptions(
    checkpoints
      .command('prune <run>')
      .description('remove checkpoints of an ended run, with their files and refs')
      .option('--keep-last <n>', 'the newest of each type that stay', '1')
      .addHelpText('after', '\nExample:\n  conductor checkpoints prune last --keep-last 3'),
  ).action(async (selector: string, options: CliOptions) => {
    const { keepLast, ...common } = options;
    const context = createContext(io, common);
    const keep = Number(keepLast);
    if (!Number.isSafeInteger(keep) || keep < 0) {
      throw new ConductorError(
        'usage',
        `Cannot use --keep-last "${String(keepLast)}": expected a whole number`,
      );
    }
    const { paths, meta, state } = await selectRun(
      context.config.settings.runsDir,
      selector,
      context.io.clock,
    );
    if (!isTerminalStatus(state.status)) {
      throw new ConductorError(
        'usage',
        `Cannot prune checkpoints of run "${paths.runId}": it is ${state.status}, expected one that has ended`,
        { hint: 'Only the process that runs a step writes to its record.' },
      );
    }
    const manager = createCheckpointManager({
      taskId: paths.taskId,
      stepId: meta.stepId,
      runId: paths.runId,
      directory: paths.checkpointsDir,
      clock: io.clock,
    });
    const result = await manager.prune({ keepLastOfEachType: keep });
    if (context.json) {
      context.printJson(pruneCheckpointsView, toPruneCheckpointsView(paths.runId, result));
      return;
    }
    context.print(`removed ${plural(result.removed.length, 'checkpoint')}, ${result.kept.length} stay\n`);
    for (const { repository, reason } of result.unreachable) {
      context.warn(`${context.paint('warn', 'refs left')} in ${repository}: ${reason}\n`);
    }
  });
}
