/**
 * One wrapped process: started by us, or found alive after whoever started it died.
 * Invariant: an exit code comes from waitpid while we are the parent, and from the wrapper's file only when we are not,
 * since the step itself could write that file.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';

import type { Timer } from '@conductor-run/clock';

import { messageOf, systemCodeOf } from './errors.ts';
import { readIfThere, watchPath } from './files.ts';
import type { Host } from './host.ts';
import { persist, type PersistContext } from './persist.ts';
import { isProcessAlive, type ProcessIdentity } from './process-table.ts';
import { WRAPPER_FILES, wrapCommand } from './wrapper.ts';

/** How a wrapper ended. */
export interface WorkerExit {
  /** The step's exit status as the shell counts it: 128 + N for signal N. Absent when the wrapper was killed first. */
  readonly exitCode?: number | undefined;
}

/** A wrapper that runs. */
export interface WorkerProcess {
  /** Who it is. */
  readonly identity: ProcessIdentity;
  /** Resolves when the wrapper has ended. Never rejects. */
  readonly exited: Promise<WorkerExit>;
}

/** What to spawn. */
export interface SpawnOptions {
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly runDir: string;
  /** Descriptors for stdin, stdout and stderr. */
  readonly stdio: readonly [number | 'ignore', number, number];
}

/** Whose wrapper it is. */
export type WorkerContext = PersistContext & { readonly host: Host };

/** A running wrapper, or why there is none. */
export type SpawnResult =
  | { readonly worker: WorkerProcess; readonly code?: never }
  | { readonly worker?: never; readonly code: string; readonly message: string };

/**
 * Starts a command under the wrapper, in a session of its own.
 *
 * @param options - command, environment and descriptors
 * @param context - the run it belongs to
 */
export async function spawnWorker(options: SpawnOptions, context: WorkerContext): Promise<SpawnResult> {
  const [program = '', ...args] = wrapCommand(options.runDir, options.argv);
  let child: ChildProcess;
  try {
    child = spawn(program, args, {
      cwd: options.cwd,
      env: { ...options.env },
      detached: true,
      stdio: [...options.stdio],
    });
  } catch (error) {
    // Node throws what it does not expect of a spawn, E2BIG among it.
    return spawnFailure(error);
  }
  const exited = new Promise<WorkerExit>((resolve) => {
    child.once('exit', (code) => {
      if (code !== null) resolve({ exitCode: code });
      else void readExit(options.runDir, context).then(resolve);
    });
  });
  if (child.pid === undefined) {
    const error = await new Promise<unknown>((resolve) => {
      child.once('error', resolve);
    });
    return spawnFailure(error);
  }
  // An error after the spawn concerns a signal that could not be sent; the kill ladder looks for itself.
  child.on('error', () => undefined);
  const { pid } = child;
  const identity = await persist(context, 'reading when the step began', () => identityOf(pid, context.host));
  return { worker: { identity, exited } };
}

/** A wrapper that was killed may have got as far as its last line. */
async function readExit(runDir: string, context: WorkerContext): Promise<WorkerExit> {
  return { exitCode: await persist(context, 'reading the exit status', () => readExitFile(runDir)) };
}

/** Until we have read its exit status, a child's entry stays in the table, even as a zombie. */
function identityOf(pid: number, host: Host): ProcessIdentity {
  const bootId = host.processes.bootId();
  const startTime = host.processes.read(pid)?.startTime ?? 0;
  return { pid, startTime, ...(bootId === undefined ? {} : { bootId }) };
}

function spawnFailure(error: unknown): SpawnResult {
  const code = systemCodeOf(error) ?? 'UNKNOWN';
  const words = code === 'E2BIG' ? 'arguments and environment are too large together' : messageOf(error);
  return { code, message: `Cannot start step: ${words}` };
}

/**
 * Watches a wrapper that somebody else started.
 *
 * @param runDir - where it leaves its exit file
 * @param identity - who it is; checked by start time and boot, never by pid alone
 * @param context - the run it belongs to
 * @param signal - stops watching; `exited` then never resolves
 */
export function attachWorker(
  runDir: string,
  identity: ProcessIdentity,
  context: WorkerContext,
  signal: AbortSignal,
): WorkerProcess {
  const exited = new Promise<WorkerExit>((resolve) => {
    let timer: Timer | undefined;
    const watcher = watchPath(runDir, () => tryLook());
    let hasFailed = false;
    const stop = (): void => {
      timer?.cancel();
      watcher?.close();
    };
    const look = (): void => {
      // Asked in this order: a wrapper that ends in between has written its file before the second question.
      const isAlive = isProcessAlive(context.host.processes, identity);
      const exitCode = readExitFile(runDir);
      if (isAlive && exitCode === undefined) return;
      stop();
      resolve({ exitCode });
    };
    const tryLook = (): void => {
      try {
        look();
      } catch (error) {
        // The next look comes by itself; one warning says it for all of them.
        if (!hasFailed) context.warn('runner_warning', `Watching the step fails: ${messageOf(error)}`);
        hasFailed = true;
      }
    };
    const poll = (): void => {
      timer = context.clock.setTimer(POLL_MS, poll);
      tryLook();
    };
    signal.addEventListener('abort', stop, { once: true });
    poll();
  });
  return { identity, exited };
}

/** The exit status the wrapper wrote; `undefined` until the whole line is there. */
export function readExitFile(runDir: string): number | undefined {
  const match = /(?:^|\n)(\d{1,3})\n$/u.exec(readText(join(runDir, WRAPPER_FILES.exit)));
  return match === null ? undefined : Number(match[1]);
}

/**
 * Who the wrapper said it is; `undefined` when it never got so far. Without /proc it cannot say when it started: then
 * what state.json `recorded` counts, and without that a start time nobody has.
 */
export function readPidFile(
  runDir: string,
  bootId: string | undefined,
  recorded?: ProcessIdentity,
): ProcessIdentity | undefined {
  const match = /^(\d+) (.*)\n/su.exec(readText(join(runDir, WRAPPER_FILES.pid)));
  if (match === null) return undefined;
  const pid = Number(match[1]);
  const stat = match[2] ?? '';
  if (stat === '' && recorded?.pid === pid) return recorded;
  const startTime = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[START_TIME_INDEX] ?? 0);
  return { pid, startTime, ...(bootId === undefined ? {} : { bootId }) };
}

/** CPU time of the step in ms, as the shell's `times` counted it: the second line, user and system time of children. */
export function readCpuMs(runDir: string): number | undefined {
  const line = readText(join(runDir, WRAPPER_FILES.exit)).split('\n')[1] ?? '';
  const match = /^(\d+)m([\d.]+)s (\d+)m([\d.]+)s/u.exec(line);
  if (match === null) return undefined;
  const [, userMinutes, userSeconds, systemMinutes, systemSeconds] = match.map(Number);
  const minutes = (userMinutes ?? 0) + (systemMinutes ?? 0);
  return Math.round((minutes * 60 + (userSeconds ?? 0) + (systemSeconds ?? 0)) * 1000);
}

/** The wrapper of a run, if it lives. */
export function findLiveWrapper(
  runDir: string,
  host: Host,
  recorded?: ProcessIdentity,
): ProcessIdentity | undefined {
  const identity = readPidFile(runDir, host.processes.bootId(), recorded);
  return identity !== undefined && isProcessAlive(host.processes, identity) ? identity : undefined;
}

function readText(path: string): string {
  return readIfThere(path)?.toString('utf8') ?? '';
}

const POLL_MS = 250;
/** Field 22 of /proc/PID/stat, counted from the field after the name. */
const START_TIME_INDEX = 19;
