/**
 * The few lines of `sh` around every step: 1.7 MiB and 1 ms that make the step outlive whoever started it.
 * Invariant: `pid` is on disk before the step's first instruction, `exit` after its last; both count only with their newline.
 */
import { createHash } from 'node:crypto';

import type { RunMark } from './process-table.ts';

/** Names of the wrapper's files inside the run directory. */
export const WRAPPER_FILES = {
  /** The wrapper's pid and its own line of /proc, written before the step starts. */
  pid: 'pid',
  /** What the shell's `times` says, CPU time of the step in its second line; then, as the last line, the exit status. */
  exit: 'exit',
  /** What the step wrote to its events descriptor, byte for byte. */
  events: 'events.raw',
  /** Says that the run was closed as never started: a wrapper that comes late must not run its step. */
  closed: 'closed',
  /** The pipe its answers come from, where the wrapper could not make one without a name. */
  replies: 'replies',
} as const;

/** What a step will read on stdin, until it is open: gone before the step starts, unless we are killed in between. */
export const STDIN_FILE = '.stdin';

/** The descriptor a step writes structured events to. */
export const EVENTS_FD = 3;
/** The descriptor a step reads answers from. */
export const REPLIES_FD = 4;

/**
 * What the processes of a run are recognised by.
 *
 * @param runDir - the run's directory
 * @returns the same mark for the same directory, so that any later process can compute it
 */
export function runMarkOf(runDir: string): RunMark {
  const digest = createHash('sha256').update(runDir).digest();
  return { runDir, brand: BRAND_BASE_BLOCKS + digest.readUIntBE(0, 6) };
}

/**
 * The argument list that runs a command under the wrapper.
 *
 * @param runDir - where the wrapper leaves its files
 * @param argv - the command, its program as an absolute path
 */
export function wrapCommand(runDir: string, argv: readonly string[]): readonly string[] {
  return [
    '/bin/sh',
    '-c',
    WRAPPER_SCRIPT,
    'conductor-step',
    runDir,
    String(runMarkOf(runDir).brand),
    ...argv,
  ];
}

/**
 * `trap :` keeps the wrapper alive through a SIGTERM of the group, without the step inheriting an ignored signal, so
 * that the exit status is still written. The file size limit is no limit (over 10^15 bytes) but a brand: it is
 * inherited whatever a process does to its environment, session or descriptors. A pipe opened for reading and writing
 * neither blocks nor ends, and whoever adopts the run can open it again. A here-document is such a pipe without the
 * process that `mkfifo` takes, in every shell that does not keep it in a file (decision 052). A variable that came with
 * the environment would be changed for the step as well: names of ours begin like those that no request may set.
 */
const WRAPPER_SCRIPT = `
CONDUCTOR_D=$1; CONDUCTOR_B=$2; shift 2
trap : TERM INT HUP
ulimit -f "$CONDUCTOR_B" 2>/dev/null
CONDUCTOR_S=
[ -r "/proc/$$/stat" ] && read -r CONDUCTOR_S <"/proc/$$/stat"
echo "$$ $CONDUCTOR_S" >"$CONDUCTOR_D/${WRAPPER_FILES.pid}"
[ -e "$CONDUCTOR_D/${WRAPPER_FILES.closed}" ] && exit 125
exec ${EVENTS_FD}>>"$CONDUCTOR_D/${WRAPPER_FILES.events}" || exit 125
exec ${REPLIES_FD}<<end

end
CONDUCTOR_F=/proc/$$/fd/${REPLIES_FD}
if [ -n "$CONDUCTOR_S" ] && [ -p "$CONDUCTOR_F" ] && { command exec ${REPLIES_FD}<>"$CONDUCTOR_F"; } 2>/dev/null; then
  read -r CONDUCTOR_S <&${REPLIES_FD}
else
  command -p mkfifo -m 600 "$CONDUCTOR_D/${WRAPPER_FILES.replies}" &&
  exec ${REPLIES_FD}<>"$CONDUCTOR_D/${WRAPPER_FILES.replies}" || exit 125
fi
"$@"
CONDUCTOR_C=$?
{ times; echo $CONDUCTOR_C; } >"$CONDUCTOR_D/${WRAPPER_FILES.exit}"
exit $CONDUCTOR_C
`;

/** 2^43 blocks are 4 PiB, above the largest file of any file system in use; the digest spreads brands over 2^48 values above it. */
const BRAND_BASE_BLOCKS = 2 ** 43;
