/** Runs the setup commands of a new work tree. Invariant: whatever a command does, its process group ends with it. */
import { spawn } from 'node:child_process';

import type { Clock } from '@conductor-run/clock';

import { WorkerRunnerError } from './errors.ts';
import type { Host } from './host.ts';
import { BASE_VARIABLES, pickEnv } from './supervisor-client.ts';

/** A line for `/bin/sh`, or an argument list. */
export type SetupCommand = string | readonly string[];

/** Where and how long. */
export interface SetupOptions {
  readonly path: string;
  readonly host: Host;
  readonly clock: Clock;
  readonly timeoutSec: number;
}

/**
 * Runs one command and expects success.
 *
 * @param command - the command
 * @param options - where and how long
 * @throws {@link WorkerRunnerError} with code `worktree-setup-failed`, with the end of what it printed
 */
export async function runSetup(command: SetupCommand, options: SetupOptions): Promise<void> {
  const [program = '', ...args] = typeof command === 'string' ? ['/bin/sh', '-c', command] : command;
  const child = spawn(program, args, {
    cwd: options.path,
    env: pickEnv(options.host.env, BASE_VARIABLES),
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let tail = '';
  const keep = (chunk: Buffer): void => {
    tail = (tail + chunk.toString('utf8')).slice(-MAX_TAIL_CHARS);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const kill = (): void => {
    if (child.pid !== undefined) options.host.signal(-child.pid, 'SIGKILL');
  };
  let isTooLate = false;
  const timer = options.clock.setTimer(options.timeoutSec * 1000, () => {
    isTooLate = true;
    kill();
  });
  const ended = await new Promise<string | undefined>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(code === 0 ? undefined : `ended with ${code ?? signal}`));
  });
  timer.cancel();
  // Whoever it left in its group would hold files of a tree that may be removed next.
  kill();
  if (ended === undefined) return;
  const why = isTooLate ? `took longer than ${options.timeoutSec} s` : ended;
  const line = typeof command === 'string' ? command : command.join(' ');
  throw new WorkerRunnerError(
    'worktree-setup-failed',
    `Cannot set up work tree "${options.path}": "${line}" ${why}, expected success; it said: ${tail.trim()}`,
  );
}

const MAX_TAIL_CHARS = 2000;
