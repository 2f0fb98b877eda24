/** Every ending there is a word for happens, and its envelope fits the published schema and is what the caller got. */
import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { adoptRun } from '../src/adopt-run.ts';
import {
  createFunctionExecutor,
  createHost,
  createPrepareOnlyExecutor,
  runStep,
  type EndReason,
  type Host,
  type RunStepOptions,
  type StepOutcome,
  type StepResult,
} from '../src/index.ts';
import { openNewStep, withDefaults } from '../src/open-step.ts';
import { checkRequest } from '../src/request-schema.ts';
import { readPidFile } from '../src/worker-process.ts';
import { expectEnvelope } from './fixtures/envelope.ts';
import { setupLease } from './fixtures/lease-setup.ts';
import { setup, type RequestChanges } from './fixtures/setup.ts';

type Word = EndReason | 'completed' | 'prepared';

/** How each is brought about. The type makes a new word without an ending an error. */
const ENDINGS: Readonly<Record<Word, readonly [StepOutcome, () => Promise<StepResult | undefined>]>> = {
  completed: ['completed', () => run('echo out')],
  prepared: ['prepared', () => run('true', {}, { executor: createPrepareOnlyExecutor() })],
  exit_code: ['failed', () => run('exit 3')],
  signal: ['failed', () => run('kill -SEGV $$')],
  blocked: ['blocked', () => run(`echo '{"kind":"blocked","body":{"reason":"no quota"}}' >&3`)],
  needs_human: ['blocked', () => run(`echo '{"kind":"needs_human","body":{"question":"Which?"}}' >&3`)],
  not_startable: ['failed', () => run('true', { runtime: { worktreePath: '/no/such/directory' } })],
  timeout: ['timed_out', () => run('sleep 300', { timeoutSec: 0.1 })],
  idle_timeout: ['timed_out', () => run('sleep 300', { limits: { idleTimeoutSec: 0.1 } })],
  start_timeout: ['timed_out', () => run('sleep 300', { limits: { startTimeoutSec: 0.1 } })],
  output_limit: ['failed', () => run('yes', { limits: { maxBytesPerStream: 100_000, onLimit: 'fail' } })],
  result_drain: [
    'completed',
    () => run(`echo '{"kind":"result","body":{}}' >&3; sleep 300`, { limits: { resultDrainSec: 0.05 } }),
  ],
  cancelled: ['cancelled', () => run('true', {}, { signal: AbortSignal.abort('never mind') })],
  function_failed: [
    'failed',
    () => run([], { workerKind: 'function' }, { executor: createFunctionExecutor(fail) }),
  ],
  runner_failed: ['failed', () => run('true', {}, { executor: { name: 'broken', execute: fail } })],
  lease_cancelled: ['cancelled', () => runWithLease('cancel-requested')],
  lease_lost: ['lost', () => runWithLease('lease-lost')],
  wrapper_lost: ['lost', () => runAndKill((wrapper) => wrapper)],
  killed_from_outside: ['lost', () => runAndKill((wrapper) => -wrapper)],
  never_started: ['lost', () => adoptOrphan({ startTime: 1 })],
  reboot: ['lost', () => adoptOrphan({ startTime: 1, bootId: 'another' })],
};

function fail(): Promise<never> {
  return Promise.reject(new Error('no luck'));
}

function run(
  command: string | readonly string[],
  changes: RequestChanges = {},
  options: RunStepOptions = {},
): Promise<StepResult> {
  return runStep(setup().requestOf(command, changes), options);
}

function runWithLease(answer: 'cancel-requested' | 'lease-lost'): Promise<StepResult> {
  const { requestOf, attached } = setupLease();
  const keeper = { renewMany: (): Promise<readonly [typeof answer]> => Promise.resolve([answer]) };
  return runStep(requestOf('sleep 300'), { lease: { ...attached, keeper } });
}

/** Kills what `target` makes of the wrapper's pid, once the step has begun. */
async function runAndKill(target: (wrapper: number) => number): Promise<StepResult> {
  const { requestOf, runsDir } = setup();
  const request = requestOf('sleep 300 & echo up; sleep 300');
  const runDir = join(runsDir, request.taskId, request.runId);
  return runStep(request, {
    onOutput: () => process.kill(target(readPidFile(runDir, undefined)?.pid ?? 0), 'SIGKILL'),
  });
}

/** A run whose first owner was a process that is gone, of this boot or of another. */
async function adoptOrphan(former: {
  readonly startTime: number;
  readonly bootId?: string;
}): Promise<StepResult | undefined> {
  const { requestOf, runsDir } = setup();
  const request = checkRequest(requestOf('sleep 300'));
  const session = await openNewStep(request, withDefaults({ host: hostOf(former) }));
  await session.stopWatching();
  await session.options.writer.close();
  const { taskId, runId } = request;
  const { result } = await adoptRun({ runsDir, taskId, runId }, withDefaults({}));
  return result;
}

function hostOf(former: { readonly startTime: number; readonly bootId?: string }): Host {
  const host = createHost();
  const { processes } = host;
  return {
    ...host,
    processes: {
      ...processes,
      bootId: () => former.bootId ?? processes.bootId(),
      read(pid) {
        const entry = processes.read(pid);
        return entry === undefined ? undefined : { ...entry, startTime: former.startTime };
      },
    },
  };
}

describe('the envelope', () => {
  test.for(Object.keys(ENDINGS) as Word[])(
    'given a step that ends by %s, it fits its schema',
    async (word) => {
      const [outcome, end] = ENDINGS[word];

      const result = await end();

      expectEnvelope(result);
      expect(result.outcome).toBe(outcome);
      expect(result.reason).toBe(word === 'completed' || word === 'prepared' ? undefined : word);
      expect(result.survivors).toEqual([]);
    },
  );

  test.for(Object.keys(ENDINGS) as Word[])(
    'given a step that ended by %s and an owner killed before the envelope was written, when the run is adopted, its envelope says the same',
    async (word) => {
      const first = await ENDINGS[word][1]();
      expectEnvelope(first);
      // The record was closed before: this is all that is missing.
      rmSync(first.paths.resultPath);

      const { taskId, runId } = first;
      const runsDir = dirname(dirname(first.paths.runDir));
      const adoption = await adoptRun({ runsDir, taskId, runId }, withDefaults({}));
      const second = await adoption.result;

      expectEnvelope(second);
      expect(verdictOf(second)).toEqual(verdictOf(first));
    },
  );
});

/** What must not depend on who wrote the envelope. */
function verdictOf(result: StepResult): Partial<StepResult> {
  const { ok, outcome, reason, reasonText, summary, needsHuman, blocked, exitCode, signal } = result;
  const { startedAt, finishedAt, metadata, usage, artifacts } = result;
  return {
    ok,
    outcome,
    needsHuman,
    blocked,
    summary,
    metadata,
    usage,
    ...(reason === undefined ? {} : { reason }),
    ...(reasonText === undefined ? {} : { reasonText }),
    ...(exitCode === undefined ? {} : { exitCode }),
    ...(signal === undefined ? {} : { signal }),
    ...(startedAt === undefined ? {} : { startedAt }),
    ...(outcome === 'prepared' ? {} : { finishedAt }),
    artifacts: artifacts.filter(({ kind }) => kind !== 'log'),
  };
}
