/**
 * Where the files of a run are.
 * Invariant: no path leaves `runsDir`: ids are checked before any file is touched, symbolic links below it are refused.
 */
import { lstatSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';

import { hasSystemCode, LoggingError } from './errors.ts';
import type { OutputChannelName } from './run-records.ts';

/** Which run, below which directory. */
export interface RunLocation {
  /** The directory that holds all runs. May itself be reached through a symbolic link. */
  readonly runsDir: string;
  /** Letters, digits, `.`, `_` and `-`, at most 128, starting with a letter or digit, without `..`. */
  readonly taskId: string;
  /** As `taskId`. */
  readonly runId: string;
}

/** Every path of a run directory, absolute. None of them need exist. */
export interface RunPaths extends RunLocation {
  /** `<runsDir>/<taskId>/<runId>`. */
  readonly runDir: string;
  /** `meta.json`: who the run is. */
  readonly metaPath: string;
  /** `state.json`: where it stands. */
  readonly statePath: string;
  /** `worker.log`: lifecycle events, one JSON object a line. */
  readonly eventsPath: string;
  /** `stdout.log`: the bytes the step wrote. */
  readonly stdoutPath: string;
  /** `stderr.log`: the bytes the step wrote. */
  readonly stderrPath: string;
  /** `timeline.ndjson`: when which bytes appeared. */
  readonly timelinePath: string;
  /** `checkpoints/`, owned by whoever takes checkpoints. */
  readonly checkpointsDir: string;
  /** `artifacts/`, the step's own files. */
  readonly artifactsDir: string;
}

/**
 * Names the files of a run, without making any.
 *
 * @param location - which run; a relative `runsDir` is taken from the working directory
 * @returns absolute paths
 * @throws {@link LoggingError} with code `invalid-id` for an id that is not a plain name, `unsafe-path` when the run
 * directory is, or lies under, a symbolic link below `runsDir`
 */
export function resolveRunPaths(location: RunLocation): RunPaths {
  const taskId = requireId('task', location.taskId);
  const runId = requireId('run', location.runId);
  const runsDir = isAbsolute(location.runsDir) ? location.runsDir : resolve(location.runsDir);
  const taskDir = join(runsDir, taskId);
  const runDir = join(taskDir, runId);
  refuseLink(taskDir);
  refuseLink(runDir);
  return {
    runsDir,
    taskId,
    runId,
    runDir,
    metaPath: join(runDir, 'meta.json'),
    statePath: join(runDir, 'state.json'),
    eventsPath: join(runDir, 'worker.log'),
    stdoutPath: join(runDir, 'stdout.log'),
    stderrPath: join(runDir, 'stderr.log'),
    timelinePath: join(runDir, 'timeline.ndjson'),
    checkpointsDir: join(runDir, 'checkpoints'),
    artifactsDir: join(runDir, 'artifacts'),
  };
}

/** @internal The log of a channel. */
export function logPathOf(paths: RunPaths, channel: OutputChannelName): string {
  return channel === 'stdout' ? paths.stdoutPath : paths.stderrPath;
}

/** @internal The private file a child writes to while its output is being redacted. */
export function spoolPathOf(paths: RunPaths, channel: OutputChannelName): string {
  return join(paths.runDir, `.${channel}.spool`);
}

/** @internal Whether a directory entry can be a task or a run. */
export function isRunId(id: string): boolean {
  return ID_PATTERN.test(id) && !id.includes('..');
}

/** @internal Fails when `path` is a symbolic link; a path that does not exist is fine. */
export function refuseLink(path: string): void {
  const entry = lstatSync(path, { throwIfNoEntry: false });
  if (entry?.isSymbolicLink() === true) {
    throw new LoggingError(
      'unsafe-path',
      `Cannot use run directory "${path}": is a symbolic link, expected a plain directory`,
    );
  }
}

/** @internal Turns ENOENT and ENOTDIR of a run's file into `run-not-found`, and keeps everything else. */
export function toRunError(paths: RunPaths, error: unknown): unknown {
  if (!hasSystemCode(error, 'ENOENT') && !hasSystemCode(error, 'ENOTDIR')) return error;
  return new LoggingError(
    'run-not-found',
    `Cannot read run "${paths.runId}" of task "${paths.taskId}": not there, expected a run directory with meta.json`,
    { cause: error },
  );
}

function requireId(what: string, id: string): string {
  if (typeof id === 'string' && isRunId(id)) return id;
  throw new LoggingError(
    'invalid-id',
    `Cannot use ${what} id "${id}": expected 1 to 128 letters, digits, ".", "_" or "-", first a letter or digit, without ".."`,
  );
}

const ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
