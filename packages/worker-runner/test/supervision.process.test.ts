/** Supervised steps outlive whoever started them, and whoever looked after them. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

import { resolveRunPaths } from '@conductor-run/logging';
import { describe, expect, inject, onTestFinished, test } from 'vitest';

import {
  adoptRuns,
  cancelRun,
  checkpointNow,
  createHost,
  parseStepResult,
  runStatus,
  startSupervised,
  type StepResult,
} from '../src/index.ts';
import { readOwner } from '../src/run-record.ts';
import { supervisorDirOf } from '../src/supervisor.ts';
import { runMarkOf } from '../src/wrapper.ts';
import { countingStep, expectedSha256 } from './fixtures/counting-step.ts';
import { isAlive, setup, until } from './fixtures/setup.ts';

const soak = inject('soak');
const quick = { idleExitMs: 300 };
/** In the shell: until the test says so. */
const WAIT_FOR_GO = 'while [ ! -e go ]; do sleep 0.02; done';

/** A fresh bundle whose supervisor is gone after the test. */
function setupSupervised(): ReturnType<typeof setup> & { readonly supervisorPid: () => number } {
  const bundle = setup();
  const supervisorPid = (): number => readOwner(supervisorDirOf(bundle.runsDir))?.pid ?? 0;
  onTestFinished(async () => {
    if (!existsSync(supervisorDirOf(bundle.runsDir))) return;
    await until('the supervisor to end', () => !isAlive(supervisorPid()));
  });
  return { ...bundle, supervisorPid };
}

function startStarter(
  bundle: ReturnType<typeof setup>,
  count: number,
): { child: ChildProcess; lines: string[] } {
  const script = join(import.meta.dirname, 'fixtures/starter.ts');
  const args = [script, bundle.runsDir, bundle.worktree, String(count), JSON.stringify(quick)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines: string[] = [];
  child.stdout?.setEncoding('utf8').on('data', (text: string) => lines.push(...text.trim().split('\n')));
  onTestFinished(() => void child.kill('SIGKILL'));
  return { child, lines };
}

async function killAndWait(pid: number): Promise<void> {
  process.kill(pid, 'SIGKILL');
  await until('its end', () => !isAlive(pid));
}

/** A start that was under way when its caller died may make its run after our first look. */
async function adoptUntilNoneIsLeft(runsDir: string): Promise<readonly StepResult[]> {
  const results: StepResult[] = [];
  for (;;) {
    const adopted = await adoptRuns(runsDir, quick);
    if (adopted.length === 0) return results;
    for (const run of adopted) {
      const result = await run.result;
      if (result !== undefined) results.push(result);
    }
  }
}

function expectWholeOutput(result: StepResult): void {
  const sha256 = createHash('sha256').update(readFileSync(result.paths.stdoutPath)).digest('hex');
  expect({ runId: result.runId, sha256 }).toEqual({
    runId: result.runId,
    sha256: expectedSha256(result.runId),
  });
}

function markedProcesses(runDir: string): readonly number[] {
  const { processes } = createHost();
  return processes
    .list()
    .entries.filter((entry) => entry.state !== 'zombie' && processes.carries(entry.pid, runMarkOf(runDir)))
    .map((entry) => entry.pid);
}

describe('startSupervised', () => {
  test('given a step, when it ends, the caller gets what is in result.json', async () => {
    const { requestOf } = setupSupervised();

    const step = await startSupervised(requestOf('echo out; exit 3'), quick);
    const result = await step.result;

    expect(result).toMatchObject({ outcome: 'failed', exitCode: 3, adopted: false });
    expect(parseStepResult(JSON.parse(readFileSync(result.paths.resultPath, 'utf8')))).toEqual(result);
  });

  test('given the starting process is killed at a random moment, when the next one adopts, every step ends as if nothing had happened', async () => {
    for (let round = 0; round < (soak ? 20 : 2); round += 1) {
      const bundle = setupSupervised();
      const { child, lines } = startStarter(bundle, 20);
      // A random moment, but one at which there is something to adopt.
      const wanted = 1 + ((round * 7) % 20);
      await until('some started steps', () => lines.length >= wanted);
      child.kill('SIGKILL');
      const startedIds = lines.filter((line) => line !== 'all');

      const results = await adoptUntilNoneIsLeft(bundle.runsDir);

      const ids = results.map((result) => result.runId);
      expect(new Set(ids).size).toBe(ids.length);
      for (const result of results) {
        expect(result).toMatchObject({ outcome: 'failed', exitCode: 7, adopted: false });
        expectWholeOutput(result);
      }
      const ended = readdirSync(join(bundle.runsDir, 'task'));
      expect(ended).toEqual(expect.arrayContaining(startedIds));
      for (const runId of ended) expect(runStatus(pathsOf(bundle.runsDir, runId)).result?.exitCode).toBe(7);
    }
  });

  test('given the supervisor is killed, when its client goes on waiting, the step is adopted and ends as if nothing had happened', async () => {
    for (let round = 0; round < (soak ? 20 : 1); round += 1) {
      const { runsDir, worktree, supervisorPid } = setupSupervised();
      const steps = await Promise.all(
        ['a', 'b', 'c'].map((runId) => startSupervised(countingStep({ runsDir, worktree, runId }), quick)),
      );
      const first = supervisorPid();
      process.kill(first, 'SIGKILL');

      const results = await Promise.all(steps.map((step) => step.result));

      for (const result of results) {
        expect(result).toMatchObject({ outcome: 'failed', exitCode: 7, adopted: true });
        expectWholeOutput(result);
      }
      expect(supervisorPid()).not.toBe(first);
    }
  });

  test('given everybody else is killed at once, when the next process adopts, the run is lost and nobody of it is left', async () => {
    for (let round = 0; round < (soak ? 20 : 1); round += 1) {
      const { requestOf, runsDir, supervisorPid } = setupSupervised();
      const step = await startSupervised(
        requestOf('sleep 300 & setsid sleep 300 & echo up; sleep 300'),
        quick,
      );
      step.detach();
      const wrapper = await until(
        'the wrapper',
        () => runStatus(pathsOf(runsDir, step.runId)).state.process?.pid,
      );
      await until('output', () => readFileSync(pathsOf(runsDir, step.runId).stdoutPath, 'utf8') !== '');
      await killAndWait(supervisorPid());
      process.kill(wrapper, 'SIGKILL');

      const [adopted] = await adoptRuns(runsDir, quick);
      const result = await adopted?.result;

      expect(adopted?.kind).toBe('nobody-alive');
      expect(result).toMatchObject({ outcome: 'lost', reason: 'wrapper_lost', survivors: [], adopted: true });
      expect(markedProcesses(step.runDir)).toEqual([]);
    }
  });

  test('given only the wrapper is killed, when the supervisor notices, the tree is ended and the run is lost', async () => {
    const { requestOf, runsDir } = setupSupervised();
    const step = await startSupervised(requestOf('echo up; sleep 300'), quick);
    const paths = pathsOf(runsDir, step.runId);
    const wrapper = await until('the wrapper', () => runStatus(paths).state.process?.pid);
    await until('output', () => readFileSync(paths.stdoutPath, 'utf8') !== '');

    process.kill(wrapper, 'SIGKILL');
    const result = await step.result;

    expect(result).toMatchObject({ outcome: 'lost', reason: 'wrapper_lost' });
    expect(markedProcesses(step.runDir)).toEqual([]);
  });

  test('given a step that ended while nobody looked after it, when adopted, its exit code is known', async () => {
    const { requestOf, runsDir, worktree, supervisorPid } = setupSupervised();
    const step = await startSupervised(
      requestOf(`echo out; ${WAIT_FOR_GO}; exit 9`, { checkpoint: {} }),
      quick,
    );
    step.detach();
    const index = join(step.runDir, 'checkpoints/index.ndjson');
    // Written, not merely begun.
    await until('the summary', () => existsSync(index) && readFileSync(index, 'utf8').endsWith('\n'));
    await killAndWait(supervisorPid());
    writeFileSync(join(worktree, 'go'), '');
    await until('the exit file', () => existsSync(join(step.runDir, 'exit')));

    const [adopted] = await adoptRuns(runsDir, quick);

    expect(adopted?.kind).toBe('exited');
    const result = await adopted?.result;
    expect(result).toMatchObject({ outcome: 'failed', exitCode: 9, adopted: true });
    // The summary of the first owner, and the tail of the second.
    expect(result).toMatchObject({ metrics: { checkpointCount: 2 }, checkpoint: { lastSeq: 2 } });
  });

  test('given a step that ended before its start was recorded, when adopted, it is settled all the same', async () => {
    const { requestOf, runsDir, worktree, supervisorPid } = setupSupervised();
    const step = await startSupervised(requestOf(WAIT_FOR_GO), quick);
    step.detach();
    await startedWrapper(step.runDir);
    await killAndWait(supervisorPid());
    const statePath = join(step.runDir, 'state.json');
    writeFileSync(statePath, readFileSync(statePath, 'utf8').replace('"running"', '"prepared"'));
    writeFileSync(join(worktree, 'go'), '');
    await until('the exit file', () => existsSync(join(step.runDir, 'exit')));

    const [adopted] = await adoptRuns(runsDir, quick);

    expect(await adopted?.result).toMatchObject({ outcome: 'completed', state: { status: 'completed' } });
  });

  test('given many adopters at once, when a run is orphaned, one of them takes it and all get the one result', async () => {
    const { runsDir, worktree, supervisorPid } = setupSupervised();
    const step = await startSupervised(countingStep({ runsDir, worktree, runId: 'run' }), quick);
    step.detach();
    await killAndWait(supervisorPid());

    const adoptions = await Promise.all(Array.from({ length: 5 }, () => adoptRuns(runsDir, quick)));
    const results = await Promise.all(adoptions.flat().map(async (run) => run.result));

    expect(results).toHaveLength(5);
    for (const result of results) expect(result).toEqual(results[0]);
    expect(readdirSync(step.runDir).filter((name) => name.startsWith('owner.'))).toHaveLength(2);
  });

  test('given a pid that was used again, when adopted, the stranger is left alone', async () => {
    const { requestOf, runsDir, supervisorPid } = setupSupervised();
    const step = await startSupervised(requestOf('sleep 300'), quick);
    step.detach();
    const wrapper = await startedWrapper(step.runDir);
    await killAndWait(supervisorPid());
    process.kill(-wrapper, 'SIGKILL');
    const stranger = spawn('sleep', ['300'], { detached: true, stdio: 'ignore' });
    onTestFinished(() => void stranger.kill('SIGKILL'));
    // What the file would say had the system given the wrapper's number away: same pid, another start time.
    const pidFile = join(step.runDir, 'pid');
    const recorded = readFileSync(pidFile, 'utf8');
    writeFileSync(pidFile, recorded.replace(/^\d+ /u, `${stranger.pid} `));

    const [adopted] = await adoptRuns(runsDir, quick);

    expect(await adopted?.result).toMatchObject({ outcome: 'lost', reason: 'killed_from_outside' });
    expect(isAlive(stranger.pid ?? 0)).toBe(true);
  });

  test('given a run of another boot, when adopted, it is lost by reboot', async () => {
    const { requestOf, runsDir, supervisorPid } = setupSupervised();
    const step = await startSupervised(requestOf('sleep 300', { timeoutSec: 60 }), quick);
    step.detach();
    const wrapper = await startedWrapper(step.runDir);
    await killAndWait(supervisorPid());
    process.kill(-wrapper, 'SIGKILL');
    rewriteBoot(step.runDir);

    const [adopted] = await adoptRuns(runsDir, quick);

    expect(adopted?.kind).toBe('rebooted');
    expect(await adopted?.result).toMatchObject({ outcome: 'lost', reason: 'reboot' });
  });

  test('given a record without a process, when adopted, it is closed as never started', async () => {
    const { requestOf, runsDir, supervisorPid } = setupSupervised();
    const step = await startSupervised(requestOf('sleep 300'), quick);
    step.detach();
    const wrapper = await startedWrapper(step.runDir);
    await killAndWait(supervisorPid());
    process.kill(-wrapper, 'SIGKILL');
    // As a crash before the spawn leaves it.
    rmSync(join(step.runDir, 'pid'));
    const statePath = join(step.runDir, 'state.json');
    writeFileSync(statePath, readFileSync(statePath, 'utf8').replace('"running"', '"prepared"'));

    const [adopted] = await adoptRuns(runsDir, quick);

    expect(adopted?.kind).toBe('never-started');
    expect(await adopted?.result).toMatchObject({ outcome: 'lost', reason: 'never_started' });
  });

  test('given another process of the user, when it cancels, asks and takes a checkpoint, the supervisor answers', async () => {
    const { requestOf, runsDir } = setupSupervised();
    const step = await startSupervised(requestOf('echo out; sleep 300', { checkpoint: {} }), quick);
    const paths = pathsOf(runsDir, step.runId);

    expect(runStatus(paths)).toMatchObject({ isOwned: true });
    await until('output', () => readFileSync(paths.stdoutPath, 'utf8') !== '');
    await checkpointNow(paths);
    await cancelRun(paths, 'enough');

    expect(await step.result).toMatchObject({
      outcome: 'cancelled',
      reasonText: 'enough',
      signal: 'SIGTERM',
    });
    expect(readdirSync(paths.checkpointsDir).length).toBeGreaterThan(0);
    await expect(cancelRun(paths)).rejects.toMatchObject({ code: 'run-not-live' });
  });

  test('given a step that asks, when its one who decides is gone and a new one adopts, the new one is asked', async () => {
    const { requestOf, runsDir } = setupSupervised();
    const ask = `echo '{"kind":"authorize","id":"c1","body":{"capability":"tool.call","target":"x"}}' >&3; read -r reply <&4; echo "$reply"`;
    const step = await startSupervised(requestOf(`sleep 0.3; ${ask}`), {
      ...quick,
      authorize: () => new Promise(() => undefined),
    });
    step.detach();

    const [adopted] = await adoptRuns(runsDir, {
      ...quick,
      authorize: ({ target }) => ({
        ok: false,
        error: { code: 'PERMISSION_DENIED', message: `not ${target}` },
      }),
    });
    const result = await adopted?.result;

    expect(result?.logSummary.tail).toEqual([
      '{"id":"c1","ok":false,"error":{"code":"PERMISSION_DENIED","message":"not x"}}',
    ]);
  });
});

function pathsOf(runsDir: string, runId: string): ReturnType<typeof resolveRunPaths> {
  return resolveRunPaths({ runsDir, taskId: 'task', runId });
}

/** The wrapper's pid, once the record and its own file name it: killed any earlier it leaves no file. */
async function startedWrapper(runDir: string): Promise<number> {
  const paths = pathsOf(dirname(dirname(runDir)), basename(runDir));
  const pid = await until('the wrapper', () => runStatus(paths).state.process?.pid);
  const pidFile = join(runDir, 'pid');
  await until('its pid file', () => existsSync(pidFile) && readFileSync(pidFile, 'utf8').endsWith('\n'));
  return pid;
}

/** Makes the plan and the owner those of an earlier boot. */
function rewriteBoot(runDir: string): void {
  for (const name of ['.step.json', 'owner.1.json']) {
    const path = join(runDir, name);
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.replace(/"bootId":"[^"]+"/u, '"bootId":"another"'));
  }
}
