/**
 * How a command that fails says so: one sentence and what to do next on stderr, and with `--json` one document on stdout.
 * Invariant: whatever can be expected becomes a failure here and nowhere else; what nobody expected keeps its stack.
 */
import { getSystemErrorMap } from 'node:util';

import { CommanderError, type Command } from 'commander';

import { ConductorApiError } from './client.ts';
import { ConductorError } from './errors.ts';
import { EXIT } from './exit-codes.ts';
import type { CliIo } from './io.ts';
import { createPaint, forTerminal } from './terminal/style.ts';
import { toUsageError } from './usage-error.ts';
import type { FailureView } from './views/types.ts';

/** What went wrong, in words for people and programs. */
export type Failure = FailureView['error'];

/**
 * Understands what was thrown.
 *
 * @param thrown - by a command, or by commander
 * @param program - the command line, for what commander refused
 * @param args - what was called
 * @returns `undefined` for an error nobody expected
 */
export function toFailure(thrown: unknown, program: Command, args: readonly string[]): Failure | undefined {
  if (thrown instanceof CommanderError) return toFailure(toUsageError(thrown, program, args), program, args);
  if (thrown instanceof ConductorError) {
    const { code, message, hint = null, details = {} } = thrown;
    return { code, message, hint, details, exitCode: exitCodeOf(code) };
  }
  if (thrown instanceof ConductorApiError) {
    const { hint, ...details } = thrown.details;
    const { code, message } = thrown;
    return {
      code,
      message,
      hint: typeof hint === 'string' ? hint : null,
      details,
      exitCode: exitCodeOf(code),
    };
  }
  if (isSystemError(thrown)) return describeSystemError(thrown);
  if (thrown instanceof Error && 'code' in thrown) {
    // Errors of the packages carry a code and a message that stands alone.
    return {
      code: String(thrown.code),
      message: thrown.message,
      hint: null,
      details: {},
      exitCode: EXIT.failed,
    };
  }
  return undefined;
}

/**
 * Prints a failure.
 *
 * @param failure - what went wrong
 * @param io - the outside world
 * @param form - `text`, or with `--json` one `document`, or one `line` for commands that print a document a line
 */
export function printFailure(failure: Failure, io: CliIo, form: 'text' | 'document' | 'line'): void {
  const paint = createPaint(io);
  const hint = failure.hint === null ? '' : `${paint('dim', failure.hint)}\n`;
  io.stderr.write(forTerminal(io, `${paint('bad', 'error')} ${failure.message}\n${hint}`));
  if (form === 'text') return;
  const view: FailureView = { error: failure };
  io.stdout.write(`${JSON.stringify(view, undefined, form === 'document' ? 2 : undefined)}\n`);
}

function exitCodeOf(code: string): number {
  return EXIT_OF_CODE[code] ?? EXIT.failed;
}

const EXIT_OF_CODE: Readonly<Record<string, number>> = {
  usage: EXIT.usage,
  'config-invalid': EXIT.usage,
  'config-not-found': EXIT.usage,
  'job-unknown': EXIT.usage,
  'run-unknown': EXIT.usage,
  'run-ambiguous': EXIT.usage,
  'checkpoint-unknown': EXIT.usage,
  'request-invalid': EXIT.usage,
  'claim-refused': EXIT.refused,
};

interface SystemError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
  readonly path?: string | undefined;
}

function isSystemError(thrown: unknown): thrown is SystemError {
  return (
    thrown instanceof Error &&
    'errno' in thrown &&
    typeof thrown.errno === 'number' &&
    'code' in thrown &&
    typeof thrown.code === 'string' &&
    'syscall' in thrown &&
    typeof thrown.syscall === 'string'
  );
}

/** What the operating system refused, in our words. */
function describeSystemError(error: SystemError): Failure {
  const { code, errno, syscall, path } = error;
  const [, reason = code] = getSystemErrorMap().get(errno) ?? [];
  const what = `${SYSTEM_CALLS[syscall] ?? syscall}${path === undefined ? '' : ` "${path}"`}`;
  return {
    code,
    message: `Cannot ${what}: ${reason}`,
    hint: SYSTEM_HINTS[code] ?? null,
    details: { syscall, ...(path !== undefined && { path }) },
    exitCode: EXIT.failed,
  };
}

const SYSTEM_CALLS: Readonly<Record<string, string>> = {
  open: 'open',
  mkdir: 'make folder',
  mkdtemp: 'make a folder at',
  scandir: 'list folder',
  unlink: 'remove',
  rmdir: 'remove folder',
  stat: 'look at',
  lstat: 'look at',
  access: 'use',
  spawn: 'start',
};

const SYSTEM_HINTS: Readonly<Record<string, string>> = {
  EACCES: 'See who owns it, or keep the state elsewhere: --state-dir.',
  EPERM: 'See who owns it, or keep the state elsewhere: --state-dir.',
  EROFS: 'Its disk is read-only: keep the state elsewhere: --state-dir.',
  ENOENT: 'See that the path is right and that it exists.',
  ENOTDIR: 'A part of the path is a file: name a folder.',
  EISDIR: 'It is a folder: name a file.',
  EEXIST: 'Name one that is not there yet, or remove it first.',
  ENOSPC: 'Make room on its disk: conductor runs prune, conductor worktrees prune.',
  EDQUOT: 'Make room below your quota: conductor runs prune, conductor worktrees prune.',
  EMFILE: 'Raise the limit of open files: ulimit -n.',
};
