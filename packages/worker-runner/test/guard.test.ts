/** The guard itself: it is there whatever happens to it, and ends every run that is due. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { createRealClock } from '@conductor-run/clock';
import { describe, expect, onTestFinished, test } from 'vitest';

import { readUptimeMs, startGuard, wasEndedByGuard, type Guard, type GuardedRun } from '../src/guard.ts';
import { createHost } from '../src/index.ts';
import { silentLogger } from '../src/step-sink.ts';
import { wrapCommand } from '../src/wrapper.ts';
import { makeDirectory, membersOf, until } from './fixtures/setup.ts';

/** A guard in a directory of its own, and what it tells. */
function setupGuard(
  root: string,
  searchPath?: string,
): {
  readonly guard: Guard;
  readonly told: string[];
  readonly pids: () => readonly number[];
} {
  const told: string[] = [];
  const directory = join(root, 'guard');
  const guard = startGuard({
    directory,
    watchedPid: process.pid,
    searchPath,
    clock: createRealClock(),
    logger: { ...silentLogger, error: (_fields, message) => told.push(message) },
  });
  onTestFinished(() => guard.stop());
  const { processes } = createHost();
  const pids = (): readonly number[] =>
    processes
      .list()
      .entries.filter(
        ({ pid, state }) => state !== 'zombie' && commandOf(pid).includes(join(directory, 'leases')),
      )
      .map(({ pid }) => pid);
  return { guard, told, pids };
}

/** Empty for a process that is gone. */
function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

/** A step that never ends, as an executor starts it. */
async function startStep(root: string, name: string): Promise<string> {
  const runDir = join(root, name);
  mkdirSync(runDir);
  const [program = '', ...argv] = wrapCommand(runDir, ['/bin/sleep', '300']);
  spawn(program, argv, { detached: true, stdio: 'ignore' });
  onTestFinished(() => membersOf(runDir).forEach((pid) => process.kill(pid, 'SIGKILL')));
  await until('the step', () => membersOf(runDir).length === 2);
  return runDir;
}

/** Due since the machine was started. */
function due(runDir: string): GuardedRun {
  return { runDir, markedDir: runDir, epoch: 1, killAtUptimeMs: 0 };
}

describe('a guard', () => {
  test('given a guard that was killed, when time passes, it is told and another one goes on with the list', async () => {
    const root = makeDirectory();
    const runDir = await startStep(root, 'run');
    const { guard, told, pids } = setupGuard(root);
    const soon = { ...due(runDir), killAtUptimeMs: (readUptimeMs() ?? 0) + 60_000 };
    guard.update([soon], 50);
    const [first = 0] = await until('the guard', () => pids().length > 0 && pids());

    process.kill(first, 'SIGKILL');
    const [second] = await until(
      'another guard',
      () => pids().length > 0 && !pids().includes(first) && pids(),
    );
    const aliveMeanwhile = membersOf(runDir);
    guard.update([due(runDir)], 50);
    await until('the end of the run', () => membersOf(runDir).length === 0);

    expect(second).not.toBe(first);
    expect(aliveMeanwhile).toHaveLength(2);
    expect(told).toEqual(['lease-guard.lost']);
    expect(wasEndedByGuard(runDir)).toBe(true);
  });

  test('given a guard that is stopped, when it ends, nothing is told and none is started', async () => {
    const { guard, told, pids } = setupGuard(makeDirectory());
    const [pid = 0] = await until('the guard', () => pids().length > 0 && pids());

    guard.stop();
    await until('its end', () => createHost().processes.read(pid) === undefined);

    expect(told).toEqual([]);
    expect(pids()).toEqual([]);
  });

  test('given a run whose mark cannot be written, when it and others are due, all of them are ended', async () => {
    const root = makeDirectory();
    const unmarked = await startStep(root, 'unmarked');
    const other = await startStep(root, 'other');
    // Stands for a full disk: nothing can be written there.
    mkdirSync(join(unmarked, 'lease-ended'));
    const { guard } = setupGuard(root);

    guard.update([due(join(root, 'gone')), due(unmarked), due(other)], 50);

    await until('the end of both', () => membersOf(unmarked).length + membersOf(other).length === 0);
    expect(wasEndedByGuard(other)).toBe(true);
  });

  test('given the search path of its process, when it is started, it has that one beside the usual places', async () => {
    const { pids } = setupGuard(makeDirectory(), '/some/where');

    const [pid = 0] = await until('the guard', () => pids().length > 0 && pids());

    const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
    expect(environment).toContain('PATH=/usr/local/bin:/usr/bin:/bin:/some/where');
  });

  test('given no program it needs, when it is started, it ends instead of looking without a pause', async () => {
    const root = makeDirectory();
    const { pids } = setupGuard(root);
    const [pid = 0] = await until('the guard', () => pids().length > 0 && pids());
    const [program = '', ...args] = commandOf(pid).split('\0').slice(0, -1);

    const ended = spawnSync(program, args, { env: { PATH: root }, timeout: 10_000 });

    expect(ended.status).toBe(127);
  });
});
