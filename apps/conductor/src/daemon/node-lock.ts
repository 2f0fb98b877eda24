/**
 * One daemon per node id: two of one name would take each other's tasks for their own.
 * Invariant: the lock with the highest number counts; a number is created once, and only when the one before it is dead.
 * A pid alone proves nothing: the process's start time and the boot belong to its identity.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import {
  createHost,
  identifyProcess,
  isProcessAlive,
  type ProcessIdentity,
} from '@conductor-run/worker-runner';
import { z } from 'zod';

import { ConductorError } from '../errors.ts';

/**
 * Takes the lock of a node id; a lock left by a dead process is taken over at once.
 *
 * @param stateDir - where locks are kept
 * @param nodeId - the name to be alone under
 * @returns what lets go of it
 * @throws ConductorError with code `daemon-running` when a live process holds it
 */
export function lockNode(stateDir: string, nodeId: string): { release(): void } {
  const folder = path.join(stateDir, 'nodes', encodeURIComponent(nodeId));
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { processes, pid } = createHost();
  const self = identifyProcess(processes, pid);
  for (;;) {
    const held = readNewest(folder);
    if (held?.holder !== undefined && isProcessAlive(processes, held.holder)) {
      throw new ConductorError(
        'daemon-running',
        `Cannot start node "${nodeId}": process ${held.holder.pid} runs it already, expected a name of its own`,
        { hint: 'Give this one another name with --node-id, or stop the other one.' },
      );
    }
    const number = (held?.number ?? 0) + 1;
    const mine = path.join(folder, `${number}.json`);
    if (!tryCreate(mine, JSON.stringify(self))) continue;
    if (held !== undefined) rmSync(path.join(folder, `${held.number}.json`), { force: true });
    return { release: () => rmSync(mine, { force: true }) };
  }
}

interface HeldLock {
  readonly number: number;
  /** Unset when the file is torn: its writer died while it wrote. */
  readonly holder: ProcessIdentity | undefined;
}

function readNewest(folder: string): HeldLock | undefined {
  const numbers = readdirSync(folder).flatMap((name) => {
    const match = /^(\d+)\.json$/.exec(name);
    return match === null ? [] : [Number(match[1])];
  });
  if (numbers.length === 0) return undefined;
  const number = Math.max(...numbers);
  return { number, holder: readHolder(path.join(folder, `${number}.json`)) };
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
    throw error;
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

const identity = z.object({ pid: z.int(), startTime: z.number(), bootId: z.string().optional() });
