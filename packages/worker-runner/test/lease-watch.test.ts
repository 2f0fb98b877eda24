/** What the guard is told while several leases are taken on at once. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { createRealClock } from '@conductor-run/clock';
import { expect, describe, onTestFinished, test } from 'vitest';

import { createLeaseWatch, type KeptRun } from '../src/lease-watch.ts';
import type { LeaseAnswer } from '../src/lease.ts';
import { silentLogger } from '../src/step-sink.ts';
import { makeDirectory } from './fixtures/setup.ts';

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
});
