/**
 * Runs a short program of the user's: a watch that prints a number, a notification hook. Not for steps.
 * Invariant: when the promise settles nothing of its process group is left, and no more than a cap of its output was kept.
 */
import { spawn } from 'node:child_process';

import type { Clock } from '@conductor-run/clock';

import type { JobDefinition } from '../job-config.ts';

/** What to run, and how long. */
export interface ProgramRequest {
  /** A shell line, or the program and its arguments. */
  readonly command: string | readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Written to its standard input, which is then closed. */
  readonly input?: string;
  readonly timeoutMs: number;
  /** Ends it early. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
}

/** How it ended. */
export interface ProgramResult {
  readonly exitCode: number | null;
  /** Set when it did not exit by itself with 0. */
  readonly failure: string | undefined;
  readonly stdout: string;
}

/**
 * Runs it to its end, its time limit or the signal.
 *
 * @param request - what to run
 * @returns how it ended; never rejects for what the program does
 */
export async function runProgram(request: ProgramRequest): Promise<ProgramResult> {
  const { command, cwd, env, timeoutMs, signal, clock } = request;
  const [file = '', ...args] = typeof command === 'string' ? ['/bin/sh', '-c', command] : command;
  // A group of its own: a shell's children end with it.
  const child = spawn(file, args, { cwd, env, detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
  const stdout = keepUpTo(MAX_OUTPUT_BYTES);
  const stderr = keepUpTo(MAX_OUTPUT_BYTES);
  child.stdout.on('data', stdout.add);
  child.stderr.on('data', stderr.add);
  // A program that does not read its input closes it: no failure.
  child.stdin.on('error', () => undefined);
  child.stdin.end(request.input ?? '');

  let cutShort: string | undefined;
  const end = (why: string): void => {
    cutShort ??= why;
    killGroup(child.pid);
  };
  const timer = clock.setTimer(timeoutMs, () => end(`took longer than ${timeoutMs} ms`));
  const onAbort = (): void => end('was ended because conductor stops');
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await new Promise<ProgramResult>((resolve) => {
      child.once('error', (error) =>
        resolve({ exitCode: null, failure: `cannot be started: ${error.message}`, stdout: '' }),
      );
      // What it left behind in its group may hold the pipes open; it goes when the program itself is gone.
      child.once('exit', () => killGroup(child.pid));
      child.once('close', (exitCode, killedBy) => {
        const said = stderr.text().trim().slice(-MAX_SAID);
        const words = exitCode === 0 ? undefined : `ended with ${killedBy ?? `exit code ${exitCode ?? '-'}`}`;
        const failure =
          cutShort ?? (words === undefined ? undefined : `${words}${said === '' ? '' : `: ${said}`}`);
        resolve({ exitCode, failure, stdout: stdout.text() });
      });
    });
  } finally {
    timer.cancel();
    signal.removeEventListener('abort', onAbort);
  }
}

/**
 * The environment of a job's short programs: as that of its steps, without what belongs to a run.
 *
 * @param job - whose `env` counts
 * @param env - our own, from which only named variables are taken
 */
export function programEnvironment(
  job: Pick<JobDefinition, 'name' | 'env'>,
  env: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  const taken: Record<string, string> = {};
  for (const name of [...ALWAYS_PASSED, ...job.env.pass, ...job.env.secrets]) {
    const value = env[name];
    if (value !== undefined) taken[name] = value;
  }
  return { ...taken, ...job.env.set, CONDUCTOR_JOB: job.name };
}

function keepUpTo(maxBytes: number): { add(chunk: Buffer): void; text(): string } {
  const chunks: Buffer[] = [];
  let bytes = 0;
  return {
    add(chunk) {
      if (bytes >= maxBytes) return;
      chunks.push(chunk.subarray(0, maxBytes - bytes));
      bytes += chunk.byteLength;
    },
    text: () => Buffer.concat(chunks).toString('utf8'),
  };
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    // Nobody of the group is left, which is what we want; on some systems a group of zombies answers EPERM.
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code !== 'ESRCH' && code !== 'EPERM') throw error;
  }
}

const ALWAYS_PASSED = ['PATH', 'HOME', 'LANG', 'TERM', 'TMPDIR', 'USER', 'SHELL'] as const;
const MAX_OUTPUT_BYTES = 64 * 1024;
const MAX_SAID = 300;
