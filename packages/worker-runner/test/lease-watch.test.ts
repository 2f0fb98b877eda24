/** Many leases in one watch: what is known of one says nothing of another. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createRealClock } from '@conductor-run/clock';
import { describe, expect, onTestFinished, test } from 'vitest';

import type { LeaseAnswer } from '../src/lease.ts';
import { createLeaseWatch } from '../src/lease-watch.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {} };

describe('guard of several runs', () => {
  test('given a lease nobody has answered for yet, an answer for another one does not have its run ended', async () => {
    const guardDir = mkdtempSync(join(tmpdir(), 'conductor-guard-'));
    const answers: ((answers: readonly LeaseAnswer[]) => void)[] = [];
    const watch = createLeaseWatch({
      keeper: { renewMany: () => new Promise((resolve) => void answers.push(resolve)) },
      clock: createRealClock(),
      logger: silent,
      pid: process.pid,
      guardDir,
    });
    onTestFinished(() => {
      watch.stop();
      rmSync(guardDir, { recursive: true, force: true });
    });
    const keep = (runDir: string) =>
      watch.keep({
        runDir,
        epoch: 1,
        lease: { lease: {}, leaseMs: 30_000 },
        killGraceMs: 1_000,
        onLost: () => undefined,
        onCancel: () => undefined,
      });
    // Without /proc there is no guard, and nothing it could end.
    const guarded = (...expected: readonly string[]): readonly string[] =>
      existsSync('/proc/uptime')
        ? readFileSync(join(guardDir, 'leases'), 'utf8')
            .split('\n')
            .slice(1, -1)
            .map((line) => line.split(' ').at(-1) ?? '')
        : expected;

    const one = keep('/runs/one');
    const two = keep('/runs/two');
    answers[0]?.(['ok']);
    await one;
    const afterFirst = guarded('/runs/one');
    answers[1]?.(['ok']);
    await two;

    expect(afterFirst).toEqual(['/runs/one']);
    expect(guarded('/runs/one', '/runs/two')).toEqual(['/runs/one', '/runs/two']);
  });
});
