/** Runs one set-up command of a work tree. Its output is kept only as the words of its failure. */
import { spawn } from 'node:child_process';

import { messageOf } from './errors.ts';

/**
 * Runs a command to its end.
 *
 * @param command - the program and its arguments
 * @param cwd - where
 * @param env - its whole environment
 * @returns what went wrong, `undefined` when nothing did
 */
export function runSetupCommand(
  command: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>>,
): Promise<string | undefined> {
  const [program = '', ...args] = command;
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let tail = '';
    const keep = (chunk: Buffer): void => {
      tail = (tail + chunk.toString('utf8')).slice(-MAX_TAIL_CHARACTERS);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', (error) => resolve(`could not be started: ${messageOf(error)}`));
    child.on('close', (code, signal) => {
      const words = tail.trim() === '' ? '' : `, its last words: ${tail.trim()}`;
      resolve(code === 0 ? undefined : `ended with ${signal ?? `exit code ${code ?? '?'}`}${words}`);
    });
  });
}

const MAX_TAIL_CHARACTERS = 2000;
