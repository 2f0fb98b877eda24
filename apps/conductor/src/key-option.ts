/** The door of `--key`. Any text the store can hold: also what somebody enqueued by mistake must be found and removed. */
import { Option } from 'commander';

import { ConductorError } from './errors.ts';
import { DEFAULT_KEY } from './wire.ts';

/** `--key`, for commands that name a job. */
export function keyOption(): Option {
  return new Option('--key <key>', 'which one of its kind').default(DEFAULT_KEY).argParser((text) => {
    if (text.length >= 1 && text.length <= MAX_KEY_LENGTH) return text;
    throw new ConductorError(
      'usage',
      `Cannot use --key "${text.slice(0, 20)}": it has ${text.length} characters, expected 1 to ${MAX_KEY_LENGTH}`,
    );
  });
}

const MAX_KEY_LENGTH = 1_000;
