/**
 * One owner per thing: one daemon per node id, one process per task.
 * Invariant: the lock with the highest number counts; a number is created once, whole, and only when the one before it is
 * dead or let go. The highest one is never removed while the thing lives, so that a late contender cannot take a lower one.
 * A pid alone proves nothing: the process's start time and the boot belong to its identity.
 */
import {
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
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
  /** Lets go; whoever comes next may take it. Idempotent. */
  release(): void;
  /** Lets go for good and leaves nothing behind: for a thing that is over. Idempotent, and after `release` without effect. */
  remove(): void;
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

/** Whether nobody alive holds the lock of a task that was begun and is not over. */
export function isTaskOrphaned(taskDir: string): boolean {
  const held = readNewest(path.join(taskDir, OWNER_FOLDER));
  if (held === undefined) return false;
  return held.holder === undefined || !isProcessAlive(createHost().processes, held.holder);
}

/** Whether somebody alive goes on with a task. */
export function isTaskHeld(taskDir: string): boolean {
  const held = readNewest(path.join(taskDir, OWNER_FOLDER));
  return held?.holder !== undefined && isProcessAlive(createHost().processes, held.holder);
}

function takeLock(folder: string): OwnerLock | { readonly holder: ProcessIdentity } {
  const { processes, pid } = createHost();
  const self = JSON.stringify(identifyProcess(processes, pid));
  for (;;) {
    const held = readNewest(folder);
    if (held?.holder !== undefined && isProcessAlive(processes, held.holder)) return { holder: held.holder };
    const number = (held?.number ?? 0) + 1;
    if (!tryCreate(folder, number, self, pid)) continue;
    const mine = fileOf(folder, number);
    // What we took for the newest may have been overtaken, and removed, before we came to take the next.
    const numbers = numbersIn(folder);
    if (numbers.some((other) => other > number)) {
      rmSync(mine, { force: true });
      continue;
    }
    for (const former of numbers) if (former < number) rmSync(fileOf(folder, former), { force: true });
    return createLock(folder, mine);
  }
}

function createLock(folder: string, mine: string): OwnerLock {
  let isHeld = true;
  const letGo = (how: () => void): void => {
    if (!isHeld) return;
    isHeld = false;
    how();
  };
  return {
    release: () => letGo(() => emptyLock(mine)),
    remove: () => letGo(() => removeLock(folder, mine)),
  };
}

/** An empty file keeps its number and is nobody's. */
function emptyLock(mine: string): void {
  try {
    truncateSync(mine);
  } catch (error) {
    // The whole state directory was removed below us.
    if (!isCode(error, 'ENOENT')) throw error;
  }
}

function removeLock(folder: string, mine: string): void {
  rmSync(mine, { force: true });
  try {
    rmdirSync(folder);
  } catch (error) {
    // Somebody looks at it in this moment.
    if (!isCode(error, 'ENOTEMPTY') && !isCode(error, 'ENOENT')) throw error;
  }
}

interface HeldLock {
  readonly number: number;
  /** Unset when it was let go, or a power cut took its content. */
  readonly holder: ProcessIdentity | undefined;
}

function readNewest(folder: string): HeldLock | undefined {
  const numbers = numbersIn(folder);
  if (numbers.length === 0) return undefined;
  const number = Math.max(...numbers);
  return { number, holder: readHolder(fileOf(folder, number)) };
}

function numbersIn(folder: string): readonly number[] {
  return namesIn(folder).flatMap((name) => {
    const match = /^(\d+)\.json$/.exec(name);
    return match === null ? [] : [Number(match[1])];
  });
}

function fileOf(folder: string, number: number): string {
  return path.join(folder, `${number}.json`);
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
    // Let go, or gone since we listed it: either way nobody alive holds it.
    if (error instanceof SyntaxError || error instanceof z.ZodError || isCode(error, 'ENOENT'))
      return undefined;
    throw error;
  }
}

/** Written beside and linked into place: nobody reads a part of it, and of many that try one succeeds. */
function tryCreate(folder: string, number: number, content: string, pid: number): boolean {
  const temporary = path.join(folder, `${pid}.tmp`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  try {
    writeFileSync(temporary, content, { mode: 0o600 });
    linkSync(temporary, fileOf(folder, number));
    return true;
  } catch (error) {
    // Somebody was faster, or has removed the folder in this very moment.
    if (isCode(error, 'EEXIST') || isCode(error, 'ENOENT')) return false;
    throw error;
  } finally {
    rmSync(temporary, { force: true });
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

const identity = z.object({ pid: z.int(), startTime: z.number(), bootId: z.string().optional() });

/** Not a name a run can have, so that listings pass it by. */
const OWNER_FOLDER = '.owner';
