/**
 * The supervisor: one small process per runs directory that outlives whoever asked it to run steps.
 * Invariant: it never ends while it looks after a run or holds a lease for one.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';

import type { Timer } from '@conductor-run/clock';

import { isOwnRun } from './adopt-run.ts';
import { messageOf, WorkerRunnerError } from './errors.ts';
import { canonicalDirectory } from './files.ts';
import { decisionsOf } from './decisions.ts';
import type { LeaseKeeper, ModuleSpec } from './lease.ts';
import { createLeaseWatch, type LeaseWatch } from './lease-watch.ts';
import { listenLines, type LineSocket } from './line-socket.ts';
import { identifySelf, type StepDeps } from './open-step.ts';
import { isProcessAlive } from './process-table.ts';
import { parseCall, type SupervisorCall } from './protocol.ts';
import { claimRun, readOwner, readOwners, removeOwner } from './run-record.ts';
import { createSupervisedRuns, toSpec, type SupervisedRuns } from './supervised-runs.ts';

/** What a supervisor needs. */
export interface SupervisorOptions {
  readonly runsDir: string;
  readonly deps: StepDeps;
  /** How long it waits for work before it ends, in ms. */
  readonly idleExitMs: number;
}

/** Where the supervisor of a runs directory keeps its files. */
export function supervisorDirOf(runsDir: string): string {
  return join(runsDir, '.supervisor');
}

/** The socket of a runs directory's supervisor. */
export function supervisorSocketOf(runsDir: string): string {
  return join(supervisorDirOf(runsDir), 'socket');
}

/**
 * Supervises until there has been nothing to do for a while.
 *
 * @param options - directory, ports and patience
 * @returns at once when another supervisor of this directory is alive
 */
export async function supervise(options: SupervisorOptions): Promise<void> {
  const runsDir = canonicalDirectory(options.runsDir);
  const directory = supervisorDirOf(runsDir);
  const socketPath = supervisorSocketOf(runsDir);
  if (!becomeSupervisor(directory, socketPath, options.deps)) return;
  const deps = { ...options.deps, socketPath };
  const watches = createWatches(deps, directory);
  const connections = new Set<LineSocket>();
  let idle: Timer | undefined;
  let finish: () => void = () => undefined;
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const isIdle = (): boolean => runs.size() === 0 && connections.size === 0;
  const considerEnding = (): void => {
    idle?.cancel();
    if (!isIdle()) return;
    idle = deps.clock.setTimer(options.idleExitMs, () => {
      if (isIdle()) finish();
    });
  };
  const runs: SupervisedRuns = createSupervisedRuns({
    runsDir,
    deps,
    watchOf: (keeper) => watches.of(keeper),
    onChange: considerEnding,
  });
  const server = await listenLines(
    socketPath,
    (value, socket) => void answer(value, socket, runs, deps),
    (socket) => {
      connections.add(socket);
      // Moved while nothing ran: whoever found us by its new name needs a supervisor that knows it.
      if (runs.size() === 0 && !isOwnRun(directory, deps.host)) finish();
      idle?.cancel();
      socket.closed.addEventListener('abort', () => {
        connections.delete(socket);
        considerEnding();
      });
    },
  );
  considerEnding();
  await finished;
  // In a directory that was moved, or is another's by now, nothing is ours to remove.
  if (isOwnRun(directory, deps.host)) rmSync(socketPath, { force: true });
  server.close();
  await watches.stop();
}

/**
 * Owners of the directory are numbered like owners of a run: only a dead one is followed. The two highest numbers are
 * never cleared away, so whoever is held up before its claim, and gets a number that was, finds a higher one.
 */
function becomeSupervisor(directory: string, socketPath: string, { host }: StepDeps): boolean {
  const former = readOwner(directory);
  if (former !== undefined && isProcessAlive(host.processes, former)) return false;
  if (!claimRun(directory, identifySelf(host), former, socketPath)) return false;
  const formerEpoch = former?.epoch ?? 0;
  const others = readOwners(directory).filter(({ epoch }) => epoch !== formerEpoch + 1);
  if (others.some((other) => other.epoch > formerEpoch || isProcessAlive(host.processes, other)))
    return false;
  for (const { epoch } of others) if (epoch < formerEpoch) removeOwner(directory, epoch);
  return true;
}

interface Watches {
  of(keeper: ModuleSpec): Promise<LeaseWatch>;
  stop(): Promise<void>;
}

/** Keepers are made once each, however many runs name them. */
function createWatches(deps: StepDeps, directory: string): Watches {
  const byKeeper = new Map<string, Promise<{ watch: LeaseWatch; keeper: LeaseKeeper }>>();
  const create = async (
    spec: ModuleSpec,
    index: number,
  ): Promise<{ watch: LeaseWatch; keeper: LeaseKeeper }> => {
    const keeper = await loadKeeper(spec);
    const { clock, logger, host } = deps;
    const guardDir = join(directory, `guard-${host.pid}-${index}`);
    const searchPath = host.env['PATH'];
    return {
      keeper,
      watch: createLeaseWatch({ keeper, clock, logger, pid: host.pid, searchPath, guardDir }),
    };
  };
  return {
    async of(spec) {
      const key = JSON.stringify(spec);
      const known = byKeeper.get(key) ?? create(spec, byKeeper.size);
      byKeeper.set(key, known);
      try {
        return (await known).watch;
      } catch (error) {
        byKeeper.delete(key);
        throw error;
      }
    },
    async stop() {
      for (const entry of byKeeper.values()) {
        const { watch, keeper } = await entry;
        watch.stop();
        await closeInTime(keeper, deps);
      }
    },
  };
}

/** Until we have ended nobody else can look after the directory. */
async function closeInTime(keeper: LeaseKeeper, { clock, logger }: StepDeps): Promise<void> {
  const patience = new AbortController();
  const giveUp = clock.sleep(CLOSE_PATIENCE_MS, { signal: patience.signal }).then(
    () => logger.warn({ patienceMs: CLOSE_PATIENCE_MS }, 'lease-keeper.close-too-slow'),
    () => undefined,
  );
  try {
    await Promise.race([keeper.close?.(), giveUp]);
  } catch (error) {
    logger.warn({ err: error }, 'lease-keeper.close-failed');
  } finally {
    patience.abort();
  }
}

async function loadKeeper(spec: ModuleSpec): Promise<LeaseKeeper> {
  try {
    const module = (await import(spec.module)) as Readonly<Record<string, unknown>>;
    const create = module[spec.export];
    if (typeof create !== 'function') throw new TypeError(`"${spec.export}" is no function`);
    // A port across processes: what the module makes is trusted to be what it says.
    return (await (create as (options: unknown) => unknown)(spec.options)) as LeaseKeeper;
  } catch (error) {
    throw new WorkerRunnerError(
      'lease-keeper-unusable',
      `Cannot use lease keeper "${spec.module}#${spec.export}": ${messageOf(error)}, expected a function that makes one`,
      { cause: error },
    );
  }
}

async function answer(
  value: unknown,
  socket: LineSocket,
  runs: SupervisedRuns,
  deps: StepDeps,
): Promise<void> {
  const call = parseCall(value);
  if (call === undefined) {
    const id = typeof value === 'object' && value !== null && 'id' in value ? value.id : 0;
    socket.send({
      id,
      ok: false,
      code: 'supervisor-refused',
      message: 'Cannot serve call: it is not understood',
    });
    return;
  }
  try {
    if (call.op === 'decided') decisionsOf(socket).take(call.id, call.answer);
    else socket.send({ id: call.id, ok: true, value: await perform(call, socket, runs, deps) });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'supervisor-refused';
    socket.send({ id: call.id, ok: false, code, message: messageOf(error) });
  }
}

async function perform(
  call: Exclude<SupervisorCall, { op: 'decided' }>,
  socket: LineSocket,
  runs: SupervisedRuns,
  deps: StepDeps,
): Promise<unknown> {
  if (call.op === 'info') return { pid: deps.host.pid, runs: runs.size() };
  if (call.op === 'start') {
    const { session } = await runs.start(
      call,
      call.decides === true ? decisionsOf(socket).decide : undefined,
    );
    return { runDir: session.options.writer.paths.runDir };
  }
  if (call.op === 'adopt') {
    const keeper = call.keeper === undefined ? undefined : toSpec(call.keeper);
    return runs.adopt(call, keeper, call.decides ? decisionsOf(socket).decide : undefined);
  }
  if (call.op === 'acknowledge') {
    runs.acknowledge(call);
    return true;
  }
  return performOnRun(call, socket, runs);
}

async function performOnRun(
  call: Exclude<SupervisorCall, { op: 'decided' | 'info' | 'start' | 'adopt' }>,
  socket: LineSocket,
  runs: SupervisedRuns,
): Promise<unknown> {
  const run = runs.find(call);
  if (run === undefined) {
    throw new WorkerRunnerError(
      'run-not-live',
      `Cannot ${call.op} run "${call.runId}" of task "${call.taskId}": it is not running here, expected a live one`,
    );
  }
  const { session } = run;
  if (call.op === 'wait') await run.result;
  if (call.op === 'decide') runs.decide(call, decisionsOf(socket).decide);
  if (call.op === 'cancel') session.requestEnd({ reason: 'cancelled', text: call.text });
  if (call.op === 'checkpoint') await session.checkpoints.capture('requested');
  return { state: session.options.writer.state(), end: session.endRequest() };
}

const CLOSE_PATIENCE_MS = 2000;
