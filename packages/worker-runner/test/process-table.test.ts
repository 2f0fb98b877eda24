/** Who is alive, and who belongs to a run: on Linux for real, on macOS from recorded output of ps. */
import { spawn } from 'node:child_process';

import { describe, expect, onTestFinished, test } from 'vitest';

import { createHost, createPsProcessTable, identifyProcess, isProcessAlive } from '../src/index.ts';
import { runMarkOf } from '../src/wrapper.ts';
import { isAlive, until } from './fixtures/setup.ts';

function startSleep(env: Record<string, string> = {}): number {
  const child = spawn('sleep', ['300'], {
    stdio: 'ignore',
    detached: true,
    env: { ...env, PATH: process.env['PATH'] ?? '' },
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child.pid ?? 0;
}

describe('the process table of Linux', () => {
  test('given a living process, when read, it is told apart from any other of the same pid', async () => {
    const { processes } = createHost();
    const pid = startSleep();

    const identity = identifyProcess(processes, pid);

    expect(identity).toMatchObject({ pid, bootId: processes.bootId() });
    expect(processes.read(pid)).toMatchObject({ parentPid: process.pid, groupId: pid, sessionId: pid });
    expect(identity !== undefined && isProcessAlive(processes, identity)).toBe(true);
    const startTime = identity?.startTime ?? 0;
    expect(isProcessAlive(processes, { pid, startTime: startTime + 1 })).toBe(false);
    expect(isProcessAlive(processes, { pid, startTime, bootId: 'another' })).toBe(false);
    process.kill(pid, 'SIGKILL');
    await until('its end', () => !isAlive(pid));
    expect(isProcessAlive(processes, { pid, startTime })).toBe(false);
  });

  test('given a marked process, when asked, only its own run is named', async () => {
    const { processes } = createHost();
    const pid = startSleep({ CONDUCTOR_RUN_DIR: '/runs/task/run-1' });
    await until('exec', () => processes.carries(pid, runMarkOf('/runs/task/run-1')));

    expect(processes.carries(pid, runMarkOf('/runs/task/run-10'))).toBe(false);
    expect(processes.carries(pid, runMarkOf('/runs/task/run'))).toBe(false);
  });
});

describe('the process table by ps', () => {
  const LISTING = `    1     0     1 Ss   Fri Nov 20 21:12:33 2026       0:01.50  10240
  501     1   501 S    Fri Nov 20 21:13:00 2026    01:02:03.04   2048
  777   501   501 T    Fri Nov 20 21:13:01 2026  1-00:00:00.00    512
  778   501   501 Z    Fri Nov 20 21:13:01 2026       0:00.00      0
garbage
`;
  const ENVIRONMENTS = `  501 /bin/sh -c step PATH=/bin CONDUCTOR_RUN_DIR=/runs/task/run-1 HOME=/
  777 sleep 300 CONDUCTOR_RUN_DIR=/runs/task/run-10
`;
  const table = createPsProcessTable((file, args) => {
    if (file === 'sysctl') return 'BOOT-UUID\n';
    return args.includes('-E') ? ENVIRONMENTS : LISTING;
  });

  test('given recorded output, when listed, each process has its parent, group, state and times', () => {
    const { entries, torn } = table.list();

    expect(torn).toBe(false);
    expect(entries.map(({ pid, parentPid, groupId, state }) => [pid, parentPid, groupId, state])).toEqual([
      [1, 0, 1, 'running'],
      [501, 1, 501, 'running'],
      [777, 501, 501, 'stopped'],
      [778, 501, 501, 'zombie'],
    ]);
    expect(table.read(501)).toMatchObject({ cpuMs: 3_723_040, rssBytes: 2048 * 1024 });
    expect(table.read(777)).toMatchObject({ cpuMs: 86_400_000 });
    expect(table.read(999)).toBeUndefined();
    expect(table.bootId()).toBe('BOOT-UUID');
  });

  test('given recorded environments, when asked, only the run of exactly this directory is named', () => {
    expect(table.carries(501, runMarkOf('/runs/task/run-1'))).toBe(true);
    expect(table.carries(777, runMarkOf('/runs/task/run-1'))).toBe(false);
  });
});
