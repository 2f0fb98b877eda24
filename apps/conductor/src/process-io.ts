/** The outside world of a real process. Nothing else in the app reads `process`. */
import { createRealClock } from '@conductor-run/clock';

import type { CliIo } from './io.ts';

/**
 * The io of this process: its streams, environment, working directory, signals and the real clock.
 *
 * @returns what `runCli` takes; signals are listened to only while a command asks for them
 */
export function createProcessIo(): CliIo {
  return {
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
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
