/** `conductor init`: writes a commented conductor.yaml that works as it stands. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';

import type { Command } from 'commander';

import { configJsonSchema } from '../config.ts';
import { ConductorError } from '../errors.ts';
import type { CliIo } from '../io.ts';
import { ensureStateDir } from '../state-dir.ts';
import type { InitView } from '../views/types.ts';

/** Adds `init`. */
export function addInitCommand(program: Command, io: CliIo): void {
  program
    .command('init')
    .description('write a commented conductor.yaml into this folder')
    .option('--json', 'print one JSON document instead of text')
    .addHelpText('after', '\nExample:\n  conductor init && conductor run hello')
    .action((options: { readonly json?: boolean }) => {
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
      const schema = path.join(io.cwd, SCHEMA_FILE);
      ensureStateDir(path.dirname(schema));
      writeFileSync(schema, `${JSON.stringify(configJsonSchema(), undefined, 2)}\n`, { mode: 0o600 });
      const view: InitView = { path: target };
      io.stdout.write(options.json === true ? `${JSON.stringify(view)}\n` : nextSteps(target));
    });
}

function nextSteps(target: string): string {
  return `Wrote ${target}
Try:
  conductor run hello      runs a job now
  conductor start          runs nightly at night and words whenever notes/ changes
  conductor forecast       shows what will run
`;
}

/** Below the state directory, which version control leaves alone. */
const SCHEMA_FILE = '.conductor/conductor.schema.json';

const TEMPLATE = `# yaml-language-server: $schema=${SCHEMA_FILE}
# conductor.yaml — \`conductor config schema\` describes every key, \`conductor config\` what is in force.
# Editors that know the first line complete and check the keys; \`conductor config schema > ${SCHEMA_FILE}\` renews what they read.
# Everything conductor writes goes to .conductor/, which keeps itself out of version control.
store: sqlite:.conductor/conductor.db

jobs:
  # Manual: runs when you ask for it, with \`conductor run hello\`.
  hello:
    description: Says hello
    command: echo "hello from conductor, attempt $CONDUCTOR_ATTEMPT"
    timeout: 1m

  # Scheduled: runs every night at three while a daemon is up (\`conductor start\`); missed nights are made up once.
  nightly:
    description: Something for the night
    steps:
      - name: first
        command: [sh, -c, "echo first"]
      - name: second
        command: echo second
    schedule: { cron: "0 3 * * *", timezone: UTC, catchUp: latest }
    retry: { max: 3, backoff: exponential, delay: 10s, maxDelay: 10m }
    # Told when a night goes wrong, and when one goes well again; the hook gets JSON on its standard input.
    # notify: { on: [failed, recovered, lost], command: "cat >> nights.ndjson" }

  # Watched: runs once notes/ has been quiet for ten seconds after a change. Also { git: main } or { command: "…" }.
  words:
    description: Counts the words of the notes
    command: mkdir -p notes && find notes -type f -exec cat {} + | wc -w
    watch: { files: ["notes/**"] }
`;
