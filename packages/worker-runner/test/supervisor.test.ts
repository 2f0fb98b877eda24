/** A directory has one supervisor, however slowly another one tries to become it. */
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';

import { describe, expect, onTestFinished, test } from 'vitest';

import { createHost, identifyProcess, type Host, type ProcessIdentity } from '../src/index.ts';
import { withDefaults } from '../src/open-step.ts';
import { claimRun, readOwner, removeOwner } from '../src/run-record.ts';
import { supervise, supervisorDirOf, supervisorSocketOf } from '../src/supervisor.ts';
import { makeDirectory, until } from './fixtures/setup.ts';

/** No process has this one. */
const DEAD: ProcessIdentity = { pid: 1, startTime: 0 };

interface DirectoryBundle {
  readonly runsDir: string;
  readonly directory: string;
  /** One more owner takes the directory over. */
  readonly follow: (owner: ProcessIdentity) => void;
}

function setupDirectory(): DirectoryBundle {
  const runsDir = makeDirectory();
  const directory = supervisorDirOf(runsDir);
  mkdirSync(directory);
  return {
    runsDir,
    directory,
    follow: (owner) =>
      expect(claimRun(directory, owner, readOwner(directory), supervisorSocketOf(runsDir))).toBe(true),
  };
}

/** This machine; `meanwhile` happens between the first look at a process and the answer. */
function slowHost(meanwhile: () => void): Host {
  const host = createHost();
  let isFirst = true;
  return {
    ...host,
    processes: {
      ...host.processes,
      read(pid) {
        if (isFirst) {
          isFirst = false;
          meanwhile();
        }
        return host.processes.read(pid);
      },
    },
  };
}

describe('supervise', () => {
  test('given one that is held up while others come and go, when it takes a number that is free again, it gives way', async () => {
    const { runsDir, directory, follow } = setupDirectory();
    const child = spawn('sleep', ['300'], { stdio: 'ignore' });
    onTestFinished(() => void child.kill('SIGKILL'));
    const living = await until('the other', () => identifyProcess(createHost().processes, child.pid ?? 0));
    follow(DEAD);
    const host = slowHost(() => {
      for (const owner of [DEAD, DEAD, living]) follow(owner);
      for (const epoch of [1, 2]) removeOwner(directory, epoch);
    });

    await supervise({ runsDir, deps: withDefaults({ host }), idleExitMs: 1 });

    expect(readOwner(directory)).toMatchObject({ pid: living.pid, epoch: 4 });
    expect(readdirSync(directory)).not.toContain('socket');
  });

  test('given many that came before, when one becomes supervisor, the number it followed stays taken', async () => {
    const { runsDir, directory, follow } = setupDirectory();
    for (const owner of [DEAD, DEAD, DEAD]) follow(owner);

    await supervise({ runsDir, deps: withDefaults({}), idleExitMs: 1 });

    expect(readdirSync(directory).toSorted()).toEqual(['owner.3.json', 'owner.4.json']);
  });
});
