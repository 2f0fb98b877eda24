/**
 * Talks to the supervisor of a runs directory, starting it when there is none.
 * Invariant: a call is sent once per connection; one that got no answer is not repeated here, but by callers who know it is safe.
 */
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Clock } from '@conductor-run/clock';

import { WorkerRunnerError } from './errors.ts';
import type { Authorizer } from './answers.ts';
import type { Host } from './host.ts';
import { connectLines, type LineSocket } from './line-socket.ts';
import { parseMessage, toErrorCode, type SupervisorCall } from './protocol.ts';
import { isProcessAlive } from './process-table.ts';
import { readOwner } from './run-record.ts';
import { supervisorDirOf, supervisorSocketOf } from './supervisor.ts';

/** A connection to a supervisor. */
export interface SupervisorConnection {
  /**
   * Calls and waits for the answer.
   *
   * @throws {@link WorkerRunnerError} with the supervisor's code, or `supervisor-unavailable` when the connection is lost
   */
  call(call: CallWithoutId): Promise<unknown>;
  /** Aborted when the connection is gone. */
  readonly closed: AbortSignal;
  /** Ends the connection; the supervisor and its runs go on. */
  close(): void;
}

/** A call before it has a number. */
export type CallWithoutId = SupervisorCall extends infer Call
  ? Call extends SupervisorCall
    ? Omit<Call, 'id'>
    : never
  : never;

/** How a supervisor is reached, and started. */
export interface SupervisorAccess {
  /**
   * Where time comes from.
   *
   * @defaultValue the real clock
   */
  readonly clock: Clock;
  /**
   * The machine.
   *
   * @defaultValue this one
   */
  readonly host: Host;
  /** Who decides for runs started or adopted over this connection. */
  readonly authorize?: Authorizer | undefined;
  /**
   * How long a supervisor that is started now waits for work before it ends, in ms.
   *
   * @defaultValue 60000
   */
  readonly idleExitMs: number;
}

/**
 * Connects to a socket.
 *
 * @param socketPath - the supervisor's
 * @param authorize - who decides
 * @returns `undefined` when nobody listens
 */
export async function connectToSupervisor(
  socketPath: string,
  authorize?: Authorizer,
): Promise<SupervisorConnection | undefined> {
  const open = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  let lastId = 0;
  const socket = await connectLines(socketPath, (value, from) => {
    const message = parseMessage(value);
    if (message === undefined) return;
    if ('ask' in message) {
      void decide(from, message.ask, async () => authorize?.(message.question));
      return;
    }
    const waiting = open.get(message.id);
    open.delete(message.id);
    if (message.ok) waiting?.resolve(message.value);
    else waiting?.reject(new WorkerRunnerError(toErrorCode(message.code), message.message));
  });
  if (socket === undefined) return undefined;
  const lose = (): void => {
    for (const waiting of open.values()) waiting.reject(lostConnection(socketPath));
    open.clear();
  };
  socket.closed.addEventListener('abort', lose, { once: true });
  return {
    call: (call) =>
      new Promise((resolve, reject) => {
        if (socket.closed.aborted) {
          reject(lostConnection(socketPath));
          return;
        }
        lastId += 1;
        open.set(lastId, { resolve, reject });
        socket.send({ ...call, id: lastId });
      }),
    closed: socket.closed,
    close: () => socket.close(),
  };
}

async function decide(socket: LineSocket, ask: number, authorize: () => Promise<unknown>): Promise<void> {
  let answer: unknown;
  try {
    answer = await authorize();
  } catch {
    answer = { ok: false, error: { code: 'INTERNAL_ERROR', message: 'The decision could not be made' } };
  }
  socket.send({ op: 'decided', id: ask, answer });
}

/**
 * Connects to the supervisor of a runs directory, starting one when none is alive.
 *
 * @param runsDir - the runs directory
 * @param access - clock, host and patience
 * @throws {@link WorkerRunnerError} with code `supervisor-unavailable` when none answers within 10 s, or 60 s of one that
 * is alive and at work
 */
export async function reachSupervisor(
  runsDir: string,
  access: SupervisorAccess,
): Promise<SupervisorConnection> {
  const socketPath = supervisorSocketOf(runsDir);
  const untilMs = access.clock.monotonicMs() + START_PATIENCE_MS;
  mkdirSync(supervisorDirOf(runsDir), { recursive: true, mode: 0o700 });
  let startedAtMs = Number.NEGATIVE_INFINITY;
  for (;;) {
    const connection = await connectToSupervisor(socketPath, access.authorize);
    if (connection !== undefined && (await isAnswering(connection, runsDir, access))) return connection;
    connection?.close();
    const nowMs = access.clock.monotonicMs();
    if (nowMs > untilMs) throw unavailable(runsDir);
    // One that was started may have found another alive that has ended since.
    if (connection === undefined && nowMs - startedAtMs > RESTART_MS) {
      startedAtMs = nowMs;
      if (!isStarting(runsDir, access)) startSupervisor(runsDir, access);
    }
    await access.clock.sleep(RETRY_MS);
  }
}

/** One that is alive and not yet listening, or was started from this process a moment ago by another call. */
function isStarting(runsDir: string, access: SupervisorAccess): boolean {
  const owner = readOwner(supervisorDirOf(runsDir));
  if (owner !== undefined && isProcessAlive(access.host.processes, owner)) return true;
  const startedAtMs = startedAtMsByDirectory.get(runsDir) ?? Number.NEGATIVE_INFINITY;
  return access.clock.monotonicMs() - startedAtMs < START_MS;
}

/** Many calls at once must not start many Node processes, of which all but one would end again. */
const startedAtMsByDirectory = new Map<string, number>();

/** A connection may come from the backlog of a supervisor that is stopped, or about to end. */
async function isAnswering(
  connection: SupervisorConnection,
  runsDir: string,
  access: SupervisorAccess,
): Promise<boolean> {
  try {
    await callWhileAtWork(connection, { op: 'info' }, { ...access, directory: supervisorDirOf(runsDir) });
    return true;
  } catch {
    return false;
  }
}

/** Whom a call waits for. */
export interface CallPatience extends Pick<SupervisorAccess, 'clock' | 'host'> {
  /** The directory of which the called process is the owner. */
  readonly directory: string;
  /**
   * How long it is waited for while it is alive and not stopped, in ms.
   *
   * @defaultValue 60000
   */
  readonly patienceMs?: number;
}

/**
 * Calls, and gives up one that is stopped or dead. One that is at work on many starts at once answers late, and is
 * waited for.
 *
 * @param connection - to the supervisor
 * @param call - what is asked
 * @param patience - whom it waits for, and how long
 * @throws {@link WorkerRunnerError} as `SupervisorConnection.call`
 */
export async function callWhileAtWork(
  connection: SupervisorConnection,
  call: CallWithoutId,
  patience: CallPatience,
): Promise<unknown> {
  const { clock, patienceMs = BUSY_PATIENCE_MS } = patience;
  const untilMs = clock.monotonicMs() + patienceMs;
  const answered = new AbortController();
  const giveUp = async (): Promise<never> => {
    do await clock.sleep(ANSWER_PATIENCE_MS, { signal: answered.signal });
    while (clock.monotonicMs() < untilMs && isAtWork(patience));
    throw new WorkerRunnerError(
      'supervisor-unavailable',
      `Cannot ${call.op} by the owner of "${patience.directory}": it does not answer, expected one at work`,
    );
  };
  try {
    return await Promise.race([connection.call(call), giveUp()]);
  } finally {
    answered.abort();
  }
}

function isAtWork({ host, directory }: CallPatience): boolean {
  const owner = readOwner(directory);
  if (owner === undefined || !isProcessAlive(host.processes, owner)) return false;
  return host.processes.read(owner.pid)?.state === 'running';
}

/** A process of its own session: neither a signal to our group nor our end reaches it. */
function startSupervisor(runsDir: string, access: SupervisorAccess): void {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const entry = fileURLToPath(new URL(`./supervisor-main.${extension}`, import.meta.url));
  const errors = openSync(join(supervisorDirOf(runsDir), 'supervisor.log'), 'a', 0o600);
  try {
    const child = spawn(access.host.nodePath, [...SMALL_NODE, entry, runsDir, String(access.idleExitMs)], {
      cwd: '/',
      detached: true,
      env: pickEnv(access.host.env, BASE_VARIABLES),
      stdio: ['ignore', 'ignore', errors],
    });
    startedAtMsByDirectory.set(runsDir, access.clock.monotonicMs());
    const forget = (): void => void startedAtMsByDirectory.delete(runsDir);
    child.once('exit', forget).on('error', forget);
    child.unref();
  } finally {
    closeSync(errors);
  }
}

/** The values of some variables. */
export function pickEnv(
  env: Readonly<Record<string, string | undefined>>,
  names: readonly string[],
): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name): [string, string][] => {
      const value = env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

/** What a supervisor needs itself, and what git looks for its configuration with. */
export const BASE_VARIABLES: readonly string[] = [
  'PATH',
  'HOME',
  'LANG',
  'TERM',
  'TMPDIR',
  'USER',
  'SHELL',
  'XDG_CONFIG_HOME',
];

function unavailable(runsDir: string): WorkerRunnerError {
  return new WorkerRunnerError(
    'supervisor-unavailable',
    `Cannot reach supervisor of "${runsDir}": none answered within ${START_PATIENCE_MS} ms; see .supervisor/supervisor.log there`,
  );
}

function lostConnection(socketPath: string): WorkerRunnerError {
  return new WorkerRunnerError(
    'supervisor-unavailable',
    `Cannot finish call to "${socketPath}": the supervisor is gone, expected an answer`,
  );
}

/** A supervisor holds little and forks much: a small young generation keeps it small. */
const SMALL_NODE = ['--max-semi-space-size=1', '--max-old-space-size=256'];
const START_PATIENCE_MS = 10_000;
const ANSWER_PATIENCE_MS = 3000;
const BUSY_PATIENCE_MS = 60_000;
/** How long a process of Node may take until it owns the directory. */
const START_MS = 2000;
/** Between two looks whether one has to be started: one that ends at once must not be started a hundred times. */
const RESTART_MS = 250;
const RETRY_MS = 10;
