/**
 * Every process of one run, found in four ways that fail differently: session and group, parent links, memory of
 * what was seen before, and marks inherited from the wrapper.
 * Invariant: `scan` never names a process that is not the run's, and an empty conclusive scan proves nobody is left.
 */
import type { Host } from './host.ts';
import type { ProcessEntry, ProcessIdentity, ProcessListing, RunMark } from './process-table.ts';

/** What a scan found. */
export interface TreeScan {
  /** The run's living processes; zombies are left out, they hold and run nothing. */
  readonly alive: readonly ProcessEntry[];
  /** False when processes came or went during the reading: an empty result must then be confirmed by another scan. */
  readonly conclusive: boolean;
}

/** The processes of one run. Remembers whom it saw, so that a child whose parent has ended stays known. */
export interface ProcessTree {
  /** The wrapper the tree grew from. */
  readonly root: ProcessIdentity;
  /** Reads the process table once and returns the run's members. */
  scan(): TreeScan;
  /** The members that a recent listing shows by group, parent and memory alone: cheap, for figures, never for proof. */
  peek(listing: ProcessListing): readonly ProcessEntry[];
  /** Scans until somebody is found, or a conclusive scan proves that nobody is left. */
  scanForSurvivors(): readonly ProcessEntry[];
  /**
   * Sends a signal to the wrapper's group, and to every given member outside of it. Never signals a reused pid: the
   * start time is compared right before.
   */
  signal(signal: NodeJS.Signals, members: readonly ProcessEntry[]): void;
}

/** Which tree to look for. */
export interface ProcessTreeOptions {
  /** The wrapper. Need not be alive any more. */
  readonly root: ProcessIdentity;
  /** What the run's processes carry. */
  readonly mark: RunMark;
  /** Where to look. */
  readonly host: Pick<Host, 'processes' | 'signal' | 'pid'>;
  /**
   * Whether the wrapper is known to have lived until just now. When false, its session and group number count only
   * while the wrapper itself is alive: after a long absence the numbers may belong to somebody else.
   */
  readonly rootIsRecent: boolean;
}

/**
 * Describes the tree of a run; reads nothing yet.
 *
 * @param options - root, mark and host
 */
export function createProcessTree(options: ProcessTreeOptions): ProcessTree {
  const { root, mark, host } = options;
  const seen = new Map<number, number>();
  let groupIsOurs = options.rootIsRecent;

  const isKnown = (entry: ProcessEntry): boolean =>
    seen.get(entry.pid) === entry.startTime ||
    (groupIsOurs && (entry.sessionId === root.pid || entry.groupId === root.pid)) ||
    (entry.pid === root.pid && entry.startTime === root.startTime);
  const isMember = (entry: ProcessEntry): boolean =>
    isKnown(entry) || host.processes.carries(entry.pid, mark);

  const findMembers = (
    listing: ProcessListing,
    belongs: (entry: ProcessEntry) => boolean,
  ): ProcessEntry[] => {
    const candidates = listing.entries.filter(
      (entry) => entry.startTime >= root.startTime && entry.pid !== host.pid,
    );
    const rootEntry = candidates.find((entry) => entry.pid === root.pid);
    if (rootEntry !== undefined) groupIsOurs = rootEntry.startTime === root.startTime;
    const members = new Map(candidates.filter(belongs).map((entry) => [entry.pid, entry]));
    addChildren(members, candidates);
    return [...members.values()];
  };

  const scan = (): TreeScan => {
    const listing = host.processes.list(root.startTime);
    const members = findMembers(listing, isMember);
    for (const entry of members) seen.set(entry.pid, entry.startTime);
    return { alive: members.filter((entry) => entry.state !== 'zombie'), conclusive: !listing.torn };
  };

  return {
    root,
    scan,
    peek(listing) {
      const members = findMembers(listing, isKnown);
      for (const entry of members) seen.set(entry.pid, entry.startTime);
      return members.filter((entry) => entry.state !== 'zombie');
    },
    scanForSurvivors() {
      for (let pass = 0; pass < MAX_PASSES; pass += 1) {
        const { alive, conclusive } = scan();
        if (alive.length > 0) return alive;
        if (conclusive) break;
      }
      return [];
    },
    signal(signal, members) {
      const isSame = (entry: ProcessEntry): boolean =>
        host.processes.read(entry.pid)?.startTime === entry.startTime;
      const groupMember = members.find((entry) => entry.groupId === root.pid && isSame(entry));
      if (groupMember !== undefined && groupIsOurs) host.signal(-root.pid, signal);
      for (const entry of members) {
        const reached = groupIsOurs && entry.groupId === root.pid;
        if (!reached && isSame(entry)) host.signal(entry.pid, signal);
      }
    },
  };
}

/** Adds children of members until nobody is added. */
function addChildren(members: Map<number, ProcessEntry>, candidates: readonly ProcessEntry[]): void {
  let sizeBefore: number;
  do {
    sizeBefore = members.size;
    for (const entry of candidates) {
      if (!members.has(entry.pid) && members.has(entry.parentPid)) members.set(entry.pid, entry);
    }
  } while (members.size > sizeBefore);
}

/**
 * A machine on which processes begin during every single scan still gets an answer. Pids are given away and read in
 * rising order, so that a member could slip through all of these only by wrapping around the last pid in each.
 */
const MAX_PASSES = 5;
