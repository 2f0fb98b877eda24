/** The process: reads `process` once, runs the command line, sets the exit code. Nothing else in the app touches globals. */
import { createRealClock } from '@conductor-run/clock';

import { runCli } from './cli.ts';
import type { CliIo } from './io.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

const io: CliIo = {
  stdout: process.stdout,
  stderr: process.stderr,
  isTerminal: process.stderr.isTTY && process.env['TERM'] !== 'dumb',
  columns: process.stderr.columns ?? 80,
  hasColor: process.stdout.hasColors?.() ?? process.env['FORCE_COLOR'] !== undefined,
  env: process.env,
  cwd: process.cwd(),
  clock: createRealClock(),
  onSignal(listener) {
    for (const signal of SIGNALS) process.on(signal, listener);
    return () => {
      for (const signal of SIGNALS) process.off(signal, listener);
    };
  },
};

// A reader that went away (`conductor runs list | head`) ends the command; it is no error of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

process.exitCode = await runCli(process.argv.slice(2), io);
