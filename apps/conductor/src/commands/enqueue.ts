/** `conductor enqueue JOB`: raises a job's watermark; whoever dispatches runs it. */
import type { Command } from 'commander';

import { type CliOptions, createContext, withCommonOptions } from '../context.ts';
import { ConductorError } from '../errors.ts';
import type { CliIo } from '../io.ts';
import { requireDefinition } from '../job-config.ts';
import { DEFAULT_KEY, withStore } from '../wire.ts';

/** Adds `enqueue`. */
export function addEnqueueCommand(program: Command, io: CliIo): void {
  withCommonOptions(
    program
      .command('enqueue <job>')
      .description('raise a job’s watermark so that a daemon runs it')
      .option('--key <key>', 'which one of its kind', DEFAULT_KEY)
      .option('--watermark <n>', 'how new the input is; default: the next integer')
      .addHelpText('after', '\nExample:\n  conductor enqueue reindex --watermark 1742'),
  ).action(async (name: string, options: CliOptions) => {
    const { key, watermark, ...common } = options;
    const context = createContext(io, common);
    const definition = requireDefinition(context.config.jobs, name);
    const raiseTo = parseWatermark(watermark);
    const result = await withStore(context, (store) =>
      store.enqueue({
        kind: name,
        key: String(key),
        retries: definition.retry.max,
        ...(raiseTo !== undefined && { watermark: raiseTo }),
      }),
    );
    if (context.json) {
      context.printJson({ job: name, key, ...result });
    } else if (result.isRaised) {
      context.print(`${name}: watermark ${result.watermark}, due now\n`);
    } else {
      context.print(
        `${name}: watermark stays ${result.watermark}, it is not older than what was asked for\n`,
      );
    }
  });
}

function parseWatermark(value: CliOptions[string]): number | undefined {
  if (value === undefined) return undefined;
  const watermark = Number(value);
  if (Number.isSafeInteger(watermark) && watermark >= 1) return watermark;
  throw new ConductorError(
    'usage',
    `Cannot use --watermark "${String(value)}": expected a whole number of at least 1`,
  );
}
