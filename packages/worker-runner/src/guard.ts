/**
 * The dead-man's guard: a few lines of `sh` that kill a step whose lease is about to run out, when the process that
 * should have renewed it is stopped, stuck or dead. One per process that keeps leases: 1.7 MiB.
 * Invariant: a deadline is computed from a time read before the renewal was sent, so the guard is early, never late.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import type { Clock, Timer } from '@conductor-run/clock';

import { writeWhole } from './files.ts';
import type { Logger } from './step-sink.ts';
import { runMarkOf } from './wrapper.ts';

/** A run under guard. */
export interface GuardedRun {
  readonly runDir: string;
  /** The directory as it was named when the run was started, which its processes are known by. */
  readonly markedDir: string;
  /** The epoch of the owner that asks; a later owner makes the guard keep away. */
  readonly epoch: number;
  /** When to kill, in ms since boot as /proc/uptime counts. */
  readonly killAtUptimeMs: number;
}

/** A guard at work. */
export interface Guard {
  /** Replaces the list of guarded runs. */
  update(runs: readonly GuardedRun[], pollMs: number): void;
  /** Lets the guard go. */
  stop(): void;
}

/** Where the guard of an attached run keeps its list, inside the run directory. */
export const ATTACHED_GUARD_DIR = '.guard';

/** A file in the run directory that says the guard ended the run. */
const GUARD_MARK = 'lease-ended';

/** Whether the guard ended the run. */
export function wasEndedByGuard(runDir: string): boolean {
  return existsSync(join(runDir, GUARD_MARK));
}

/** Milliseconds since boot, suspended time included: what the guard goes by. `undefined` where there is no /proc. */
export function readUptimeMs(): number | undefined {
  if (!existsSync(UPTIME_PATH)) return undefined;
  return Math.round(Number(readFileSync(UPTIME_PATH, 'latin1').split(' ')[0]) * 1000);
}

/** What a guard needs. */
export interface GuardOptions {
  /** Its own, made here. */
  readonly directory: string;
  /** Our pid: when that process is gone and nothing is left to guard, the guard ends by itself. */
  readonly watchedPid: number;
  /** Where it looks for `grep` and `sleep`, beside the usual places: on some systems they are nowhere else. */
  readonly searchPath?: string | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Starts a guard, and another one a second after it is lost. Without /proc there is none, and the margins of the
 * keeping process are all there is.
 *
 * @param options - where, and for whom
 */
export function startGuard(options: GuardOptions): Guard {
  const { directory, clock, logger } = options;
  if (readUptimeMs() === undefined) return { update: () => undefined, stop: () => undefined };
  const listPath = join(directory, LIST_FILE);
  let list = formatList([], DEFAULT_POLL_MS);
  let timer: Timer | undefined;
  let isStopped = false;

  const writeList = (): void => {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    writeWhole(listPath, list);
  };
  const start = (): void => {
    let isLost = false;
    const lose = (how: object): void => {
      if (isLost || isStopped) return;
      isLost = true;
      // Told only then: the list of an attached run that has just ended goes a moment before `stop`.
      const restart = (): void => {
        logger.error({ directory, ...how }, 'lease-guard.lost');
        start();
      };
      timer = clock.setTimer(RESTART_MS, restart, { keepAlive: false });
    };
    try {
      writeList();
      spawnGuard(listPath, options)
        .on('error', (error) => lose({ err: error }))
        .on('exit', (exitCode, signal) => lose({ exitCode, signal }))
        .unref();
    } catch (error) {
      lose({ err: error });
    }
  };
  start();

  return {
    update(runs, pollMs) {
      list = formatList(runs, pollMs);
      writeList();
    },
    stop() {
      isStopped = true;
      timer?.cancel();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function spawnGuard(listPath: string, { watchedPid, searchPath = '' }: GuardOptions): ChildProcess {
  return spawn('/bin/sh', ['-c', GUARD_SCRIPT, 'conductor-guard', listPath, String(watchedPid)], {
    cwd: '/',
    detached: true,
    env: { PATH: `${USUAL_PATH}${searchPath === '' ? '' : `:${searchPath}`}` },
    stdio: 'ignore',
  });
}

/** First line: seconds between looks. Then a line a run: centiseconds of uptime, brand in bytes twice, next epoch, directory. */
function formatList(runs: readonly GuardedRun[], pollMs: number): string {
  const lines = runs.map(({ runDir, markedDir, epoch, killAtUptimeMs }) => {
    const brand = BigInt(runMarkOf(markedDir).brand);
    const deadline = Math.floor(killAtUptimeMs / 10);
    return `${deadline} ${brand * 512n} ${brand * 1024n} ${epoch + 1} ${runDir}\n`;
  });
  return `${(pollMs / 1000).toFixed(2)}\n${lines.join('')}`;
}

/**
 * The list is replaced as a whole, never edited, and read anew for each round, so that no run waits for another's end.
 * The brand finds everybody of the run, zombies too, which nobody can kill and only their parent, perhaps stopped, can
 * bury; the group is a second way for where the brand could not be set. A run with a result or a later owner is left
 * alone. One whose wrapper has written its exit keeps it, without a mark: only what the step left running is ended.
 * `true`, since a `:` whose redirection fails ends the shell. Without its programs it ends, which is told of, instead
 * of looking without a pause.
 */
const GUARD_SCRIPT = `
list=$1; watched=$2; rounds=0; due=; nl='
'; ended=$nl
trap '' TERM INT HUP
command -v grep >/dev/null && command -v sleep >/dev/null || exit 127
read_stat() {
  stat=; while read -r line; do stat=$line; done
  stat=\${stat##*) }
}
kill_group() {
  read -r pid stat <"$dir/pid" || return
  set -- \${stat##*) }; start=\${20}
  read_stat <"/proc/$pid/stat" || return
  set -- $stat
  [ "\${20}" = "$start" ] && [ "$1" != Z ] && kill -KILL -- "-$pid"
}
kill_branded() {
  found=
  for f in $(grep -lE "^Max file size +($brands) " /proc/[0-9]*/limits); do
    pid=\${f#/proc/}; pid=\${pid%/limits}
    read_stat <"/proc/$pid/stat" || continue
    case $stat in [ZX]* | '') continue ;; esac
    found=1; kill -KILL "$pid"
  done
}
while :; do
  left=0; poll=1; due=; brands=
  { read -r poll
    read -r up rest <"/proc/uptime"; now=\${up%.*}\${up#*.}
    while read -r deadline b1 b2 next dir; do
      [ -e "$dir/result.json" ] && continue
      [ -e "$dir/owner.$next.json" ] && continue
      case $ended in *"$nl$next $dir$nl"*) continue ;; esac
      left=1
      [ "$deadline" -gt "$now" ] && continue
      due="$due$next $dir$nl"; brands="$brands\${brands:+|}$b1|$b2"
      [ -e "$dir/exit" ] || true >"$dir/${GUARD_MARK}"
      kill_group
    done
    true
  } <"$list" || exit 0
  if [ -n "$due" ]; then
    kill_branded
    [ -z "$found" ] && ended=$ended$due && rounds=0 && continue
    rounds=$((rounds+1)); [ $rounds -lt 500 ] && continue
  fi
  [ $left = 0 ] && ! kill -0 "$watched" && exit 0
  sleep "$poll" || sleep 1 || exit
done
`;

const LIST_FILE = 'leases';
const USUAL_PATH = '/usr/local/bin:/usr/bin:/bin';
const UPTIME_PATH = '/proc/uptime';
const DEFAULT_POLL_MS = 100;
/** A guard that cannot start must not be started over and over. */
const RESTART_MS = 1000;
