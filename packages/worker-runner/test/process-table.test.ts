/** Who is alive, and who belongs to a run: on Linux for real, on macOS from recorded output of ps. */
import { spawn } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { createRealClock } from '@conductor-run/clock';
import { describe, expect, onTestFinished, test } from 'vitest';

import {
  createHost,
  createLinuxProcessTable,
  createPsProcessTable,
  identifyProcess,
  isProcessAlive,
  type ProcessListing,
} from '../src/index.ts';
import { runMarkOf } from '../src/wrapper.ts';
import { isAlive, makeDirectory, until } from './fixtures/setup.ts';

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

  test('given a container, when asked for the boot, its pid namespace is named too', () => {
    const procDir = makeDirectory();
    mkdirSync(join(procDir, 'self/ns'), { recursive: true });
    mkdirSync(join(procDir, 'sys/kernel/random'), { recursive: true });
    writeFileSync(join(procDir, 'sys/kernel/random/boot_id'), 'a-boot\n');
    const bootIdIn = (namespace: string): string | undefined => {
      rmSync(join(procDir, 'self/ns/pid'), { force: true });
      symlinkSync(namespace, join(procDir, 'self/ns/pid'));
      return createLinuxProcessTable(procDir).bootId();
    };

    expect(bootIdIn('pid:[4026531836]')).toBe('a-boot');
    expect(bootIdIn('pid:[4026532201]')).toBe('a-boot pid:[4026532201]');
    rmSync(join(procDir, 'self/ns/pid'));
    expect(createLinuxProcessTable(procDir).bootId()).toBe('a-boot');
  });

  test('given a marked process, when asked, only its own run is named', async () => {
    const { processes } = createHost();
    const pid = startSleep({ CONDUCTOR_RUN_DIR: '/runs/task/run-1' });
    await until('exec', () => processes.carries(pid, runMarkOf('/runs/task/run-1')));

    expect(processes.carries(pid, runMarkOf('/runs/task/run-10'))).toBe(false);
    expect(processes.carries(pid, runMarkOf('/runs/task/run'))).toBe(false);
  });
});

describe('a listing of those that started since', () => {
  /** A procfs of our own, in which a pid can be used again at will. */
  function setupProcfs(): { readonly dir: string; readonly add: (pid: number, startTime: number) => void } {
    const dir = makeDirectory();
    writeFileSync(join(dir, 'loadavg'), '0.00 0.00 0.00 1/2 300\n');
    const add = (pid: number, startTime: number): void => {
      mkdirSync(join(dir, String(pid)));
      writeFileSync(join(dir, String(pid), 'stat'), statOf(pid, startTime));
    };
    return { dir, add };
  }
  const statOf = (pid: number, startTime: number): string =>
    `${pid} (a (b) c) S 1 ${pid} ${pid} ${'0 '.repeat(15)}${startTime} 0 10 0\n`;
  const pidsOf = ({ entries }: ProcessListing): readonly number[] => entries.map((entry) => entry.pid);

  test('given processes from before, when listed since, they are neither named nor read again', () => {
    const { dir, add } = setupProcfs();
    add(100, 10);
    add(200, 20);
    const table = createLinuxProcessTable(dir);
    expect(pidsOf(table.list(20))).toEqual([200]);

    add(300, 30);
    // Had it been read again, it would count as a young one.
    writeFileSync(join(dir, '100/stat'), statOf(100, 99));

    expect(table.list(30)).toMatchObject({ entries: [{ pid: 300, startTime: 30 }], torn: false });
    expect(pidsOf(table.list())).toEqual([100, 200, 300]);
  });

  test('given a pid from before that was used again, when listed since, the later process is named', () => {
    const { dir, add } = setupProcfs();
    add(100, 10);
    const table = createLinuxProcessTable(dir);
    expect(pidsOf(table.list(20))).toEqual([]);

    // Moved and not removed: a file system may give the inode of a removed directory to the next, which procfs does not.
    renameSync(join(dir, '100'), join(dir, 'gone'));
    add(100, 25);

    expect(pidsOf(table.list(20))).toEqual([100]);
    expect(pidsOf(table.list(26))).toEqual([]);
  });

  test('given pids that are given away during the reading, when listed, it says so', () => {
    const { dir, add } = setupProcfs();
    add(100, 10);
    renameSync(join(dir, 'loadavg'), join(dir, 'still'));
    // Another word each time it is read.
    symlinkSync('/proc/sys/kernel/random/uuid', join(dir, 'loadavg'));

    expect(createLinuxProcessTable(dir).list()).toMatchObject({ entries: [{ pid: 100 }], torn: true });
  });

  test('given real processes, when listed since one of them, only those that started since are named', () => {
    const { processes } = createHost();
    processes.list();
    const pid = startSleep();
    const startTime = processes.read(pid)?.startTime ?? 0;

    const listed = processes.list(startTime);

    expect(pidsOf(listed)).toContain(pid);
    expect(listed.entries.every((entry) => entry.startTime >= startTime)).toBe(true);
    expect(pidsOf(listed)).not.toContain(1);
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

  test('given a listing, when each of its processes is asked for its mark, ps is run once for all of them', () => {
    let runs = 0;
    const counted = createPsProcessTable((_file, args) => {
      if (!args.includes('-E')) return LISTING;
      runs += 1;
      return runs < 3 ? ENVIRONMENTS : '  501 /bin/sh\n';
    });
    const mark = runMarkOf('/runs/task/run-1');
    const ask = (): readonly boolean[] => [501, 777].map((pid) => counted.carries(pid, mark));
    counted.list();

    expect(ask()).toEqual([true, false]);
    expect(runs).toBe(1);
    counted.list();
    expect(ask()).toEqual([true, false]);
    expect(runs).toBe(2);
    // Without a new listing nothing is known of anybody who was asked for before, or was not there.
    expect(ask()).toEqual([false, false]);
  });

  test('given output that is not understood, when listed, it is an error and not an empty table', () => {
    const german = createPsProcessTable(() => '  1  0  1 Ss  Mi. 29 Juli 15:37:10 2026  0:01,50  10240\n');

    expect(() => german.list()).toThrow('ps printed "  1  0  1 Ss  Mi. 29 Juli');
  });

  test('given the ps of this machine, when listed in any time zone and language, a process keeps its start', () => {
    const table = createPsProcessTable();
    const pid = startSleep();
    const before = table.read(pid);
    const { TZ, LC_ALL } = process.env;
    onTestFinished(() => restoreEnv({ TZ, LC_ALL }));
    Object.assign(process.env, { TZ: 'Asia/Tokyo', LC_ALL: 'de_DE.UTF-8' });

    const { entries } = table.list(before?.startTime);

    expect(entries.find((entry) => entry.pid === pid)).toMatchObject({
      parentPid: process.pid,
      groupId: pid,
      startTime: before?.startTime,
    });
    const startedAtMs = before?.startTime ?? 0;
    expect(Math.abs(createRealClock().nowMs() - startedAtMs)).toBeLessThan(60 * 60 * 1000);
    expect(entries.map((entry) => entry.pid)).not.toContain(1);
  });
});

function restoreEnv(former: Readonly<Record<string, string | undefined>>): void {
  for (const [name, value] of Object.entries(former)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
}
