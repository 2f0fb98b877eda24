/** `conductor runs cancel RUN`: asks the owner of the job a run belongs to to stop it. */
import type { Command } from 'commander';

import { type CliOptions, createReadingContext, withApiOption, withCommonOptions } from '../context.ts';
import type { CliIo } from '../io.ts';
import { cancelRunOf } from '../record/runs.ts';
import { fromRecord } from '../remote.ts';
import { selectRun } from '../run-selector.ts';
import { jobOutcomeView } from '../views/job-views.ts';
import { describeOutcome, STEER_EXITS } from './jobs-steer.ts';

/** Adds `runs cancel`. */
export function addRunsCancelCommand(runs: Command, io: CliIo, finish: (exitCode: number) => void): void {
  withApiOption(
    withCommonOptions(
      runs
        .command('cancel <run>')
        .description('ask whoever runs it to stop it; its job is not tried again until there is newer input')
        .addHelpText('after', '\nExample:\n  conductor runs cancel last'),
    ),
  ).action(async (selector: string, options: CliOptions) => {
    const context = createReadingContext(io, options);
    const view = await fromRecord(context, {
      here: async ({ store }) => {
        const run = await selectRun(context.config.settings.runsDir, selector, io.clock);
        return cancelRunOf(store, run);
      },
      there: (client) => client.cancelRun(selector),
    });
    finish(STEER_EXITS[view.outcome]);
    if (context.json) context.printJson(jobOutcomeView, view);
    else context.print(`${describeOutcome(view, 'cancel')}\n`);
  });
}
