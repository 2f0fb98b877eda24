/**
 * Ends a process tree: SIGTERM, a grace, SIGKILL, and proof that nobody is left.
 * Invariant: returns an empty list of survivors only after a scan that proves it.
 */
import type { Clock } from '@conductor-run/clock';

import type { ProcessEntry } from './process-table.ts';
import type { ProcessTree } from './process-tree.ts';

/** How to end a tree. */
export interface EndTreeOptions {
  /** How long the tree may take to end after SIGTERM, in ms; 0 kills at once. */
  readonly graceMs: number;
  /** How long to go on killing before the survivors are reported, in ms. */
  readonly killMs: number;
  /** Waits between scans. */
  readonly clock: Clock;
  /** Ends the grace early: a second cancel, or a lease about to run out. */
  readonly hurry?: AbortSignal;
  /** Called once, right before the first SIGKILL, with those about to be killed. */
  readonly onEscalate?: (members: readonly ProcessEntry[]) => void;
}

/** How a tree ended. */
export interface TreeEnd {
  /** Whether the grace ran out and SIGKILL was used. */
  readonly escalated: boolean;
  /** Processes that could not be killed: stuck in the kernel, or another user's. Empty in every ordinary case. */
  readonly survivors: readonly ProcessEntry[];
}

/**
 * Ends every process of a tree.
 *
 * @param tree - whose processes
 * @param options - grace, patience and clock
 * @returns once nobody is left, or after `graceMs + killMs` with the survivors
 */
export async function endTree(tree: ProcessTree, options: EndTreeOptions): Promise<TreeEnd> {
  const { clock, hurry } = options;
  const first = tree.scanForSurvivors();
  if (first.length === 0) return { escalated: false, survivors: [] };
  if (options.graceMs > 0 && hurry?.aborted !== true) {
    tree.signal('SIGTERM', first);
    // A stopped process gets SIGTERM only once it is continued.
    tree.signal('SIGCONT', first);
    if (await isEmptyWithin(tree, options.graceMs, clock, hurry)) return { escalated: false, survivors: [] };
  }
  options.onEscalate?.(tree.scan().alive);
  return { escalated: true, survivors: await killUntilEmpty(tree, options.killMs, clock) };
}

async function isEmptyWithin(
  tree: ProcessTree,
  graceMs: number,
  clock: Clock,
  hurry: AbortSignal | undefined,
): Promise<boolean> {
  const untilMs = clock.monotonicMs() + graceMs;
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(waitMs * 2, MAX_WAIT_MS)) {
    const leftMs = untilMs - clock.monotonicMs();
    await sleepOrHurry(clock, Math.max(0, Math.min(waitMs, leftMs)), hurry);
    if (tree.scanForSurvivors().length === 0) return true;
    if (leftMs <= 0 || hurry?.aborted === true) return false;
  }
}

/** New processes may be forked while we kill: each pass kills what the scan before it found. */
async function killUntilEmpty(
  tree: ProcessTree,
  killMs: number,
  clock: Clock,
): Promise<readonly ProcessEntry[]> {
  const untilMs = clock.monotonicMs() + killMs;
  let survivors = tree.scanForSurvivors();
  for (let waitMs = FIRST_WAIT_MS; survivors.length > 0; waitMs = Math.min(waitMs * 2, MAX_WAIT_MS)) {
    tree.signal('SIGKILL', survivors);
    await clock.sleep(waitMs);
    survivors = tree.scanForSurvivors();
    if (clock.monotonicMs() >= untilMs) break;
  }
  return survivors;
}

async function sleepOrHurry(clock: Clock, delayMs: number, hurry: AbortSignal | undefined): Promise<void> {
  if (hurry === undefined) return clock.sleep(delayMs);
  try {
    await clock.sleep(delayMs, { signal: hurry });
  } catch (error) {
    if (!hurry.aborted) throw error;
  }
}

const FIRST_WAIT_MS = 1;
/** A scan costs 1 to 3 ms: at this pace watching a dying tree takes at most 5 % of a core. */
const MAX_WAIT_MS = 50;
