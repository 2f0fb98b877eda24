/** `conductor completion SHELL`: prints a completion script made from the commands themselves. */
import type { Command } from 'commander';

import { describeCommand } from '../command-tree.ts';
import { completionScript, SHELLS } from '../completion.ts';
import { ConductorError } from '../errors.ts';
import type { CliIo } from '../io.ts';
import type { CompletionView } from '../views/types.ts';
import { toCommandView } from '../views/upkeep-views.ts';

/** Adds `completion`. */
export function addCompletionCommand(program: Command, io: CliIo): void {
  program
    .command('completion <shell>')
    .description(`print a completion script for ${SHELLS.join(', ')}`)
    .option('--json', 'print the command tree instead, as one JSON document')
    .addHelpText('after', '\nExample:\n  source <(conductor completion bash)')
    .action((name: string, options: { readonly json?: boolean }) => {
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
