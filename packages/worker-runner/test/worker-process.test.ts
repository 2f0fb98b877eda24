/** What a wrapper leaves in the run directory counts only when it is whole, and says who it was. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { createHost } from '../src/index.ts';
import { findLiveWrapper, readCpuMs, readExitFile, readPidFile } from '../src/worker-process.ts';
import { makeDirectory } from './fixtures/setup.ts';

describe('the exit file', () => {
  const WHOLE = '0m0.010000s 0m0.020000s\n1m1.500000s 0m0.250000s\n7\n';

  test('given any part of it, when read, there is no exit code before the last byte', () => {
    const runDir = makeDirectory();
    expect(readExitFile(runDir)).toBeUndefined();

    for (let length = 0; length < WHOLE.length; length += 1) {
      writeFileSync(join(runDir, 'exit'), WHOLE.slice(0, length));
      expect(readExitFile(runDir)).toBeUndefined();
    }
    writeFileSync(join(runDir, 'exit'), WHOLE);

    expect(readExitFile(runDir)).toBe(7);
    expect(readCpuMs(runDir)).toBe(61_750);
  });

  test('given one without times, as earlier wrappers leave it, when read, the exit code is known', () => {
    const runDir = makeDirectory();
    writeFileSync(join(runDir, 'exit'), '137\n');

    expect(readExitFile(runDir)).toBe(137);
    expect(readCpuMs(runDir)).toBeUndefined();
  });
});

describe('the pid file', () => {
  const host = createHost();
  const { processes } = host;
  const self = { pid: process.pid, startTime: processes.read(process.pid)?.startTime ?? 0 };

  test('given a system that does not say when a process started, the recorded start counts, for that pid alone', () => {
    const runDir = makeDirectory();
    writeFileSync(join(runDir, 'pid'), `${self.pid} \n`);

    expect(findLiveWrapper(runDir, host, self)).toEqual(self);
    expect(findLiveWrapper(runDir, host, { ...self, startTime: self.startTime + 1 })).toBeUndefined();
    expect(findLiveWrapper(runDir, host, { ...self, pid: self.pid + 1 })).toBeUndefined();
    expect(findLiveWrapper(runDir, host)).toBeUndefined();
  });

  test('given a start nobody recorded, when the tree is swept, everybody who may belong to it is looked at', () => {
    const runDir = makeDirectory();
    writeFileSync(join(runDir, 'pid'), `${self.pid} \n`);

    expect(readPidFile(runDir, 'boot')).toEqual({ pid: self.pid, startTime: 0, bootId: 'boot' });
  });

  test('given a torn one, when read, there is no pid', () => {
    const runDir = makeDirectory();
    expect(readPidFile(runDir, undefined)).toBeUndefined();
    writeFileSync(join(runDir, 'pid'), `${self.pid}`);
    expect(readPidFile(runDir, undefined)).toBeUndefined();
  });
});
