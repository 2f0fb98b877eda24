/** What a node tells about itself with its heartbeat, read back from the store. */
import type { NodeRecord } from '@conductor-run/job-store';
import { z } from 'zod';

/** One line of a daemon's start-up check-list. */
export interface ChecklistItem {
  readonly name: string;
  readonly detail?: string | undefined;
}

/** A node as people want to see it. */
export interface NodeState {
  readonly nodeId: string;
  readonly host: string;
  /** Whether its last sign of life is younger than its time to live. */
  readonly isLive: boolean;
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
  /** UTC ms of its own clock. */
  readonly startedAtMs: number;
  /** UTC ms of its own clock. */
  readonly beatAtMs: number;
}

/**
 * Judges a node by its own timestamps: whoever has just opened the store has watched nobody yet, and SQLite's nodes
 * share a machine and its clock.
 *
 * @param node - as the store has it
 * @param nowMs - UTC ms
 */
export function toNodeState(node: NodeRecord, nowMs: number): NodeState {
  const { nodeId, host, startedAtMs, beatAtMs, ttlMs } = node;
  const told = heartbeat.safeParse(node.state);
  const { role, running, maxParallel, priority, apiUrl, checklist = [] } = told.success ? told.data : {};
  const isLive = nowMs - beatAtMs < ttlMs;
  return {
    nodeId,
    host,
    isLive,
    role,
    running,
    maxParallel,
    priority,
    apiUrl,
    checklist,
    startedAtMs,
    beatAtMs,
  };
}

/** Nodes of other versions may tell other things; what is not understood is left out. */
const heartbeat = z.object({
  role: z.string().optional(),
  running: z.number().optional(),
  maxParallel: z.number().optional(),
  priority: z.number().optional(),
  apiUrl: z.string().optional(),
  checklist: z.array(z.object({ name: z.string(), detail: z.string().optional() })).optional(),
});
