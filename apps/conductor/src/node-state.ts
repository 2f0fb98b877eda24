/** What a node tells about itself with its heartbeat, read back from the store. */
import type { NodeRecord } from '@conductor-run/job-store';
import { createHost, identifyProcess, isProcessAlive } from '@conductor-run/worker-runner';
import { z } from 'zod';

import { findConfigFile, readConfigDigest } from './config-file.ts';

/** One line of a daemon's start-up check-list. */
export interface ChecklistItem {
  readonly name: string;
  readonly detail?: string | undefined;
}

/** What a node works with. */
export interface ConfigState {
  /** The file; unset when there was none. */
  readonly path: string | undefined;
  /** Where it lies, or would. */
  readonly folder: string;
  /** Of what the file said when it was read. */
  readonly digest: string;
  /** UTC ms. */
  readonly loadedAtMs: number;
  /** Keys of the file whose values are used after a restart only. */
  readonly restartFor: readonly string[];
  /** Why the file was refused the last time it was read again; unset when it was not. */
  readonly problem: string | undefined;
}

/** A node as people want to see it. */
export interface NodeState {
  readonly nodeId: string;
  readonly host: string;
  /** Whether its last sign of life is younger than its time to live, and its process, if it was one of this machine, is there. */
  readonly isLive: boolean;
  /** Whether it takes nothing new and waits for its tasks to end. */
  readonly isDraining: boolean;
  /** `leader`, `standby` and their like; unset when it says nothing. */
  readonly role: string | undefined;
  /** Tasks it runs now. */
  readonly running: number | undefined;
  /** Tasks it may run at once. */
  readonly maxParallel: number | undefined;
  /** Its rank for leadership. */
  readonly priority: number | undefined;
  /** Where its HTTP API listens; unset while it has none. */
  readonly apiUrl: string | undefined;
  /** What it is made of, in the order it started: the start-up check-list. */
  readonly checklist: readonly ChecklistItem[];
  /** The config it works with; unset when it says nothing. */
  readonly config: ConfigState | undefined;
  /** Whether it runs on this machine, so that its files are ours. */
  readonly isHere: boolean;
  /** UTC ms of its own clock. */
  readonly startedAtMs: number;
  /** UTC ms of its own clock. */
  readonly beatAtMs: number;
}

/** This process, for others on the machine to see whether it is there. */
export interface NodeProcess {
  /** The machine's own name for itself, whatever the node calls it: containers share a kernel, and not their processes. */
  readonly machine: string;
  readonly pid: number;
  readonly startTime: number;
  readonly bootId?: string | undefined;
}

/** What identifies this process in its node's record. */
export function ownProcess(): NodeProcess | undefined {
  const { processes, pid, name: machine } = createHost();
  const identity = identifyProcess(processes, pid);
  return identity === undefined ? undefined : { machine, ...identity };
}

/**
 * Judges a node by its own timestamps: whoever has just opened the store has watched nobody yet, and SQLite's nodes
 * share a machine and its clock. A process of this machine that is gone needs no time to be silent.
 *
 * @param node - as the store has it
 * @param nowMs - UTC ms
 */
export function toNodeState(node: NodeRecord, nowMs: number): NodeState {
  const { nodeId, host, startedAtMs, beatAtMs, ttlMs } = node;
  const parsed = heartbeat.safeParse(node.state);
  const told: Heartbeat = parsed.success ? parsed.data : {};
  const { role, running, maxParallel, priority, apiUrl, checklist = [], config } = told;
  return {
    nodeId,
    host,
    isLive: nowMs - beatAtMs < ttlMs && !isGone(told.process),
    isDraining: told.isDraining ?? false,
    role,
    running,
    maxParallel,
    priority,
    apiUrl,
    checklist,
    config: config && {
      path: config.path,
      folder: config.folder,
      digest: config.digest,
      loadedAtMs: config.loadedAtMs,
      restartFor: config.restartFor,
      problem: config.problem,
    },
    isHere: told.process?.machine === createHost().name,
    startedAtMs,
    beatAtMs,
  };
}

/**
 * Whether a node works with its config file as it is now. Reads the file.
 *
 * @param node - the node
 * @returns `undefined` when that cannot be known: the node is elsewhere, or the file cannot be read
 */
export function isConfigCurrent({
  config,
  isHere,
}: Pick<NodeState, 'config' | 'isHere'>): boolean | undefined {
  if (config === undefined || !isHere) return undefined;
  const file = config.path ?? findConfigFile(config.folder, undefined);
  if (file === undefined) return true;
  const digest = readConfigDigest(file);
  return digest === undefined ? undefined : digest === config.digest;
}

/** Whether it was a process of this machine and this boot that has ended; of others the process table says nothing. */
function isGone(identity: Heartbeat['process']): boolean {
  if (identity === undefined) return false;
  const { processes, name } = createHost();
  const { machine, pid, startTime, bootId } = identity;
  if (machine !== name || bootId !== processes.bootId()) return false;
  return !isProcessAlive(processes, { pid, startTime });
}

/** Nodes of other versions may tell other things; what is not understood is left out. */
const heartbeat = z.object({
  role: z.string().optional(),
  isDraining: z.boolean().optional(),
  running: z.number().optional(),
  maxParallel: z.number().optional(),
  priority: z.number().optional(),
  apiUrl: z.string().optional(),
  checklist: z.array(z.object({ name: z.string(), detail: z.string().optional() })).optional(),
  process: z
    .object({ machine: z.string(), pid: z.int(), startTime: z.number(), bootId: z.string().optional() })
    .optional(),
  config: z
    .object({
      path: z.string().optional(),
      folder: z.string(),
      digest: z.string(),
      loadedAtMs: z.int(),
      restartFor: z.array(z.string()),
      problem: z.string().optional(),
    })
    .optional(),
});

type Heartbeat = z.output<typeof heartbeat>;
