/**
 * The supervisor's entry: a process of its own, started by `startSupervised` and `adoptRuns`.
 * Arguments: the runs directory, and how long to wait for work in ms.
 * Invariants: a log that cannot be written stops nothing; the next line that can be says how many are missing. What a
 * keeper leaves open keeps no supervisor alive that has nothing to look after.
 */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';

import { withDefaults } from './open-step.ts';
import { supervise, supervisorDirOf } from './supervisor.ts';

const [runsDir = '', idleExitMs = '60000'] = process.argv.slice(2);
const logPath = join(supervisorDirOf(runsDir), 'supervisor.log');

let missing = 0;
const log =
  (level: string) =>
  (fields: object, message: string): void => {
    const readable = Object.entries(fields).map(([key, value]): [string, unknown] => [
      key,
      value instanceof Error ? { message: value.message, stack: value.stack } : value,
    ]);
    const line = { level, message, ...Object.fromEntries(readable), ...(missing === 0 ? {} : { missing }) };
    try {
      appendFileSync(logPath, `${JSON.stringify(line)}\n`, { mode: 0o600 });
      missing = 0;
    } catch {
      missing += 1;
    }
  };

await supervise({
  runsDir,
  idleExitMs: Number(idleExitMs),
  deps: withDefaults({ logger: { warn: log('warn'), error: log('error'), debug: () => undefined } }),
});
process.exit(0);
