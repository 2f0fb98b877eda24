/** `conductor init`: writes a commented conductor.yaml that works as it stands. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';

import type { Command } from 'commander';

import { ConductorError } from '../errors.ts';
import type { CliIo } from '../io.ts';

/** Adds `init`. */
export function addInitCommand(program: Command, io: CliIo): void {
  program
    .command('init')
    .description('write a commented conductor.yaml into this folder')
    .addHelpText('after', '\nExample:\n  conductor init && conductor run hello')
    .action(() => {
      const target = path.join(io.cwd, 'conductor.yaml');
      try {
        writeFileSync(target, TEMPLATE, { flag: 'wx' });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
        throw new ConductorError(
          'usage',
          `Cannot write "${target}": it exists already, expected no config here`,
          {
            cause: error,
            hint: '`conductor config check` says whether it can be used.',
          },
        );
      }
      io.stdout.write(`Wrote ${target}\nTry: conductor run hello\n`);
    });
}

const TEMPLATE = `# conductor.yaml — \`conductor config schema\` describes every key, \`conductor config\` what is in force.
store: sqlite:.conductor/conductor.db

jobs:
  # Runs when you ask for it: conductor run hello
  hello:
    description: Says hello
    command: echo "hello from conductor, attempt $CONDUCTOR_ATTEMPT"
    timeout: 1m

  # Runs every night at three while a daemon is up (conductor start); a missed night is made up once.
  nightly:
    description: Something for the night
    steps:
      - name: first
        command: [sh, -c, "echo first"]
      - name: second
        command: echo second
    schedule: { cron: "0 3 * * *", timezone: UTC, catchUp: latest }
    retry: { max: 3, backoff: exponential, delay: 10s, maxDelay: 10m }
`;
