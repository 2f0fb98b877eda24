/**
 * Runs a step as a process tree of its own.
 * Invariant: `execute` returns only after a scan has proved that nobody of the tree is left (or names who could not be killed).
 */
import { closeSync, constants, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { resolveRunPaths } from '@conductor-run/logging';

import { resolveCommand } from './command.ts';
import type { EndRequest, StepContext, StepExit, WorkerExecutor } from './executor.ts';
import { writeFully } from './files.ts';
import { wasEndedByGuard } from './guard.ts';
import { endTree, type TreeEnd } from './kill-ladder.ts';
import { persist } from './persist.ts';
import type { ProcessEntry, ProcessIdentity, RunMark } from './process-table.ts';
import { createProcessTree, type ProcessTree } from './process-tree.ts';
import type { Straggler } from './result.ts';
import { buildStepEnv } from './step-env.ts';
import {
  attachWorker,
  readCpuMs,
  spawnWorker,
  type WorkerExit,
  type WorkerProcess,
} from './worker-process.ts';
import { runMarkOf, STDIN_FILE } from './wrapper.ts';

/** The executor that starts processes: the default. */
export function createProcessExecutor(): WorkerExecutor {
  return { name: 'process', execute: executeProcess };
}

/**
 * The executor that goes on with a process somebody else started.
 *
 * @param wrapper - the wrapper's identity; it may have ended meanwhile
 */
export function createAttachedExecutor(wrapper: ProcessIdentity): WorkerExecutor {
  return {
    name: 'process',
    async execute(context) {
      const watching = new AbortController();
      const { runDir } = context.writer.paths;
      for (const channel of ['stdout', 'stderr'] as const) context.writer.output(channel).followChild();
      const worker = attachWorker(runDir, wrapper, context, watching.signal);
      try {
        return await watchWorker(context, worker, false);
      } finally {
        watching.abort();
      }
    },
  };
}

/**
 * The executor for a step that has ended while nobody watched: ends whoever it left, and reports what is known.
 *
 * @param root - the wrapper as it identified itself; pid 0 when it never did
 * @param known - how the step ended
 */
export function createSweepingExecutor(root: ProcessIdentity, known: StepExit): WorkerExecutor {
  return {
    name: 'process',
    async execute(context) {
      const mark = markOf(context);
      const tree = createProcessTree({ root, mark, host: context.host, rootIsRecent: false });
      for (const channel of ['stdout', 'stderr'] as const) context.writer.output(channel).followChild();
      const swept = await persist(context, ENDING, () =>
        settleExit(context, { exitCode: known.exitCode }, tree),
      );
      if (known.how === 'exited') return swept;
      const reason = known.reason === 'killed_from_outside' ? swept.reason : known.reason;
      return { ...swept, how: known.how, reason };
    },
  };
}

async function executeProcess(context: StepContext): Promise<StepExit> {
  const { request, writer, host } = context;
  const { runDir, artifactsDir } = writer.paths;
  const run = {
    runDir,
    artifactsDir,
    taskId: request.taskId,
    runId: request.runId,
    attempt: request.attempt,
    stepName: request.stepName,
    job: request.job,
  };
  const { env: requestEnv, passEnv, worktreePath } = request.runtime;
  const env = buildStepEnv({ hostEnv: host.env, passEnv, env: requestEnv, run });
  const command = resolveCommand(request.command, worktreePath, env);
  if (command.failure !== undefined) return notStarted(command.failure.message);

  await context.checkpointAtStart();
  const refusal = whyNotToStart(context);
  if (refusal !== undefined) return refusal;
  const stdin = request.stdin === undefined ? undefined : openStdin(runDir, request.stdin);
  try {
    using stdout = writer.output('stdout').openForChild();
    using stderr = writer.output('stderr').openForChild();
    const { argv } = command;
    const stdio = [stdin ?? (request.inheritStdin ? OWN_STDIN : 'ignore'), stdout.fd, stderr.fd] as const;
    const spawned = await spawnWorker({ argv, cwd: worktreePath, env, runDir, stdio }, context);
    if (spawned.worker === undefined) return notStarted(spawned.message);
    context.started(spawned.worker.identity);
    return await watchWorker(context, spawned.worker, true);
  } finally {
    if (stdin !== undefined) closeSync(stdin);
  }
}

/** Stays open for as long as this process lives: the steps after this one read on from where it ended. */
const OWN_STDIN = 0;

/**
 * Asked right before anything is started: while the start was captured the step may have been called off, or, with us
 * standing still, given up by the guard, which does not look at it again.
 */
export function whyNotToStart(context: StepContext): StepExit | undefined {
  if (context.signal.aborted) return { how: 'not-started' };
  return wasEndedByGuard(context.writer.paths.runDir) ? { how: 'lost', reason: 'lease_lost' } : undefined;
}

function notStarted(text: string): StepExit {
  return { how: 'not-started', reason: 'not_startable', text };
}

/** A file that is gone from the directory as soon as it is open: a prompt leaves no copy behind. */
function openStdin(runDir: string, content: string): number {
  const path = join(runDir, STDIN_FILE);
  const writeFd = openSync(path, 'wx', FILE_MODE);
  try {
    writeFully(writeFd, content);
    return openSync(path, constants.O_RDONLY);
  } finally {
    closeSync(writeFd);
    rmSync(path, { force: true });
  }
}

async function watchWorker(
  context: StepContext,
  worker: WorkerProcess,
  isOurChild: boolean,
): Promise<StepExit> {
  const tree = createProcessTree({
    root: worker.identity,
    mark: markOf(context),
    host: context.host,
    rootIsRecent: isOurChild,
  });
  context.sampleWith(() => sampleTree(context, tree));
  pauseOnRequest(context, tree);

  const first = await Promise.race([worker.exited, whenAborted(context.signal)]);
  return persist(context, ENDING, () =>
    first === 'aborted' ? endOnRequest(context, worker, tree) : settleExit(context, first, tree),
  );
}

/** What the run's processes were started with: the directory as it was named then, whatever it is called now. */
function markOf({ request }: StepContext): RunMark {
  const { taskId, runId, runtime } = request;
  return runMarkOf(resolveRunPaths({ runsDir: runtime.runsRootDir, taskId, runId }).runDir);
}

/** A request that cannot be met at once is met later, unless the opposite was asked for meanwhile. */
function pauseOnRequest(context: StepContext, tree: ProcessTree): void {
  let wanted = false;
  context.pauseWith((isPaused) => {
    wanted = isPaused;
    void persist(context, isPaused ? 'pausing the step' : 'continuing the step', () => {
      if (wanted === isPaused) tree.signal(isPaused ? 'SIGSTOP' : 'SIGCONT', tree.scan().alive);
    });
  });
}

/** The step ended by itself: whoever it left behind goes too. */
async function settleExit(context: StepContext, exit: WorkerExit, tree: ProcessTree): Promise<StepExit> {
  const wasKilled = exit.exitCode === undefined;
  let left = tree.scanForSurvivors();
  if (wasKilled && left.length > 0) {
    // Killed together with the wrapper, a process may take a moment to be gone: it was not left behind.
    await context.clock.sleep(DYING_MS);
    left = tree.scanForSurvivors();
  }
  if (left.length > 0) {
    const names = left.map(toStraggler);
    context.warn('stragglers_ended', `${left.length} processes outlived the step and are ended`, { names });
    if (wasKilled) await context.checkpointBeforeKill();
  }
  const { stragglerGraceSec, killGraceSec } = context.request.limits;
  const graceSec = Math.min(stragglerGraceSec, killGraceSec);
  const { survivors } = left.length === 0 ? NOBODY_LEFT : await climb(context, tree, graceSec);
  const base = { stragglers: left.map(toStraggler), survivors: survivors.map(toStraggler) };
  if (!wasKilled) return { how: 'exited', exitCode: exit.exitCode, ...base, ...cpuOf(context) };
  // The guard was faster than our own clocks: we were stopped, or stuck.
  if (wasEndedByGuard(context.writer.paths.runDir)) return { how: 'lost', reason: 'lease_lost', ...base };
  return { how: 'lost', reason: left.length > 0 ? 'wrapper_lost' : 'killed_from_outside', ...base };
}

/** Something asked for the end: a last checkpoint, the ladder, and whatever exit code came out of it. */
async function endOnRequest(
  context: StepContext,
  worker: WorkerProcess,
  tree: ProcessTree,
): Promise<StepExit> {
  const { reason } = context.signal.reason as EndRequest;
  // A lease that runs out does not wait for a checkpoint.
  if (reason !== 'lease_lost') await context.checkpointBeforeKill();
  const { survivors, escalated } = await climb(context, tree, context.request.limits.killGraceSec);
  // With survivors the wrapper may be among them: then nobody waits for it.
  const { exitCode } = survivors.length > 0 ? { exitCode: undefined } : await worker.exited;
  // Our SIGKILL took the wrapper too, which then wrote no exit status: the journaled intent stands in for it.
  const signal = exitCode === undefined && escalated ? 'SIGKILL' : undefined;
  return { how: 'exited', exitCode, signal, survivors: survivors.map(toStraggler), ...cpuOf(context) };
}

function climb(context: StepContext, tree: ProcessTree, graceSec: number): Promise<TreeEnd> {
  return endTree(tree, {
    graceMs: graceSec * 1000,
    killMs: KILL_MS,
    clock: context.clock,
    hurry: context.hurry,
    onEscalate: (members) =>
      context.warn('kill_escalated', `${members.length} processes ignored SIGTERM and are killed`, {
        names: members.map(toStraggler),
      }),
  });
}

function cpuOf(context: StepContext): { cpuMs?: number } {
  const cpuMs = readCpuMs(context.writer.paths.runDir);
  return cpuMs === undefined ? {} : { cpuMs };
}

function sampleTree(context: StepContext, tree: ProcessTree): { cpuMs: number; rssBytes: number } {
  const alive = tree.peek(context.host.recentListing(context.clock.monotonicMs()));
  return {
    cpuMs: alive.reduce((sum, entry) => sum + entry.cpuMs, 0),
    rssBytes: alive.reduce((sum, entry) => sum + entry.rssBytes, 0),
  };
}

function toStraggler(entry: ProcessEntry): Straggler {
  return { pid: entry.pid, groupId: entry.groupId };
}

function whenAborted(signal: AbortSignal): Promise<'aborted'> {
  if (signal.aborted) return Promise.resolve('aborted');
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve('aborted'), { once: true });
  });
}

const ENDING = 'ending what is left of the step';
const NOBODY_LEFT: TreeEnd = { escalated: false, survivors: [] };
const FILE_MODE = 0o600;
const DYING_MS = 50;
/** What a process may need to die after SIGKILL; one that waits for a dead disk takes longer, and is reported. */
const KILL_MS = 5000;
