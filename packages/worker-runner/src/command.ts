/**
 * Turns a request's command into what will be executed, and says in clear words why it cannot be.
 * Checked before the spawn, since behind the wrapper a missing program would look like exit code 127.
 */
import { closeSync, constants, accessSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import { delimiter, isAbsolute, join, resolve } from 'node:path';

import { systemCodeOf } from './errors.ts';

/** Why a step could not be started. */
export interface StartFailure {
  /** The system's code: `ENOENT`, `EACCES`, `E2BIG`, `ENOTDIR`, `ENOEXEC` or whatever the spawn said. */
  readonly code: string;
  /** One sentence for people. */
  readonly message: string;
}

/** A command that can be executed, or why not. */
export type ResolvedCommand =
  | { readonly argv: readonly string[]; readonly failure?: never }
  | { readonly failure: StartFailure };

/**
 * Finds the program of a command.
 *
 * @param command - an argument list, or a line for `/bin/sh`
 * @param cwd - where the step will run
 * @param env - the environment it will have, for its PATH
 */
export function resolveCommand(
  command: readonly string[] | string,
  cwd: string,
  env: Readonly<Record<string, string>>,
): ResolvedCommand {
  const cwdFailure = checkDirectory(cwd);
  if (cwdFailure !== undefined) return { failure: cwdFailure };
  const argv = typeof command === 'string' ? ['/bin/sh', '-c', command] : command;
  const tooLong = argv.findIndex((argument) => Buffer.byteLength(argument) > MAX_ARGUMENT_BYTES);
  if (tooLong >= 0) return { failure: tooLongFailure(tooLong, argv[tooLong] ?? '') };
  const program = argv[0] ?? '';
  const found = findProgram(program, cwd, env['PATH'] ?? '');
  if (typeof found !== 'string') return { failure: found };
  const interpreterFailure = checkInterpreter(found);
  return interpreterFailure === undefined
    ? { argv: [found, ...argv.slice(1)] }
    : { failure: interpreterFailure };
}

function checkDirectory(cwd: string): StartFailure | undefined {
  try {
    if (statSync(cwd).isDirectory()) return undefined;
    return { code: 'ENOTDIR', message: `Cannot start step in "${cwd}": not a directory` };
  } catch (error) {
    const code = systemCodeOf(error) ?? 'ENOENT';
    return { code, message: `Cannot start step in "${cwd}": ${WORDS[code] ?? code}` };
  }
}

function tooLongFailure(index: number, argument: string): StartFailure {
  const where = index === 2 ? 'argument 2 (or the shell line)' : `argument ${index}`;
  return {
    code: 'E2BIG',
    message: `Cannot start step: ${where} has ${Buffer.byteLength(argument)} bytes, expected at most ${MAX_ARGUMENT_BYTES}; pass long texts by stdin`,
  };
}

function findProgram(program: string, cwd: string, searchPath: string): string | StartFailure {
  if (program.includes('/')) {
    const path = isAbsolute(program) ? program : resolve(cwd, program);
    const code = whyNotExecutable(path);
    return code === undefined ? path : startFailure(program, code);
  }
  let best = 'ENOENT';
  for (const directory of searchPath.split(delimiter)) {
    const path = resolve(cwd, join(directory === '' ? '.' : directory, program));
    // Most directories do not have it, and an error for each costs more than all the rest.
    if (!existsSync(path)) continue;
    const code = whyNotExecutable(path);
    if (code === undefined) return path;
    if (code === 'EACCES') best = code;
  }
  return startFailure(program, best);
}

function whyNotExecutable(path: string): string | undefined {
  try {
    if (!statSync(path).isFile()) return 'EACCES';
    accessSync(path, constants.X_OK);
    return undefined;
  } catch (error) {
    return systemCodeOf(error) ?? 'ENOENT';
  }
}

/** `#!` to an interpreter that is not there makes the kernel say ENOENT for a file that is. */
function checkInterpreter(path: string): StartFailure | undefined {
  const head = readHead(path);
  const interpreter = /^#!\s*(\S+)/u.exec(head)?.[1];
  if (interpreter === undefined) return undefined;
  const code = whyNotExecutable(interpreter);
  if (code === undefined) return undefined;
  return {
    code,
    message: `Cannot start step "${path}": its interpreter "${interpreter}" is ${WORDS[code] ?? code}`,
  };
}

function readHead(path: string): string {
  const head = Buffer.alloc(MAX_SHEBANG_BYTES);
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    // Executable but not readable is fine for the kernel, unless it is a script, which then fails by itself.
    return '';
  }
  try {
    return head.toString('latin1', 0, readSync(fd, head));
  } finally {
    closeSync(fd);
  }
}

function startFailure(program: string, code: string): StartFailure {
  return { code, message: `Cannot start step "${program}": ${WORDS[code] ?? code}` };
}

const WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'not found',
  EACCES: 'not executable, or not permitted',
  ENOTDIR: 'not a directory',
};
/** Linux: MAX_ARG_STRLEN less its NUL. Beyond it execve fails with E2BIG, whatever else is free. */
const MAX_ARGUMENT_BYTES = 131_071;
const MAX_SHEBANG_BYTES = 256;
