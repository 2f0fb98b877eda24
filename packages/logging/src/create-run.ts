/**
 * Makes a run directory, and goes on with one after a crash.
 * Invariant: a run directory either has a meta.json or does not exist: it is built beside and renamed into place.
 */
import { lstatSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';

import { hasSystemCode, LoggingError } from './errors.ts';
import { linesBackwards } from './journal-tail.ts';
import { openRunWriter } from './open-run-writer.ts';
import { parseEventLine, parseRunMeta, parseRunState } from './record-schemas.ts';
import { replaceFile, type RunFiles } from './run-files.ts';
import { refuseLink, toRunError, type RunPaths } from './run-paths.ts';
import { LAYOUT_VERSION, type NewRunMeta, type RunMeta, type RunState } from './run-records.ts';
import type { RunStatus } from './run-status.ts';
import type { RunWriter, RunWriterOptions } from './run-writer.ts';
import { writerSettings } from './writer-options.ts';

/**
 * Makes the directory of a new run and opens its writer. The directory appears in one step, with meta.json on the disk.
 *
 * @param paths - from `resolveRunPaths`
 * @param meta - who the run is
 * @param options - how it is written
 * @returns the writer; close it
 * @throws {@link LoggingError} with code `run-exists`, `unsafe-path`, `write-failed`; RangeError and TypeError for bad options
 */
export async function createRun(
  paths: RunPaths,
  meta: NewRunMeta,
  options: RunWriterOptions = {},
): Promise<RunWriter> {
  const settings = writerSettings(options);
  const { clock, files, redactor } = settings;
  refuseLink(dirname(paths.runDir));
  refuseLink(paths.runDir);
  if (lstatSync(paths.runDir, { throwIfNoEntry: false }) !== undefined) throw runExists(paths);

  const fullMeta: RunMeta = {
    layoutVersion: LAYOUT_VERSION,
    taskId: paths.taskId,
    runId: paths.runId,
    ...(redactor?.redactValue(meta) ?? meta),
    createdAt: clock.nowMs(),
    host: hostname(),
    pid: process.pid,
  };
  const state = initialState(fullMeta, clock.nowMs());
  try {
    buildRunDirectory(files, paths, fullMeta, state);
  } catch (error) {
    if (hasSystemCode(error, 'ENOTEMPTY') || hasSystemCode(error, 'EEXIST')) throw runExists(paths, error);
    throw new LoggingError(
      'write-failed',
      `Cannot create run directory "${paths.runDir}": ${error instanceof Error ? error.message : String(error)}, expected a writable directory with room`,
      { cause: error },
    );
  }
  return openRunWriter(paths, fullMeta, state, settings);
}

/**
 * Opens the writer of a run whose former writer is gone: cuts torn last lines, goes on with the sequence, and rebuilds
 * state.json from worker.log when a power cut destroyed it. Output that a child wrote meanwhile is taken in by
 * `output(channel).followChild()` while the child lives and by `finishOutput()` when it has exited: without loss, without
 * repeats. The caller makes sure that no other process writes the run.
 *
 * @param paths - from `resolveRunPaths`
 * @param options - how it is written; a run whose output was being redacted needs a redactor with the same secrets
 * @returns the writer; close it
 * @throws {@link LoggingError} with code `run-not-found`, `record-unreadable`, `layout-unsupported`, `redactor-required`, `write-failed`
 */
export async function reopenRun(paths: RunPaths, options: RunWriterOptions = {}): Promise<RunWriter> {
  const settings = writerSettings(options);
  refuseLink(dirname(paths.runDir));
  refuseLink(paths.runDir);
  const meta = readMeta(paths);
  const state = readState(paths) ?? rebuildState(paths, meta, settings.clock.nowMs());
  return openRunWriter(paths, meta, state, settings);
}

function buildRunDirectory(files: RunFiles, paths: RunPaths, meta: RunMeta, state: RunState): void {
  const taskDir = dirname(paths.runDir);
  const temporaryDir = makeTemporaryDirectory(files, taskDir, paths.runId);
  try {
    replaceFile(files, join(temporaryDir, 'meta.json'), `${JSON.stringify(meta, undefined, 2)}\n`, true);
    replaceFile(files, join(temporaryDir, 'state.json'), `${JSON.stringify(state, undefined, 2)}\n`, false);
    for (const name of ['worker.log', 'stdout.log', 'stderr.log', 'timeline.ndjson']) {
      files.close(files.open(join(temporaryDir, name), 'create'));
    }
    files.makeDirectory(join(temporaryDir, 'checkpoints'));
    files.makeDirectory(join(temporaryDir, 'artifacts'));
    files.syncDirectory(temporaryDir);
    files.rename(temporaryDir, paths.runDir);
  } catch (error) {
    files.remove(temporaryDir);
    throw error;
  }
  files.syncDirectory(taskDir);
}

/** Retention may remove an empty task directory between our two calls; then both are made again. */
function makeTemporaryDirectory(files: RunFiles, taskDir: string, runId: string): string {
  for (let attempt = 1; ; attempt++) {
    files.makeDirectory(taskDir);
    try {
      return files.makeTemporaryDirectory(join(taskDir, `.tmp-${runId}-`));
    } catch (error) {
      if (attempt === MAX_ATTEMPTS || !hasSystemCode(error, 'ENOENT')) throw error;
    }
  }
}

function readMeta(paths: RunPaths): RunMeta {
  let text: string;
  try {
    text = readFileSync(paths.metaPath, 'utf8');
  } catch (error) {
    throw toRunError(paths, error);
  }
  return parseRunMeta(paths.metaPath, text);
}

/** The state on disk; `undefined` when it is absent or no state: see `rebuildState`. */
function readState(paths: RunPaths): RunState | undefined {
  try {
    return parseRunState(paths.statePath, readFileSync(paths.statePath, 'utf8'));
  } catch (error) {
    if (error instanceof LoggingError || hasSystemCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** worker.log is the record and state.json its summary: the newest event that says so gives the status. */
function rebuildState(paths: RunPaths, meta: RunMeta, nowMs: number): RunState {
  const state = initialState(meta, nowMs);
  for (const line of linesBackwards(paths.eventsPath)) {
    const event = parseEventLine(line);
    const status = event === undefined ? undefined : STATUS_BY_EVENT[event.type];
    if (event !== undefined && status !== undefined) {
      return { ...state, status, lastEventSeq: event.seq, summary: 'state.json was rebuilt from worker.log' };
    }
  }
  return state;
}

function initialState(meta: RunMeta, nowMs: number): RunState {
  return {
    status: 'prepared',
    attempt: meta.attempt,
    updatedAt: nowMs,
    lastEventSeq: 0,
    checkpointSeq: 0,
    stdoutBytes: 0,
    stderrBytes: 0,
    droppedBytes: 0,
  };
}

function runExists(paths: RunPaths, cause?: unknown): LoggingError {
  return new LoggingError(
    'run-exists',
    `Cannot create run "${paths.runId}" of task "${paths.taskId}": it exists, expected a new run id`,
    { cause },
  );
}

const MAX_ATTEMPTS = 3;

const STATUS_BY_EVENT: Readonly<Record<string, RunStatus | undefined>> = {
  run_prepared: 'prepared',
  worker_started: 'running',
  run_adopted: 'running',
  step_completed: 'completed',
  step_failed: 'failed',
  step_blocked: 'blocked',
  step_cancelled: 'cancelled',
  step_timed_out: 'timed_out',
  run_lost: 'lost',
};
