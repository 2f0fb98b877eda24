/** `conductor enqueue JOB`: raises a job's watermark; whoever dispatches runs it. */
import type { Command } from 'commander';

import {
  type CliOptions,
  type Context,
  createContext,
  withApiOption,
  withCommonOptions,
} from '../context.ts';
import { ConductorError } from '../errors.ts';
import { INPUT_OPTION, readInput } from '../input-file.ts';
import type { CliIo } from '../io.ts';
import { keyOption } from '../key-option.ts';
import { enqueueJob } from '../record/jobs.ts';
import { intoRecord } from '../remote.ts';
import { enqueueView } from '../views/job-views.ts';
import type { EnqueueView } from '../views/types.ts';

/** Adds `enqueue`. */
export function addEnqueueCommand(program: Command, io: CliIo): void {
  withApiOption(
    withCommonOptions(
      program
        .command('enqueue <job>')
        .description(
          "raise a job's watermark so that a daemon runs it once, however often it was raised before; work of its own needs a --key of its own",
        )
        .addOption(keyOption())
        .option('--watermark <n>', 'how new the input is; default: the next integer')
        .option('--input <file>', `${INPUT_OPTION}; of one key only the newest input that waits is kept`)
        .addHelpText(
          'after',
          '\nExamples:\n  conductor enqueue reindex --watermark 1742\n  echo \'{"file":"a.md"}\' | conductor enqueue convert --key a.md --input -',
        ),
    ),
  ).action(async (name: string, options: CliOptions) => {
    const { key, watermark, input, ...common } = options;
    const context = createContext(io, common);
    const raiseTo = parseWatermark(watermark);
    const request = {
      key: String(key),
      ...(raiseTo !== undefined && { watermark: raiseTo }),
      ...(typeof input === 'string' && { input: readInput(io, input) }),
    };
    const result = await intoRecord(context, {
      here: (place) => enqueueJob(place, name, request),
      there: (client) => client.enqueue(name, request),
    });
    if (context.json) context.printJson(enqueueView, result);
    else context.print(describe(context, result));
  });
}

/** What became of the watermark, and when the job runs. */
function describe({ paint }: Context, view: EnqueueView): string {
  const { job, watermark, isRaised, replacesInput, waiting } = view;
  if (!isRaised) return `${job}: watermark stays ${watermark}, it is not older than what was asked for\n`;
  const replaced = 'the input replaces the one that waited; another --key would have kept both';
  const hint = waiting.hint === null ? '' : `${paint('dim', waiting.hint)}\n`;
  return [
    `${job}: watermark ${watermark}, ${dueWords(waiting)}\n`,
    replacesInput ? `${paint('warn', replaced)}\n` : '',
    hint,
  ].join('');
}

function dueWords({ state, text }: EnqueueView['waiting']): string {
  if (state === 'ready') return 'due now';
  return state === 'already_running' ? 'due after the run under way' : text;
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
