/** `conductor completion SHELL`: prints a completion script made from the commands themselves. */
import type { Command } from 'commander';

import { describeCommand } from '../command-tree.ts';
import { completionScript, NAMES, SHELLS } from '../completion.ts';
import { createReadingContext } from '../context.ts';
import { ConductorError } from '../errors.ts';
import type { CliIo } from '../io.ts';
import { createRunIndex } from '../record/run-index.ts';
import type { CompletionView } from '../views/types.ts';
import { toCommandView } from '../views/upkeep-views.ts';

/** Adds `completion`. */
export function addCompletionCommand(program: Command, io: CliIo): void {
  program
    .command('completion <shell>')
    .description(
      `print a completion script for ${SHELLS.join(', ')}; its scripts ask for ${NAMES.join(' and ')}, which prints names of those`,
    )
    .option('--json', 'print the command tree instead, as one JSON document')
    .addHelpText('after', '\nExample:\n  source <(conductor completion bash)')
    .action(async (name: string, options: { readonly json?: boolean }) => {
      const names = NAMES.find((known) => known === name);
      if (names !== undefined && options.json !== true) {
        io.stdout.write((await readNames(io, names)).map((each) => `${each}\n`).join(''));
        return;
      }
      const shell = SHELLS.find((known) => known === name);
      if (shell === undefined) {
        throw new ConductorError(
          'usage',
          `Cannot write completion for "${name}": expected one of ${SHELLS.join(', ')}`,
        );
      }
      const tree = describeCommand(program);
      const view: CompletionView = { shell, program: toCommandView(tree) };
      const json = (): string => `${JSON.stringify(view, undefined, 2)}\n`;
      io.stdout.write(options.json === true ? json() : completionScript(shell, tree));
    });
}

/** What an argument may name here: every job of the config; of runs the newest, and their jobs. */
async function readNames(io: CliIo, names: (typeof NAMES)[number]): Promise<readonly string[]> {
  const { config } = createReadingContext(io, {});
  const jobs = [...config.jobs.keys()];
  if (names === 'jobs') return jobs;
  const { runs } = await createRunIndex(config.settings.runsDir, io.clock).page({ limit: MAX_RUNS });
  return ['last', ...jobs, ...runs.map((run) => run.paths.runId)];
}

const MAX_RUNS = 20;
