/** `conductor enqueue JOB`: raises a job's watermark; whoever dispatches runs it. */
import { readFileSync } from 'node:fs';
import path from 'node:path';

import type { Command } from 'commander';
import { z } from 'zod';

import {
  type CliOptions,
  type Context,
  createContext,
  withApiOption,
  withCommonOptions,
} from '../context.ts';
import { ConductorError } from '../errors.ts';
import type { CliIo } from '../io.ts';
import { keyOption } from '../key-option.ts';
import { enqueueJob } from '../record/jobs.ts';
import { fromRecord } from '../remote.ts';
import { enqueueView } from '../views/job-views.ts';

/** Adds `enqueue`. */
export function addEnqueueCommand(program: Command, io: CliIo): void {
  withApiOption(
    withCommonOptions(
      program
        .command('enqueue <job>')
        .description("raise a job's watermark so that a daemon runs it")
        .addOption(keyOption())
        .option('--watermark <n>', 'how new the input is; default: the next integer')
        .option('--input <file>', 'JSON that each step gets on its standard input; - reads ours')
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
      ...(typeof input === 'string' && { input: readInput(context, input) }),
    };
    const result = await fromRecord(context, {
      here: (place) => enqueueJob(place, name, request),
      there: (client) => client.enqueue(name, request),
    });
    if (context.json) {
      context.printJson(enqueueView, result);
    } else if (result.isRaised) {
      context.print(`${name}: watermark ${result.watermark}, due now\n`);
    } else {
      context.print(
        `${name}: watermark stays ${result.watermark}, it is not older than what was asked for\n`,
      );
    }
  });
}

function readInput({ io }: Context, file: string): z.output<typeof jsonInput> {
  try {
    // Descriptor 0 is our standard input.
    return jsonInput.parse(JSON.parse(readFileSync(file === '-' ? 0 : path.resolve(io.cwd, file), 'utf8')));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConductorError('usage', `Cannot use --input "${file}": ${reason}, expected a file of JSON`, {
      cause: error,
    });
  }
}

const jsonInput = z.json();

function parseWatermark(value: CliOptions[string]): number | undefined {
  if (value === undefined) return undefined;
  const watermark = Number(value);
  if (Number.isSafeInteger(watermark) && watermark >= 1) return watermark;
  throw new ConductorError(
    'usage',
    `Cannot use --watermark "${String(value)}": expected a whole number of at least 1`,
  );
}
