/**
 * Runs a short program of the user's: a watch that prints a number, a notification hook. Not for steps.
 * Invariant: when the promise settles its process group has been killed, no more than a cap of its output was kept, and
 * nobody who left the group and holds a pipe open has been waited for.
 */
import { type ChildProcess, spawn } from 'node:child_process';

import type { Clock, Timer } from '@conductor-run/clock';

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
  const { command, cwd, env } = request;
  const [file = '', ...args] = typeof command === 'string' ? ['/bin/sh', '-c', command] : command;
  // A group of its own: a shell's children end with it.
  const child: ChildProcess = spawn(file, args, {
    cwd,
    env,
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const ended = endOf(child, request);
  const stdout = keepUpTo(MAX_OUTPUT_BYTES);
  const stderr = keepUpTo(MAX_OUTPUT_BYTES);
  // Without a file descriptor left there are no pipes; the error of the child says so.
  child.stdout?.on('data', stdout.add);
  child.stderr?.on('data', stderr.add);
  // A program that does not read its input closes it: no failure.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(request.input ?? '');

  const { exitCode, failure, isOwnFailure } = await ended;
  const said = isOwnFailure ? stderr.text().trim().slice(-MAX_SAID) : '';
  return { exitCode, failure: said === '' ? failure : `${failure}: ${said}`, stdout: stdout.text() };
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

interface ProgramEnd {
  readonly exitCode: number | null;
  readonly failure: string | undefined;
  /** Whether it failed by itself: what it said about it counts. */
  readonly isOwnFailure: boolean;
}

/** Resolves when it has ended and its pipes are read; who else holds them is waited for a moment only. */
function endOf(
  child: ChildProcess,
  { timeoutMs, signal, clock }: Pick<ProgramRequest, 'timeoutMs' | 'signal' | 'clock'>,
): Promise<ProgramEnd> {
  return new Promise((resolve) => {
    let draining: Timer | undefined;
    let settle = (): void => undefined;
    // The first reason counts.
    const end = (ending: ProgramEnd): void => {
      // What it left behind in its group goes with it.
      killGroup(child.pid);
      if (draining !== undefined) return;
      settle = () => {
        draining?.cancel();
        for (const pipe of [child.stdin, child.stdout, child.stderr]) pipe?.destroy();
        child.unref();
        resolve(ending);
      };
      timer.cancel();
      signal.removeEventListener('abort', onAbort);
      // Behind the next look at the pipes: a busy loop must not cost what is already in them.
      draining = clock.setTimer(DRAIN_MS, () => void setImmediate(settle));
    };
    const cutShort = (failure: string): void => end({ exitCode: null, failure, isOwnFailure: false });
    const timer = clock.setTimer(timeoutMs, () => cutShort(`took longer than ${timeoutMs} ms`));
    const onAbort = (): void => cutShort('was ended because conductor stops');
    child.once('error', (error) => {
      cutShort(`cannot be started: ${error.message}`);
      settle();
    });
    child.once('exit', (exitCode, killedBy) => {
      const failure = exitCode === 0 ? undefined : `ended with ${killedBy ?? `exit code ${exitCode ?? '-'}`}`;
      end({ exitCode, failure, isOwnFailure: failure !== undefined });
    });
    child.once('close', () => settle());
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
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
/** How long the pipes of a program that has ended, or was killed, are still read. */
const DRAIN_MS = 250;
