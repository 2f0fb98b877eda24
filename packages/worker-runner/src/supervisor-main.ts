/**
 * The supervisor's entry: a process of its own, started by `startSupervised` and `adoptRuns`.
 * Arguments: the runs directory, and how long to wait for work in ms.
 */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';

import { withDefaults } from './open-step.ts';
import { supervise, supervisorDirOf } from './supervisor.ts';

const [runsDir = '', idleExitMs = '60000'] = process.argv.slice(2);
const logPath = join(supervisorDirOf(runsDir), 'supervisor.log');

const log =
  (level: string) =>
  (fields: object, message: string): void => {
    const readable = Object.entries(fields).map(([key, value]): [string, unknown] => [
      key,
      value instanceof Error ? { message: value.message, stack: value.stack } : value,
    ]);
    appendFileSync(logPath, `${JSON.stringify({ level, message, ...Object.fromEntries(readable) })}\n`, {
      mode: 0o600,
    });
  };

await supervise({
  runsDir,
  idleExitMs: Number(idleExitMs),
  deps: withDefaults({ logger: { warn: log('warn'), error: log('error'), debug: () => undefined } }),
});
