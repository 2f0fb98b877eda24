/**
 * One owner per thing: one daemon per node id, one process per task.
 * Invariant: the lock with the highest number counts; a number is created once, and only when the one before it is dead.
 * A pid alone proves nothing: the process's start time and the boot belong to its identity.
 */
import { mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import {
  createHost,
  identifyProcess,
  isProcessAlive,
  type ProcessIdentity,
} from '@conductor-run/worker-runner';
import { z } from 'zod';

import { ConductorError } from './errors.ts';

/** A lock that is held until it is released or its process dies. */
export interface OwnerLock {
  /** Lets go. Idempotent. */
  release(): void;
}

/**
 * Takes the lock of a node id; a lock left by a dead process is taken over at once.
 *
 * @param stateDir - where locks are kept
 * @param nodeId - the name to be alone under
 * @throws ConductorError with code `daemon-running` when a live process holds it
 */
export function lockNode(stateDir: string, nodeId: string): OwnerLock {
  const taken = takeLock(path.join(stateDir, 'nodes', encodeURIComponent(nodeId)));
  if ('release' in taken) return taken;
  throw new ConductorError(
    'daemon-running',
    `Cannot start node "${nodeId}": process ${taken.holder.pid} runs it already, expected a name of its own`,
    { hint: 'Give this one another name with --node-id, or stop the other one.' },
  );
}

/**
 * Takes the lock of a task: who holds it runs its steps one after another, and nobody else does.
 *
 * @param taskDir - the folder of the task's runs
 * @returns `undefined` while a live process holds it
 */
export function lockTask(taskDir: string): OwnerLock | undefined {
  const taken = takeLock(path.join(taskDir, OWNER_FOLDER));
  return 'release' in taken ? taken : undefined;
}

/** Whether the process that ran a task has died in the middle of it. */
export function isTaskOrphaned(taskDir: string): boolean {
  const held = readNewest(path.join(taskDir, OWNER_FOLDER));
  if (held === undefined) return false;
  return held.holder === undefined || !isProcessAlive(createHost().processes, held.holder);
}

function takeLock(folder: string): OwnerLock | { readonly holder: ProcessIdentity } {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { processes, pid } = createHost();
  const self = identifyProcess(processes, pid);
  for (;;) {
    const held = readNewest(folder);
    if (held?.holder !== undefined && isProcessAlive(processes, held.holder)) return { holder: held.holder };
    const number = (held?.number ?? 0) + 1;
    const mine = path.join(folder, `${number}.json`);
    if (!tryCreate(mine, JSON.stringify(self))) continue;
    if (held !== undefined) rmSync(path.join(folder, `${held.number}.json`), { force: true });
    return { release: () => release(folder, mine) };
  }
}

function release(folder: string, file: string): void {
  rmSync(file, { force: true });
  try {
    rmdirSync(folder);
  } catch (error) {
    // Another one has taken it meanwhile, or it was released before.
    if (!isCode(error, 'ENOTEMPTY') && !isCode(error, 'ENOENT')) throw error;
  }
}

interface HeldLock {
  readonly number: number;
  /** Unset when the file is torn: its writer died while it wrote. */
  readonly holder: ProcessIdentity | undefined;
}

function readNewest(folder: string): HeldLock | undefined {
  const numbers = namesIn(folder).flatMap((name) => {
    const match = /^(\d+)\.json$/.exec(name);
    return match === null ? [] : [Number(match[1])];
  });
  if (numbers.length === 0) return undefined;
  const number = Math.max(...numbers);
  return { number, holder: readHolder(path.join(folder, `${number}.json`)) };
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (isCode(error, 'ENOENT')) return [];
    throw error;
  }
}

function readHolder(file: string): ProcessIdentity | undefined {
  try {
    const { pid, startTime, bootId } = identity.parse(JSON.parse(readFileSync(file, 'utf8')));
    return { pid, startTime, ...(bootId !== undefined && { bootId }) };
  } catch (error) {
    // Torn, or gone since we listed it: either way nobody alive holds it.
    if (error instanceof SyntaxError || error instanceof z.ZodError || isCode(error, 'ENOENT'))
      return undefined;
    throw error;
  }
}

function tryCreate(file: string, content: string): boolean {
  try {
    writeFileSync(file, content, { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false;
    // A holder that let go has taken the folder away in this very moment.
    if (isCode(error, 'ENOENT')) {
      mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
      return false;
    }
    throw error;
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

const identity = z.object({ pid: z.int(), startTime: z.number(), bootId: z.string().optional() });

/** Not a name a run can have, so that listings pass it by. */
const OWNER_FOLDER = '.owner';
