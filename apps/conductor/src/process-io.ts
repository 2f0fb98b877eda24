/** The outside world of a real process. Nothing else in the app reads `process`. */
import { closeSync, fstatSync, openSync } from 'node:fs';

import { createRealClock } from '@conductor-run/clock';

import type { CliIo } from './io.ts';

/**
 * The io of this process: its streams, environment, working directory, signals and the real clock.
 *
 * @returns what `runCli` takes; signals are listened to only while a command asks for them
 */
export function createProcessIo(): CliIo {
  const hadTerminal = hasTerminal();
  return {
    hasInput: isInput(0),
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
    isTerminalClosed: () => hadTerminal && !hasTerminal(),
    outliveReader() {
      for (const stream of [process.stdout, process.stderr]) {
        stream.off('error', endQuietly);
        stream.off('error', rethrowUnlessGone).on('error', rethrowUnlessGone);
      }
    },
  };
}

/** A terminal is nobody's input here, and `/dev/null` is as good as none. */
function isInput(fd: number): boolean {
  const entry = fstatSync(fd);
  return entry.isFile() || entry.isFIFO() || entry.isSocket();
}

/** Ends this process with 0 once nobody reads what it prints (`conductor runs list | head`), unless `outliveReader` was called. */
export function endWithReader(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', endQuietly);
}

function endQuietly(error: NodeJS.ErrnoException): void {
  rethrowUnlessGone(error);
  process.exit(0);
}

/** Whether there is a terminal that controls us: a closed one can be opened no more. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error) return false;
    throw error;
  }
}

/** EPIPE is a pipe that nobody reads any more, EIO a terminal that was closed. */
function rethrowUnlessGone(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE' && error.code !== 'EIO') throw error;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
