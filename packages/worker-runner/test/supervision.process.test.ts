/** Supervised steps outlive whoever started them, and are reached from any process. */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import {
  adoptRuns,
  cancelRun,
  checkpointNow,
  parseStepResult,
  runStatus,
  startSupervised,
} from '../src/index.ts';
import { countingStep } from './fixtures/counting-step.ts';
import { expectEnvelope } from './fixtures/envelope.ts';
import { isAlive, until } from './fixtures/setup.ts';
import { quick, setupSupervised } from './fixtures/supervised.ts';

/** In the shell: until the test says so. */
const WAIT_FOR_GO = 'while [ ! -e go ]; do sleep 0.02; done';

describe('startSupervised', () => {
  test('given a step, when it ends, the caller gets what is in result.json', async () => {
    const { requestOf } = setupSupervised();

    const step = await startSupervised(requestOf('echo out; exit 3'), quick);
    const result = await step.result;

    expect(result).toMatchObject({ outcome: 'failed', exitCode: 3, adopted: false });
    expect(parseStepResult(JSON.parse(readFileSync(result.paths.resultPath, 'utf8')))).toEqual(result);
  });

  test('given a step that ended while nobody looked after it, when adopted, its exit code is known', async () => {
    const { requestOf, runsDir, worktree, killSupervisor } = setupSupervised();
    const step = await startSupervised(
      requestOf(`echo out; ${WAIT_FOR_GO}; exit 9`, { checkpoint: {} }),
      quick,
    );
    step.detach();
    const index = join(step.runDir, 'checkpoints/index.ndjson');
    await until('the summary', () => existsSync(index) && readFileSync(index, 'utf8').endsWith('\n'));
    await killSupervisor();
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
    const { requestOf, runsDir, worktree, killSupervisor, wrapperOf } = setupSupervised();
    const step = await startSupervised(requestOf(WAIT_FOR_GO), quick);
    step.detach();
    await wrapperOf(step.runId);
    await killSupervisor();
    const statePath = join(step.runDir, 'state.json');
    writeFileSync(statePath, readFileSync(statePath, 'utf8').replace('"running"', '"prepared"'));
    writeFileSync(join(worktree, 'go'), '');
    await until('the exit file', () => existsSync(join(step.runDir, 'exit')));

    const [adopted] = await adoptRuns(runsDir, quick);

    expect(await adopted?.result).toMatchObject({ outcome: 'completed', state: { status: 'completed' } });
  });

  test('given many adopters at once, when a run is orphaned, one of them takes it and all get the one result', async () => {
    const { runsDir, worktree, killSupervisor } = setupSupervised();
    const step = await startSupervised(countingStep({ runsDir, worktree, runId: 'run' }), quick);
    step.detach();
    await killSupervisor();

    const adoptions = await Promise.all(Array.from({ length: 5 }, () => adoptRuns(runsDir, quick)));
    const results = await Promise.all(adoptions.flat().map(async (run) => run.result));

    expect(results).toHaveLength(5);
    for (const result of results) expect(result).toEqual(results[0]);
    expect(readdirSync(step.runDir).filter((name) => name.startsWith('owner.'))).toHaveLength(2);
  });

  test('given a record without a process, when adopted, it is closed as never started', async () => {
    const { requestOf, runsDir, killSupervisor, wrapperOf } = setupSupervised();
    const step = await startSupervised(requestOf('sleep 300'), quick);
    step.detach();
    const wrapper = await wrapperOf(step.runId);
    await killSupervisor();
    process.kill(-wrapper, 'SIGKILL');
    // As a crash before the spawn leaves it.
    rmSync(join(step.runDir, 'pid'));
    const statePath = join(step.runDir, 'state.json');
    writeFileSync(statePath, readFileSync(statePath, 'utf8').replace('"running"', '"prepared"'));

    const [adopted] = await adoptRuns(runsDir, quick);

    expect(adopted?.kind).toBe('never-started');
    expect(await adopted?.result).toMatchObject({ outcome: 'lost', reason: 'never_started' });
  });

  test('given a run whose record is damaged, when runs are adopted, it is named and the others are not held up', async () => {
    const { requestOf, runsDir, killSupervisor, wrapperOf } = setupSupervised();
    const damaged = await startSupervised(requestOf('sleep 300'), quick);
    const whole = await startSupervised(requestOf('sleep 300'), quick);
    const wrapper = await wrapperOf(damaged.runId);
    for (const step of [damaged, whole]) step.detach();
    await killSupervisor();
    process.kill(-wrapper, 'SIGKILL');
    const metaPath = join(damaged.runDir, 'meta.json');
    const meta = readFileSync(metaPath, 'utf8');
    writeFileSync(metaPath, meta.slice(0, 20));

    const adopted = await adoptRuns(runsDir, quick);

    const byId = new Map(adopted.map((run) => [run.paths.runId, run]));
    expect(byId.get(damaged.runId)).toMatchObject({
      kind: 'unreadable',
      error: { code: 'record-unreadable' },
    });
    expect(byId.get(damaged.runId)?.result).toBeUndefined();
    await byId.get(whole.runId)?.cancel?.();
    expectEnvelope(await byId.get(whole.runId)?.result);
    writeFileSync(metaPath, meta);
    const [repaired] = await adoptRuns(runsDir, quick);
    expect(await repaired?.result).toMatchObject({ outcome: 'lost', reason: 'killed_from_outside' });
  });

  test('given a result that is damaged, when adopted, it is written anew from the state', async () => {
    const { requestOf, runsDir, supervisorPid } = setupSupervised();
    const step = await startSupervised(requestOf('exit 3'), quick);
    const { paths } = await step.result;
    await until('the supervisor to end', () => !isAlive(supervisorPid()));
    writeFileSync(paths.resultPath, readFileSync(paths.resultPath, 'utf8').slice(0, 100));
    // As long as nobody has acknowledged it, a result is looked at.
    writeFileSync(join(paths.runDir, 'unacknowledged'), '');

    const [adopted] = await adoptRuns(runsDir, quick);

    const result = await adopted?.result;
    expectEnvelope(result);
    expect(result).toMatchObject({ outcome: 'failed', exitCode: 3, adopted: true });
  });

  test('given another process of the user, when it cancels, asks and takes a checkpoint, the supervisor answers', async () => {
    const { requestOf, pathsOf } = setupSupervised();
    const step = await startSupervised(requestOf('echo out; sleep 300', { checkpoint: {} }), quick);
    const paths = pathsOf(step.runId);

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
