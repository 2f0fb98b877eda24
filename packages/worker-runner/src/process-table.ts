/**
 * The process table as a port: who is alive, whose child, in which group, and which run it belongs to.
 * Invariant: a pid alone says nothing; a process is its pid, its start time and the boot it lives in.
 */

/** A process, told apart from a later one with the same pid. */
export interface ProcessIdentity {
  /** The process id. */
  readonly pid: number;
  /** Start time as the system counts it (clock ticks since boot on Linux). Opaque: compare, never compute. */
  readonly startTime: number;
  /** The boot the pid belongs to, and the pid namespace where it is not the first; absent where the system has none. */
  readonly bootId?: string;
}

/** One living (or not yet reaped) process. */
export interface ProcessEntry {
  /** The process id. */
  readonly pid: number;
  /** Its parent's process id; 1, or that of a subreaper, once the parent is gone. */
  readonly parentPid: number;
  /** Its process group. */
  readonly groupId: number;
  /** Its session. */
  readonly sessionId: number;
  /** Start time, comparable with `ProcessIdentity.startTime`. */
  readonly startTime: number;
  /** `zombie` has ended and waits to be reaped: it holds nothing and runs nothing. */
  readonly state: 'running' | 'stopped' | 'zombie';
  /** CPU time used by the process and the children it waited for, in ms. */
  readonly cpuMs: number;
  /** Resident memory in bytes. */
  readonly rssBytes: number;
}

/** What every process of a run carries, inherited from its wrapper. */
export interface RunMark {
  /** The value of `CONDUCTOR_RUN_DIR` in the environment. Lost by `env -i`. */
  readonly runDir: string;
  /** The file size limit in 512-byte blocks given to the wrapper; survives `env -i`, `setsid`, double forks and closed descriptors. */
  readonly brand: number;
}

/** Reads the system's processes. All methods are synchronous: a table that is read over several turns is no table. */
export interface ProcessTable {
  /**
   * Identifies what pids are counted in: this boot of the machine and, in a container, its pid namespace; `undefined` where
   * the system has no such thing.
   */
  bootId(): string | undefined;
  /**
   * Everything there is, in no particular order.
   *
   * @param startedSince - leaves out processes with an earlier start time; a table that knows them already need not read them again
   * @defaultValue startedSince is 0: nobody is left out
   */
  list(startedSince?: number): ProcessListing;
  /** One process, or `undefined` when there is none of that pid. */
  read(pid: number): ProcessEntry | undefined;
  /** Whether the process carries the mark of a run. False when it may not be looked at. */
  carries(pid: number, mark: RunMark): boolean;
}

/** One reading of the table. */
export interface ProcessListing {
  /** The processes that could be read. */
  readonly entries: readonly ProcessEntry[];
  /** True when a process began or ended while the table was read, so that one that is alive may be missing. */
  readonly torn: boolean;
}

/**
 * The identity of a living process.
 *
 * @param table - where to look
 * @param pid - which process
 * @returns `undefined` when it is gone or only waits to be reaped
 */
export function identifyProcess(table: ProcessTable, pid: number): ProcessIdentity | undefined {
  const entry = table.read(pid);
  if (entry === undefined || entry.state === 'zombie') return undefined;
  const bootId = table.bootId();
  return { pid, startTime: entry.startTime, ...(bootId === undefined ? {} : { bootId }) };
}

/**
 * Whether exactly this process is still alive.
 *
 * @param table - where to look
 * @param identity - pid, start time and boot
 */
export function isProcessAlive(table: ProcessTable, identity: ProcessIdentity): boolean {
  if (identity.bootId !== undefined && identity.bootId !== table.bootId()) return false;
  return identifyProcess(table, identity.pid)?.startTime === identity.startTime;
}
