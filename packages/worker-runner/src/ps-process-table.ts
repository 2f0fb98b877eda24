/**
 * The process table of systems without /proc (macOS), read with `ps`.
 * The tests run on Linux: its parsing is tested on recorded output, and its listing with the `ps` of Linux.
 */
import { execFileSync } from 'node:child_process';

import { WorkerRunnerError } from './errors.ts';
import type { ProcessEntry, ProcessTable, RunMark } from './process-table.ts';

/** Runs a program and returns what it printed; throws when it fails. */
export type RunProgram = (file: string, args: readonly string[]) => string;

/**
 * Reads processes with `ps`. Marks are found in the environment only: other processes' limits are not visible there.
 *
 * @param run - how to run `ps` and `sysctl`
 * @defaultValue run starts the real programs and waits for them
 */
export function createPsProcessTable(run: RunProgram = runProgram): ProcessTable {
  let bootId: string | undefined;
  const query = (): readonly ProcessEntry[] => {
    const lines = run('ps', ['-ax', '-o', COLUMNS]).split('\n');
    const entries = lines.map(parseLine).filter((entry) => entry !== undefined);
    // `ps` itself is always there: a table that cannot be understood must not look like an empty one.
    if (entries.length > 0) return entries;
    throw new WorkerRunnerError(
      'record-unreadable',
      `Cannot read processes: ps printed "${lines[0] ?? ''}", expected "${COLUMNS}"`,
    );
  };
  /** What was read since the last listing and not asked for yet: whoever asks twice gets a new reading. */
  const unasked = new Map<number, string>();
  const readCommands = (): void => {
    unasked.clear();
    for (const line of run('ps', ['-axww', '-E', '-o', 'pid=,command=']).split('\n')) {
      const [, pid, command = ''] = /^\s*(\d+) (.*)$/su.exec(line) ?? [];
      if (pid !== undefined) unasked.set(Number(pid), command);
    }
  };
  return {
    bootId: () => (bootId ??= run('sysctl', ['-n', 'kern.bootsessionuuid']).trim()),
    list(startedSince = 0) {
      unasked.clear();
      return { entries: query().filter((entry) => entry.startTime >= startedSince), torn: false };
    },
    // `ps -p` exits with 1 for a pid that is not there, which `run` cannot tell from a failure; a listing can.
    read: (pid) => query().find((entry) => entry.pid === pid),
    carries(pid, mark) {
      // One reading answers for everybody of a listing: `ps` takes milliseconds, and there may be hundreds of them.
      if (!unasked.has(pid)) readCommands();
      const command = unasked.get(pid) ?? '';
      unasked.delete(pid);
      return isMarked(command, mark);
    },
  };
}

/** `  501   1 501 S  Fri Nov 20 21:12:33 2026  0:01.50  1024`: pid, parent, group, state, start, CPU time, KiB. */
function parseLine(line: string): ProcessEntry | undefined {
  const match =
    /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(\S+\s+\S+\s+\d+\s+[\d:]+\s+\d+)\s+([\d:.-]+)\s+(\d+)\s*$/u.exec(
      line,
    );
  if (match === null) return undefined;
  const [, pid, parentPid, groupId, state = '', start = '', cpu = '', rssKib] = match;
  return {
    pid: Number(pid),
    parentPid: Number(parentPid),
    groupId: Number(groupId),
    // macOS prints no usable session id; the group stands in for it.
    sessionId: Number(groupId),
    startTime: Date.parse(`${start} UTC`),
    state: state.startsWith('Z') ? 'zombie' : state.startsWith('T') ? 'stopped' : 'running',
    cpuMs: cpuToMs(cpu),
    rssBytes: Number(rssKib) * 1024,
  };
}

/** `[[days-]hours:]minutes:seconds.hundredths`. */
function cpuToMs(text: string): number {
  const [days = '0', rest = ''] = text.includes('-') ? text.split('-') : ['0', text];
  const seconds = rest.split(':').reduce((total, part) => total * 60 + Number(part), 0);
  return Math.round((Number(days) * 86_400 + seconds) * 1000);
}

function isMarked(command: string, mark: RunMark): boolean {
  return `${command} `.includes(` CONDUCTOR_RUN_DIR=${mark.runDir} `);
}

function runProgram(file: string, args: readonly string[]): string {
  return execFileSync(file, args, { encoding: 'utf8', maxBuffer: MAX_OUTPUT_BYTES, env: PLAIN_ENV });
}

/** In other locales `ps` names and orders dates otherwise; in another time zone the same process would have another start. */
const PLAIN_ENV = { LC_ALL: 'C', TZ: 'UTC', PATH: '/usr/bin:/bin:/usr/sbin:/sbin' };

const COLUMNS = 'pid=,ppid=,pgid=,state=,lstart=,time=,rss=';
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
