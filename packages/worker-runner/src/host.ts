/**
 * The machine and the process we run in: the only file that reads the environment and the platform.
 * Everything else takes a `Host`.
 */
import { hostname } from 'node:os';

import { createLinuxProcessTable } from './linux-process-table.ts';
import { createPsProcessTable } from './ps-process-table.ts';
import type { ProcessListing, ProcessTable } from './process-table.ts';

/** What the runner needs to know of the machine it runs on. */
export interface Host {
  /** The machine's name, as meta.json records it. */
  readonly name: string;
  /** Our own process id. */
  readonly pid: number;
  /** The environment that allow-listed variables are taken from. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The Node executable that supervisors are started with. */
  readonly nodePath: string;
  /** Who is alive. */
  readonly processes: ProcessTable;
  /**
   * A listing shared by all who only want figures, at most 500 ms old.
   *
   * @param nowMonotonicMs - the clock's monotonic time
   */
  recentListing(nowMonotonicMs: number): ProcessListing;
  /**
   * Sends a signal to a process, or to a group with a negative id.
   *
   * @returns false when there is none, or it belongs to another user
   */
  signal(pid: number, signal: NodeJS.Signals): boolean;
}

/** The machine this process runs on. One for all callers: what it has learned of the process table serves everybody. */
export function createHost(): Host {
  thisHost ??= readHost();
  return thisHost;
}

let thisHost: Host | undefined;

function readHost(): Host {
  const processes = process.platform === 'linux' ? createLinuxProcessTable() : createPsProcessTable();
  let recent: { readonly listing: ProcessListing; readonly atMs: number } | undefined;
  return {
    name: hostname(),
    pid: process.pid,
    env: process.env,
    nodePath: process.execPath,
    processes,
    recentListing(nowMonotonicMs) {
      if (recent === undefined || nowMonotonicMs - recent.atMs > MAX_LISTING_AGE_MS) {
        recent = { listing: processes.list(), atMs: nowMonotonicMs };
      }
      return recent.listing;
    },
    signal: sendSignal,
  };
}

function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    // ESRCH: it ended first. EPERM: another user's. Either way the proof of emptiness that follows has the last word.
    return false;
  }
}

const MAX_LISTING_AGE_MS = 500;
