/**
 * The process table of Linux, read from /proc.
 * Invariant: a process is passed over unread only while the very directory it was first read from is still there
 * (decision 053).
 */
import {
  closeSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  type Stats,
} from 'node:fs';

import { systemCodeOf } from './errors.ts';
import type { ProcessEntry, ProcessTable, RunMark } from './process-table.ts';

/**
 * Reads processes from /proc.
 *
 * @param procDir - where procfs is mounted
 * @defaultValue procDir is `/proc`
 */
export function createLinuxProcessTable(procDir: string = '/proc'): ProcessTable {
  let bootId: string | undefined;
  let seen: ReadonlyMap<number, SeenProcess> = new Map();
  const read = (pid: number): ProcessEntry | undefined => {
    const stat = readIfThere(`${procDir}/${pid}/stat`);
    return stat === undefined ? undefined : parseStat(stat.toString('latin1'));
  };
  return {
    bootId: () => (bootId ??= readBootId(procDir)),
    list(startedSince = 0) {
      const lastPid = readLastPid(procDir);
      const entries: ProcessEntry[] = [];
      const present = new Map<number, SeenProcess>();
      let torn = false;
      for (const name of readdirSync(procDir)) {
        const pid = Number(name);
        if (!Number.isInteger(pid)) continue;
        // Asked before the process is read: what is read may be a later process, never an earlier one.
        const directory = lstatSync(`${procDir}/${name}`, { throwIfNoEntry: false });
        const former = seen.get(pid);
        if (former !== undefined && former.startTime < startedSince && isSame(former, directory)) {
          present.set(pid, former);
          continue;
        }
        const entry = directory === undefined ? undefined : read(pid);
        if (entry === undefined || directory === undefined) {
          torn = true;
          continue;
        }
        const { ino: inode, ctimeMs: madeAtMs } = directory;
        present.set(pid, { inode, madeAtMs, startTime: entry.startTime });
        if (entry.startTime >= startedSince) entries.push(entry);
      }
      seen = present;
      return { entries, torn: torn || readLastPid(procDir) !== lastPid };
    },
    read,
    carries: (pid, mark) => hasBrand(procDir, pid, mark) || hasVariable(procDir, pid, mark),
  };
}

/** Pids are counted anew with each boot, and in each pid namespace, such as that of a container. */
function readBootId(procDir: string): string | undefined {
  const boot = readIfThere(`${procDir}/sys/kernel/random/boot_id`)?.toString('utf8').trim();
  const namespace = readNamespace(procDir);
  return boot === undefined || namespace === FIRST_NAMESPACE ? boot : `${boot} ${namespace}`;
}

/** `pid:[4026531836]`. A kernel without namespaces has only the first one. */
function readNamespace(procDir: string): string {
  try {
    return readlinkSync(`${procDir}/self/ns/pid`);
  } catch (error) {
    if (EXPECTED_CODES.has(systemCodeOf(error) ?? '')) return FIRST_NAMESPACE;
    throw error;
  }
}

/** A process that was read before, and the directory of procfs it was read from. */
interface SeenProcess {
  readonly inode: number;
  readonly madeAtMs: number;
  readonly startTime: number;
}

/** procfs makes a new directory for a new process, whatever its pid; it may also make one anew for the same process. */
function isSame(former: SeenProcess, directory: Stats | undefined): boolean {
  return directory?.ino === former.inode && directory.ctimeMs === former.madeAtMs;
}

/** The last pid given away in our pid namespace. While it stays the same, no process and no thread has begun. */
function readLastPid(procDir: string): string | undefined {
  return readIfThere(`${procDir}/loadavg`)?.toString('latin1').trimEnd().split(' ').at(-1);
}

/** `man 5 proc`: the name in parentheses may hold anything, so fields are counted from the last parenthesis. */
function parseStat(stat: string): ProcessEntry | undefined {
  const nameEnd = stat.lastIndexOf(')');
  const fields = stat.slice(nameEnd + 2).split(' ');
  const field = (number: number): number => Number(fields[number - FIRST_FIELD_AFTER_NAME]);
  const pid = Number(stat.slice(0, stat.indexOf(' ')));
  if (nameEnd < 0 || !Number.isInteger(pid)) return undefined;
  return {
    pid,
    parentPid: field(4),
    groupId: field(5),
    sessionId: field(6),
    startTime: field(22),
    state: stateOf(fields[0]),
    cpuMs: (field(14) + field(15) + field(16) + field(17)) * MS_PER_TICK,
    rssBytes: field(24) * PAGE_BYTES,
  };
}

function stateOf(letter: string | undefined): ProcessEntry['state'] {
  if (letter === 'Z' || letter === 'X' || letter === 'x') return 'zombie';
  return letter === 'T' || letter === 't' ? 'stopped' : 'running';
}

/** dash, ash and bash in POSIX mode count `ulimit -f` in 512 bytes, bash otherwise in 1,024. */
function hasBrand(procDir: string, pid: number, mark: RunMark): boolean {
  const limits = readIfThere(`${procDir}/${pid}/limits`)?.toString('latin1') ?? '';
  const softBytes = /^Max file size\s+(\d+)/mu.exec(limits)?.[1];
  if (softBytes === undefined) return false;
  return softBytes === String(BigInt(mark.brand) * 512n) || softBytes === String(BigInt(mark.brand) * 1024n);
}

function hasVariable(procDir: string, pid: number, mark: RunMark): boolean {
  const environ = readIfThere(`${procDir}/${pid}/environ`);
  if (environ === undefined) return false;
  const wanted = Buffer.from(`CONDUCTOR_RUN_DIR=${mark.runDir}\0`);
  return environ.subarray(0, wanted.length).equals(wanted) || environ.includes(Buffer.concat([NUL, wanted]));
}

/** A process may end between any two reads, and another user's may not be looked at: both are answers. */
function readIfThere(path: string): Buffer | undefined {
  let fd: number | undefined;
  try {
    fd = openSync(path, 'r');
    // Files of /proc have no size to ask for; one read into a shared buffer is a third of what readFileSync takes.
    const bytes = readSync(fd, shared, 0, shared.length, 0);
    return bytes < shared.length ? shared.subarray(0, bytes) : readFileSync(path);
  } catch (error) {
    if (EXPECTED_CODES.has(systemCodeOf(error) ?? '')) return undefined;
    throw error;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** Overwritten by the next read: callers take what they need at once. */
const shared = Buffer.alloc(8192);

const EXPECTED_CODES: ReadonlySet<string> = new Set(['ENOENT', 'ESRCH', 'EACCES', 'EPERM']);
/** PROC_PID_INIT_INO of the kernel. */
const FIRST_NAMESPACE = 'pid:[4026531836]';
const FIRST_FIELD_AFTER_NAME = 3;
const NUL = Buffer.from([0]);
/** USER_HZ is 100 on every Linux Node runs on. */
const MS_PER_TICK = 10;
/** Only used for a figure in the metrics; 16 KiB pages of some arm64 kernels make it too small, never wrong in kind. */
const PAGE_BYTES = 4096;
