/** `conductor config show|schema|check`: what the settings are and where each came from. */
import type { Command } from 'commander';

import { configJsonSchema } from '../config.ts';
import { type CliOptions, createContext, withCommonOptions } from '../context.ts';
import type { CliIo } from '../io.ts';
import { kebabCase, settingKeys } from '../settings.ts';
import { formatTable } from '../terminal/table.ts';
import { toConfigView } from '../views/config-view.ts';
import { configCheckView, configView } from '../views/upkeep-views.ts';

/** Adds `config` and its subcommands. */
export function addConfigCommand(program: Command, io: CliIo): void {
  const config = program.command('config').description('show, check or describe the configuration');

  withCommonOptions(
    config
      .command('show', { isDefault: true })
      .description('every setting, its value and where it came from')
      .addHelpText('after', '\nExample:\n  CONDUCTOR_MAX_PARALLEL=8 conductor config show'),
    settingKeys(),
  ).action((options: CliOptions) => {
    const context = createContext(io, options);
    const shown = toConfigView(context.config);
    const { configPath, settings, jobs } = shown;
    if (context.json) {
      context.printJson(configView, shown);
      return;
    }
    context.print(`config file: ${configPath ?? 'none found, defaults apply'}\n\n`);
    context.print(
      formatTable(
        settings,
        [
          { head: 'SETTING', cell: (row) => kebabCase(row.key) },
          { head: 'VALUE', cell: (row) => String(row.value) },
          { head: 'FROM', cell: (row) => row.source },
        ],
        context.paint,
      ),
    );
    context.print(`\njobs: ${jobs.length === 0 ? 'none' : jobs.join(', ')}\n`);
  });

  config
    .command('schema')
    .description('the JSON Schema of conductor.yaml, for editors')
    .addHelpText('after', '\nExample:\n  conductor config schema > conductor.schema.json')
    .action(() => void io.stdout.write(`${JSON.stringify(configJsonSchema(), undefined, 2)}\n`));

  withCommonOptions(
    config
      .command('check')
      .description('read the config and say whether it can be used')
      .addHelpText('after', '\nExample:\n  conductor config check --config ci/conductor.yaml'),
  ).action((options: CliOptions) => {
    const context = createContext(io, options);
    const { configPath, jobs } = context.config;
    if (context.json)
      context.printJson(configCheckView, {
        isUsable: true,
        configPath: configPath ?? null,
        jobs: [...jobs.keys()],
      });
    else
      context.print(`${context.paint('good', 'ok')} ${configPath ?? 'no config file'}: ${jobs.size} jobs\n`);
  });
}
