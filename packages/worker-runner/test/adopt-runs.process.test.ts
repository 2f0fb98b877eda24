/** Which runs are adopted, and how they are let go of. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { createRealClock, type Clock } from '@conductor-run/clock';
import { createRun, resolveRunPaths } from '@conductor-run/logging';
import { describe, expect, test } from 'vitest';

import { adoptRuns, createHost, identifyProcess, runStep, startSupervised } from '../src/index.ts';
import { setupLease } from './fixtures/lease-setup.ts';
import { membersOf, until } from './fixtures/setup.ts';
import { quick, setupSupervised } from './fixtures/supervised.ts';

describe('adoptRuns', () => {
  test('given a task that is not wanted, its runs are asked for once and left alone', async () => {
    const { requestOf, runsDir } = setupSupervised();
    const steps = await Promise.all([
      startSupervised(requestOf('sleep 300'), quick),
      startSupervised(requestOf('sleep 300'), quick),
    ]);
    const asked: string[] = [];

    const adopted = await adoptRuns(runsDir, {
      ...quick,
      isWanted: (taskId) => {
        asked.push(taskId);
        return false;
      },
    });

    expect(adopted).toEqual([]);
    expect(asked).toEqual(['task']);
    for (const step of steps) await step.cancel();
    await Promise.all(steps.map((step) => step.result));
  });

  test('given a run that is over by the time its task is wanted, it is not adopted any more', async () => {
    const bundle = setupLease();
    const lease = { ...bundle.supervised, holdAfterEndMs: 1 };
    const step = await startSupervised(bundle.requestOf('true'), { ...quick, lease });
    await step.result;

    const adopted = await adoptRuns(bundle.runsDir, {
      ...quick,
      isWanted: () => {
        rmSync(join(step.runDir, 'unacknowledged'));
        return true;
      },
    });

    expect(adopted).toEqual([]);
  });

  test('given a run of a process that has no socket, letting go of it ends the looking for its result', async () => {
    const { requestOf, runsDir, worktree } = setupSupervised();
    const ending = new AbortController();
    const running = runStep(requestOf('echo > began; sleep 300'), { signal: ending.signal });
    await until('the step runs', () => readdirSync(worktree).includes('began'));
    const signals: (AbortSignal | undefined)[] = [];
    const real = createRealClock();
    const clock: Clock = {
      ...real,
      sleep(delayMs, options) {
        if (options?.keepAlive === false) signals.push(options.signal);
        return real.sleep(delayMs, options);
      },
    };

    const [adopted] = await adoptRuns(runsDir, { ...quick, clock });
    await until('it looks for the result', () => signals.length > 1);
    adopted?.detach?.();

    expect(adopted?.kind).toBe('owned');
    expect(signals.at(-1)?.aborted).toBe(true);
    ending.abort();
    await running;
  });

  test('given a run whose preparer is alive, when that one dies without having become its owner, the run is closed', async () => {
    const { runsDir } = setupSupervised();
    const preparer = spawn('sleep', ['300']);
    await once(preparer, 'spawn');
    const { processes } = createHost();
    const identity = identifyProcess(processes, preparer.pid ?? 0);
    const writer = await createRun(resolveRunPaths({ runsDir, taskId: 'task', runId: 'run-1' }), {
      stepId: 'step',
      attempt: 1,
      stepName: 'A step',
      stepKind: 'shell',
      workerKind: 'shell',
      versions: { 'prepared-by': `${identity?.pid}:${identity?.startTime}:${identity?.bootId}` },
    });
    await writer.close();

    const [adopted] = await adoptRuns(runsDir, quick);
    expect(adopted?.kind).toBe('owned');
    preparer.kill('SIGKILL');

    expect(await adopted?.result).toMatchObject({ outcome: 'lost', reason: 'never_started', adopted: true });
  });

  test('given directories that are no runs and runs that cannot be read, the others are adopted', async () => {
    const { requestOf, runsDir, pathsOf, killSupervisor } = setupSupervised();
    const steps = await Promise.all(['', '', ''].map(() => startSupervised(requestOf('sleep 300'), quick)));
    for (const step of steps) step.detach();
    await killSupervisor();
    cpSync(pathsOf('run-1').runDir, join(runsDir, 'task', 'run-1 (copy)'), { recursive: true });
    mkdirSync(join(runsDir, 'lost+found', 'run-1'), { recursive: true });
    writeFileSync(join(runsDir, 'lost+found', 'run-1', 'meta.json'), '{}');
    // Stand for what the system refuses to read: EISDIR and ELOOP.
    rmSync(join(pathsOf('run-2').runDir, '.step.json'));
    mkdirSync(join(pathsOf('run-2').runDir, '.step.json'));
    rmSync(join(pathsOf('run-3').runDir, 'owner.1.json'));
    symlinkSync('owner.1.json', join(pathsOf('run-3').runDir, 'owner.1.json'));

    const adopted = await adoptRuns(runsDir, quick);

    const kinds = Object.fromEntries(adopted.map(({ paths, kind }) => [paths.runId, kind]));
    expect(kinds).toEqual({ 'run-1': 'running', 'run-2': 'unreadable', 'run-3': 'unreadable' });
    const refused = adopted.filter(({ kind }) => kind === 'unreadable');
    for (const { error, paths } of refused) {
      expect(error).toMatchObject({ code: 'record-unreadable' });
      expect(error?.message).toContain(paths.runId);
    }
    const first = adopted.find(({ kind }) => kind === 'running');
    await first?.cancel?.();
    await first?.result;
    for (const runId of ['run-2', 'run-3'])
      for (const pid of membersOf(pathsOf(runId).runDir)) process.kill(pid, 'SIGKILL');
  });

  test('given a machine that has another name by now, its runs are adopted while the boot is theirs', async () => {
    const { requestOf, runsDir, pathsOf, killSupervisor } = setupSupervised();
    const steps = await Promise.all(['', ''].map(() => startSupervised(requestOf('sleep 300'), quick)));
    for (const step of steps) step.detach();
    await killSupervisor();
    const bootId = createHost().processes.bootId() ?? '';
    for (const { runId } of steps) {
      const { metaPath } = pathsOf(runId);
      const meta = JSON.parse(readFileSync(metaPath, 'utf8')) as { versions: { 'prepared-by': string } };
      if (runId === 'run-2') meta.versions['prepared-by'] = meta.versions['prepared-by'].replace(bootId, 'x');
      writeFileSync(metaPath, JSON.stringify({ ...meta, host: 'former-name' }));
    }
    const asked: string[] = [];

    const adopted = await adoptRuns(runsDir, {
      ...quick,
      isWanted: (taskId) => asked.push(taskId) > 0,
    });

    const kinds = Object.fromEntries(adopted.map(({ paths, kind }) => [paths.runId, kind]));
    expect(kinds).toEqual({ 'run-1': 'running', 'run-2': 'foreign' });
    expect(asked).toEqual(['task']);
    const first = adopted.find(({ kind }) => kind === 'running');
    await first?.cancel?.();
    await first?.result;
    for (const pid of membersOf(pathsOf('run-2').runDir)) process.kill(pid, 'SIGKILL');
  });
});
