/** `conductor config show|schema|check`: what the settings are and where each came from. */
import type { Command } from 'commander';

import { configJsonSchema } from '../config.ts';
import { type CliOptions, createContext, withCommonOptions } from '../context.ts';
import { ConductorError } from '../errors.ts';
import type { CliIo } from '../io.ts';
import { isNeverDueAgain } from '../job-lookup.ts';
import { kebabCase, settingKeys } from '../settings.ts';
import { plural } from '../terminal/plural.ts';
import { formatTable } from '../terminal/table.ts';
import { toConfigView } from '../views/config-view.ts';
import { configCheckView, configView } from '../views/upkeep-views.ts';

/** Adds `config` and its subcommands. */
export function addConfigCommand(program: Command, io: CliIo): void {
  const config = program
    .command('config')
    .description('show, check or describe the configuration')
    .addHelpText('after', '\nExamples:\n  conductor config\n  conductor config check');

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
    .option('--json', 'the schema is JSON with and without it')
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
    if (configPath === undefined) {
      throw new ConductorError(
        'config-not-found',
        `Cannot check the config: there is none in "${io.cwd}" or above it`,
        { hint: '`conductor init` writes one; --config names another.' },
      );
    }
    const neverDue = [...jobs.values()].filter((job) => isNeverDueAgain(job, io.clock.nowMs()));
    const warnings = neverDue.map(
      ({ name }) => `jobs.${name}.schedule has no slot to come: it never makes the job due`,
    );
    if (context.json) {
      context.printJson(configCheckView, { isUsable: true, configPath, jobs: [...jobs.keys()], warnings });
      return;
    }
    context.print(`${context.paint('good', 'ok')} ${configPath}: ${plural(jobs.size, 'job')}\n`);
    for (const warning of warnings) context.print(`${context.paint('warn', 'warning')} ${warning}\n`);
  });
}
