/** `conductor run JOB`: one attempt of a job now, in the foreground, with live output. */
import type { Command } from 'commander';

import { type CliOptions, createContext, withCommonOptions } from '../context.ts';
import { claimNow, runInForeground } from '../foreground.ts';
import type { CliIo } from '../io.ts';
import { keyOption } from '../key-option.ts';
import { requireDefinition } from '../job-config.ts';
import { withStore } from '../wire.ts';

/** Adds `run`. */
export function addRunCommand(program: Command, io: CliIo, finish: (exitCode: number) => void): void {
  withCommonOptions(
    program
      .command('run <job>')
      .description('run a job now, in the foreground; exits with the exit code of its last step')
      .addOption(keyOption())
      .addHelpText('after', '\nExample:\n  conductor run nightly-tests'),
  ).action(async (name: string, options: CliOptions) => {
    const { key, ...common } = options;
    const context = createContext(io, common);
    io.outliveReader();
    const job = requireDefinition(context.config.jobs, name);
    finish(
      await withStore(context, async (store) => {
        const lease = await claimNow(context, store, job, String(key));
        return runInForeground(context, store, job, lease);
      }),
    );
  });
}
