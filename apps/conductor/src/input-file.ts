/** What `--input` names: a file of JSON, or our standard input. */
import { readFileSync } from 'node:fs';
import path from 'node:path';

import type { JsonValue } from '@conductor-run/job-store';
import { z } from 'zod';

import { ConductorError } from './errors.ts';
import type { CliIo } from './io.ts';

/** What the option says about itself. */
export const INPUT_OPTION = 'JSON that each step gets on its standard input; - reads ours';

/**
 * Reads the JSON of `--input`.
 *
 * @param io - for the working directory
 * @param file - its path; `-` reads standard input to its end
 * @throws ConductorError with code `usage` when it cannot be read or is no JSON
 */
export function readInput({ cwd }: Pick<CliIo, 'cwd'>, file: string): JsonValue {
  try {
    // Descriptor 0 is our standard input.
    return jsonInput.parse(JSON.parse(readFileSync(file === '-' ? 0 : path.resolve(cwd, file), 'utf8')));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConductorError('usage', `Cannot use --input "${file}": ${reason}, expected a file of JSON`, {
      cause: error,
    });
  }
}

const jsonInput: z.ZodType<JsonValue> = z.json();
