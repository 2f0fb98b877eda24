/** `conductor run JOB`: one attempt of a job now, in the foreground, with live output. */
import type { Command } from 'commander';

import { type CliOptions, createContext, withCommonOptions } from '../context.ts';
import { ConductorError } from '../errors.ts';
import { claimNow, runInForeground } from '../foreground.ts';
import { INPUT_OPTION, readInput } from '../input-file.ts';
import type { CliIo } from '../io.ts';
import { keyOption } from '../key-option.ts';
import type { JobDefinition } from '../job-config.ts';
import { requireDefinition } from '../job-lookup.ts';
import { withStore } from '../wire.ts';

/** Adds `run`. */
export function addRunCommand(program: Command, io: CliIo, finish: (exitCode: number) => void): void {
  withCommonOptions(
    program
      .command('run <job> [args...]')
      .description(
        'run a job now, in the foreground; exits with the exit code of its last step; ARGS, of a job with one step, are "$@" in a shell line and follow a list of arguments, for this attempt and not for its retries',
      )
      .addOption(keyOption())
      .option('--input <file>', INPUT_OPTION)
      .addHelpText(
        'after',
        '\nExamples:\n  conductor run nightly-tests\n  conductor run nightly-tests -- --only slow\n  conductor run convert --input request.json',
      ),
  ).action(async (name: string, args: readonly string[], options: CliOptions) => {
    const { key, input, ...common } = options;
    const context = createContext(io, common);
    io.outliveReader();
    const job = withArguments(requireDefinition(context.config.jobs, name), args);
    const given = typeof input === 'string' ? readInput(io, input) : undefined;
    if (io.hasInput && given === undefined) {
      context.warn(
        `${context.paint('dim', 'standard input is not passed to a job; --input - does, as JSON')}\n`,
      );
    }
    finish(
      await withStore(context, async (store) => {
        const lease = await claimNow(context, store, job, String(key), given);
        return runInForeground(context, store, job, lease);
      }),
    );
  });
}

/** The job with arguments for its one step. */
function withArguments(job: JobDefinition, args: readonly string[]): JobDefinition {
  if (args.length === 0) return job;
  const [step, ...others] = job.steps;
  if (step === undefined || others.length > 0) {
    throw new ConductorError(
      'usage',
      `Cannot pass arguments to job "${job.name}": it has ${job.steps.length} steps, expected one`,
    );
  }
  const { command } = step;
  const own = typeof command === 'string' ? [SHELL, '-c', command, SHELL] : command;
  return { ...job, steps: [{ ...step, command: [...own, ...args] }] };
}

/** What runs a shell line, and `$0` in it. */
const SHELL = '/bin/sh';
