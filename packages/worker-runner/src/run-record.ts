/**
 * The runner's own files of a run: the plan (what is needed to go on after a crash), the owners, and the result.
 * Invariant: each is written beside and moved into place, so that a reader finds all of it or nothing.
 */
import { linkSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { z } from 'zod';

import { systemCodeOf } from './errors.ts';
import { readIfThere, syncDirectory, writePrivate, writeWhole } from './files.ts';
import type { ProcessIdentity } from './process-table.ts';
import type { CheckedRequest } from './request-schema.ts';
import { RESULT_FILE } from './result-schema.ts';
import type { StepResult } from './result.ts';

/** Private to the runner; gone once the run has ended, since it may hold secrets. */
const PLAN_FILE = '.step.json';

/** What is needed to go on with a run in another process. */
export interface RunPlan {
  /** The request, without environment and stdin. */
  readonly request: CheckedRequest;
  /** When the step was about to be started, on the machine's monotonic clock, in ms. */
  readonly startedMonotonicMs: number;
  /** The boot that clock belongs to. */
  readonly bootId?: string | undefined;
  /** The lease the run works under, in the words of its keeper. */
  readonly lease?: PlannedLease | undefined;
  /** Whether `authorize` events are decided by a client of the supervisor, and wait while there is none. */
  readonly isDecidedByClient?: boolean | undefined;
}

/** A lease as it is kept on disk. */
export interface PlannedLease {
  /** Handed to the keeper as it is. */
  readonly lease: unknown;
  /** How long one renewal lasts, in ms. */
  readonly leaseMs: number;
  /** How long the lease is kept after the step ended, waiting for an acknowledgement, in ms. */
  readonly holdAfterEndMs: number;
}

/** Writes the plan. Must come before the spawn. One without which secrets or a lease are forgotten survives a power cut. */
export function writePlan(runDir: string, plan: RunPlan): void {
  const request: CheckedRequest = {
    ...plan.request,
    stdin: undefined,
    runtime: { ...plan.request.runtime, env: {} },
  };
  const durable = plan.lease !== undefined || request.secrets.length > 0;
  writeWhole(join(runDir, PLAN_FILE), JSON.stringify({ ...plan, request }), { durable });
  if (durable) syncDirectory(runDir);
}

/** Reads the plan; `undefined` when there is none, or it was torn by a power cut. */
export function readPlan(runDir: string): RunPlan | undefined {
  const value = readJson(join(runDir, PLAN_FILE));
  // Written by this package into a private directory: its shape is checked, the request inside was checked on its way in.
  const parsed = planSchema.safeParse(value);
  return parsed.success ? (value as RunPlan) : undefined;
}

/** Removes the plan, and one that its writer was killed over. */
export function removePlan(runDir: string): void {
  for (const name of [PLAN_FILE, `${PLAN_FILE}.tmp`]) rmSync(join(runDir, name), { force: true });
}

/**
 * Writes the envelope; its bytes are on the disk before its name is. A power cut may lose it, with the state that says
 * how the run ended still there: the next adoption then writes it again.
 */
export function writeResult(runDir: string, result: StepResult): void {
  writeWhole(join(runDir, RESULT_FILE), `${JSON.stringify(result, undefined, 2)}\n`, { durable: true });
}

/** Who looks after a run. The owner of the highest epoch does; the others are dead. */
export interface RunOwner extends ProcessIdentity {
  /** Its number among the owners of this run, from 1. */
  readonly epoch: number;
  /** The socket it listens on; absent for an attached run. */
  readonly socketPath?: string | undefined;
}

/** The present owner, alive or dead. */
export function readOwner(runDir: string): RunOwner | undefined {
  const epochs = readEpochs(runDir);
  return epochs.length === 0 ? undefined : readOwnerOf(runDir, Math.max(...epochs));
}

/** Every owner whose number has not been cleared away, in no particular order. */
export function readOwners(runDir: string): readonly RunOwner[] {
  return readEpochs(runDir).map((epoch) => readOwnerOf(runDir, epoch));
}

/** Clears a number away. Whoever does makes sure that nobody can take it again. */
export function removeOwner(runDir: string, epoch: number): void {
  rmSync(ownerPath(runDir, epoch), { force: true });
}

function readEpochs(runDir: string): readonly number[] {
  return readdirSync(runDir).flatMap((name) => {
    const epoch = OWNER_PATTERN.exec(name)?.[1];
    return epoch === undefined ? [] : [Number(epoch)];
  });
}

function readOwnerOf(runDir: string, epoch: number): RunOwner {
  const parsed = ownerSchema.safeParse(readJson(ownerPath(runDir, epoch)));
  // An unreadable owner is nobody's: its epoch is taken, its identity matches no process.
  return parsed.success
    ? { ...parsed.data, bootId: parsed.data.bootId ?? '', epoch }
    : { pid: 0, startTime: 0, epoch };
}

/**
 * Becomes the owner after `former`. Of any number that try at once, one succeeds: epochs are never reused.
 *
 * @returns false when somebody else did
 */
export function claimRun(
  runDir: string,
  self: ProcessIdentity,
  former: RunOwner | undefined,
  socketPath: string | undefined,
): boolean {
  const path = ownerPath(runDir, (former?.epoch ?? 0) + 1);
  const temporary = `${path}.${self.pid}.tmp`;
  try {
    writePrivate(temporary, JSON.stringify({ ...self, socketPath }));
    linkSync(temporary, path);
    return true;
  } catch (error) {
    if (systemCodeOf(error) === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** `undefined` when it is not there or not JSON. */
function readJson(path: string): unknown {
  const content = readIfThere(path);
  if (content === undefined) return undefined;
  try {
    return JSON.parse(content.toString('utf8'));
  } catch {
    return undefined;
  }
}

function ownerPath(runDir: string, epoch: number): string {
  return join(runDir, `owner.${epoch}.json`);
}

const OWNER_PATTERN = /^owner\.(\d+)\.json$/u;
const ownerSchema = z.object({
  pid: z.int(),
  startTime: z.number(),
  bootId: z.string().optional(),
  socketPath: z.string().optional(),
});
const planSchema = z.object({
  request: z.looseObject({ taskId: z.string(), runId: z.string() }),
  startedMonotonicMs: z.number(),
  bootId: z.string().optional(),
  isDecidedByClient: z.boolean().optional(),
  lease: z.object({ lease: z.unknown(), leaseMs: z.number(), holdAfterEndMs: z.number() }).optional(),
});
