/** What the guard is told while several leases are taken on at once. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { createRealClock } from '@conductor-run/clock';
import { expect, describe, onTestFinished, test } from 'vitest';

import { createLeaseWatch, type KeptRun, type LeaseWatch } from '../src/lease-watch.ts';
import type { LeaseAnswer } from '../src/lease.ts';
import { silentLogger } from '../src/step-sink.ts';
import { makeDirectory, until } from './fixtures/setup.ts';

describe('the guard', () => {
  test('given a lease that waits for its first answer, when another one is renewed, the guard is not told that the first has ended', async () => {
    const root = makeDirectory();
    const guardDir = join(root, 'guard');
    let answerSlow: (answers: readonly LeaseAnswer[]) => void = () => undefined;
    const watch = createLeaseWatch({
      clock: createRealClock(),
      logger: silentLogger,
      pid: process.pid,
      guardDir,
      keeper: {
        renewMany: (leases) =>
          leases[0] === 'slow'
            ? new Promise((resolve) => {
                answerSlow = resolve;
              })
            : Promise.resolve(['ok']),
      },
    });
    onTestFinished(() => watch.stop());
    const lost: string[] = [];
    const runOf = (name: string): KeptRun => ({
      runDir: join(root, name),
      epoch: 1,
      lease: { lease: name, leaseMs: 30_000 },
      killGraceMs: 1_000,
      onLost: () => lost.push(name),
      onCancel: () => undefined,
    });
    const guarded = (): string => readFileSync(join(guardDir, 'leases'), 'utf8');

    const slow = watch.keep(runOf('slow'));
    await watch.keep(runOf('quick'));
    const meanwhile = guarded();
    answerSlow(['ok']);
    await slow;

    expect(meanwhile).toContain(join(root, 'quick'));
    expect(meanwhile).not.toContain(join(root, 'slow'));
    expect(guarded()).toContain(join(root, 'slow'));
    expect(lost).toEqual([]);
  });

  test('given a list that cannot be written for a while, when leases are renewed, it is told once and the list is written when it can be', async () => {
    const root = makeDirectory();
    const guardDir = join(root, 'guard');
    const told: string[] = [];
    let renewals = 0;
    const watch = createLeaseWatch({
      clock: createRealClock(),
      logger: { ...silentLogger, error: (_fields, message) => told.push(message) },
      pid: process.pid,
      guardDir,
      keeper: {
        async renewMany() {
          renewals += 1;
          return ['ok'];
        },
      },
    });
    onTestFinished(() => watch.stop());
    const lost: string[] = [];
    await watch.keep({
      runDir: join(root, 'run'),
      epoch: 1,
      lease: { lease: 'lease', leaseMs: 3000 },
      killGraceMs: 0,
      onLost: (text) => lost.push(text),
      onCancel: () => undefined,
    });
    const listPath = join(guardDir, 'leases');
    const before = readFileSync(listPath, 'utf8');
    const renewalsBefore = renewals;
    // Stands for a full disk: the new list cannot be written beside the old one.
    mkdirSync(`${listPath}.tmp`);

    await until('two renewals', () => renewals >= renewalsBefore + 2);
    const meanwhile = readFileSync(listPath, 'utf8');
    rmdirSync(`${listPath}.tmp`);
    const after = await until('the new list', () => {
      const list = readFileSync(listPath, 'utf8');
      return list !== before && list;
    });

    expect(meanwhile).toBe(before);
    expect(after).toContain(join(root, 'run'));
    expect(told).toEqual(['lease-guard.list-unwritable']);
    expect(lost).toEqual([]);
  });
});

describe('the first renewal of a run that is at work', () => {
  function setupFlaky(failures: number): {
    watch: LeaseWatch;
    run: KeptRun;
    lost: string[];
    lists: string[];
  } {
    const root = makeDirectory();
    const guardDir = join(root, 'guard');
    const lists: string[] = [];
    let asked = 0;
    const watch = createLeaseWatch({
      clock: createRealClock(),
      logger: silentLogger,
      pid: process.pid,
      guardDir,
      keeper: {
        async renewMany() {
          asked += 1;
          if (existsSync(join(guardDir, 'leases')))
            lists.push(readFileSync(join(guardDir, 'leases'), 'utf8'));
          if (asked <= failures) throw new Error('SQLITE_BUSY: database is locked');
          return ['ok'];
        },
      },
    });
    onTestFinished(() => watch.stop());
    const lost: string[] = [];
    const run: KeptRun = {
      runDir: join(root, 'run'),
      epoch: 2,
      lease: { lease: 'lease', leaseMs: 1500 },
      killGraceMs: 1_000,
      isAtWork: true,
      onLost: (text) => lost.push(text),
      onCancel: () => undefined,
    };
    return { watch, run, lost, lists };
  }

  test('given a store that fails twice, when it answers, the lease is held and nothing was ended', async () => {
    const { watch, run, lost, lists } = setupFlaky(2);

    const kept = await watch.keep(run);

    expect(kept.isHeld).toBe(true);
    expect(lost).toEqual([]);
    expect(lists.join('')).not.toContain(run.runDir);
  });

  test('given a store that fails for as long as the lease can last, when that is over, it is lost', async () => {
    const { watch, run, lost, lists } = setupFlaky(Number.POSITIVE_INFINITY);

    const kept = await watch.keep(run);

    expect(kept.isHeld).toBe(false);
    expect(lost).toContain('The lease could not be renewed in time');
    expect(lists.length).toBeGreaterThan(1);
    expect(lists.join('')).not.toContain(run.runDir);
  });
});

describe('a renewal', () => {
  test('given a process without a free descriptor, when one is free again, the lease is renewed', async () => {
    const root = makeDirectory();
    const watch = fileURLToPath(new URL('fixtures/exhausted-watch.ts', import.meta.url));
    const args = ['-c', 'ulimit -n 64; exec "$@"', 'sh', process.execPath, ...process.execArgv, watch, root];

    const { stdout } = await promisify(execFile)('/bin/sh', args);

    expect(stdout).toBe('renewed');
  });
});
