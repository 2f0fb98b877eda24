/** One look at what a job watches: how new is it now? Reads only. */
import { execFile } from 'node:child_process';
import { glob, lstat } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

import type { Clock } from '@conductor-run/clock';
import type { JobStore } from '@conductor-run/job-store';

import type { JobDefinition } from '../job-config.ts';
import type { WatchDefinition } from '../watch-config.ts';
import { DEFAULT_KEY } from '../wire.ts';
import { programEnvironment, runProgram } from './run-program.ts';

/** What a look came to. */
export interface Look {
  /** How new the input is; `undefined` when there is none, or it has not been quiet for long enough. */
  readonly value: number | undefined;
  /** When to look again because something will have settled, UTC ms. */
  readonly settledAtMs?: number;
}

/** What looking takes. */
export interface LookOptions {
  /** Where the successes of other jobs are. */
  readonly store: JobStore;
  readonly rootDir: string;
  /** Files below it never count: conductor writes there. */
  readonly stateDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** How long files must be quiet, in ms. */
  readonly settleDelayMs: number;
  readonly signal: AbortSignal;
}

/**
 * Looks once.
 *
 * @param job - whose watch
 * @param watch - what is watched
 * @param options - where and for how long
 * @throws Error saying what is wrong with the watch, for people
 */
export async function look(job: JobDefinition, watch: WatchDefinition, options: LookOptions): Promise<Look> {
  switch (watch.kind) {
    case 'files':
      return lookAtFiles(watch.globs, options);
    case 'git':
      return { value: await countCommits(watch.ref, options) };
    case 'command':
      return { value: await askCommand(job, watch.command, options) };
    case 'job':
      return { value: await lastSuccess(watch.job, options) };
  }
}

/** The newest mtime of what matches; a folder's own tells of files that were removed from it. */
async function lookAtFiles(globs: readonly string[], options: LookOptions): Promise<Look> {
  const { rootDir, stateDir, clock, settleDelayMs, signal } = options;
  const nowMs = clock.nowMs();
  let newestMs = 0;
  const entries = glob([...globs], {
    cwd: rootDir,
    withFileTypes: true,
    exclude: (entry) => entry.name === 'node_modules',
  });
  for await (const entry of entries) {
    signal.throwIfAborted();
    const file = path.resolve(rootDir, entry.parentPath, entry.name);
    if (file === rootDir || file === stateDir || file.startsWith(stateDir + path.sep)) continue;
    const mtimeMs = await changedAtMs(file);
    // A date in the future counts once it has come: until then it would hide every other change.
    if (mtimeMs <= nowMs) newestMs = Math.max(newestMs, mtimeMs);
  }
  if (newestMs === 0) return { value: undefined };
  const settledAtMs = newestMs + settleDelayMs;
  return settledAtMs <= nowMs ? { value: newestMs } : { value: undefined, settledAtMs };
}

async function changedAtMs(file: string): Promise<number> {
  try {
    return Math.floor((await lstat(file)).mtimeMs);
  } catch (error) {
    // Gone since it was listed; the folder it was in is newer now.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return 0;
    throw error;
  }
}

async function countCommits(ref: string, { rootDir, env, signal }: LookOptions): Promise<number> {
  try {
    const { stdout } = await run('git', ['rev-list', '--count', '--end-of-options', ref, '--'], {
      cwd: rootDir,
      signal,
      // A GIT_DIR left in the environment would answer for another repository.
      env: Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('GIT_'))),
    });
    return Number(stdout.trim());
  } catch (error) {
    const said = error instanceof Error ? error.message.trim().split('\n').at(-1) : String(error);
    throw new Error(`Cannot count commits of "${ref}": ${said ?? ''}`, { cause: error });
  }
}

async function askCommand(
  job: JobDefinition,
  command: string | readonly string[],
  { rootDir, env, clock, signal }: LookOptions,
): Promise<number> {
  const { failure, stdout } = await runProgram({
    command,
    cwd: rootDir,
    env: programEnvironment(job, env),
    timeoutMs: COMMAND_TIMEOUT_MS,
    signal,
    clock,
  });
  if (failure !== undefined)
    throw new Error(`Cannot ask the watch of job "${job.name}": its command ${failure}`);
  const said = stdout.trim();
  const value = Number(said);
  if (/^\d+$/.test(said) && Number.isSafeInteger(value)) return value;
  throw new Error(
    `Cannot use the watch of job "${job.name}": its command printed "${said.slice(0, 60)}", expected one whole number of at least 0`,
  );
}

/** How new the input was that the other job's last success covered; nothing before its first. */
async function lastSuccess(name: string, { store }: LookOptions): Promise<number | undefined> {
  const watermark = (await store.get(name, DEFAULT_KEY))?.lastSuccessWatermark ?? 0;
  return watermark === 0 ? undefined : watermark;
}

const run = promisify(execFile);
const COMMAND_TIMEOUT_MS = 30_000;
