/** The eight invariants over random interleavings of workers, expiries, crashes and reopenings. */
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createManualClock } from '@conductor-run/clock';
import { openJobStore, type SqliteJobStore } from '@conductor-run/job-store';
import { runModel, type ModelCommand, type ModelRun } from '@conductor-run/job-store/testing';
import * as fc from 'fast-check';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { contractOptions, makeDir, removeDir, tempDir } from './fixtures/stores.ts';

const worker = fc.nat({ max: 1 });
const key = fc.nat({ max: 2 });
const lease = fc.nat({ max: 5 });
const optional = { noNullPrototype: true } as const;
const command: fc.Arbitrary<ModelCommand> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record(
      {
        type: fc.constant('enqueue' as const),
        worker,
        key,
        watermark: fc.integer({ min: 1, max: 12 }),
        retries: fc.nat({ max: 2 }),
      },
      { ...optional, requiredKeys: ['type', 'worker', 'key'] },
    ),
  },
  {
    weight: 4,
    arbitrary: fc.record(
      {
        type: fc.constant('claimNext' as const),
        worker,
        limit: fc.integer({ min: 1, max: 3 }),
        perKind: fc.integer({ min: 1, max: 2 }),
      },
      { ...optional, requiredKeys: ['type', 'worker', 'limit'] },
    ),
  },
  fc.record({ type: fc.constant('claim' as const), worker, key }),
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constantFrom('heartbeat' as const, 'succeed' as const, 'fail' as const, 'release' as const),
      worker,
      lease,
    }),
  },
  fc.record({ type: fc.constantFrom('cancel' as const, 'retry' as const), worker, key }),
  { weight: 2, arbitrary: fc.record({ type: fc.constant('advance' as const), ms: fc.nat({ max: 4000 }) }) },
  fc.record({ type: fc.constant('reopen' as const), worker }),
  fc.record({ type: fc.constant('crash' as const), worker, statements: fc.nat({ max: 3 }) }),
);

/** A store whose crash is real for the file: it is copied in the middle of a transaction, and the copy goes on. */
function sqliteRun(template: string, dir: string): ModelRun {
  const clock = createManualClock();
  let generation = 0;
  const pathOf = (): string => join(dir, `${generation}.db`);
  copyFileSync(template, pathOf());
  return {
    clock,
    open: () => openJobStore({ path: pathOf(), clock, ...contractOptions }),
    async crash(victim, statements) {
      const from = pathOf();
      generation += 1;
      const to = pathOf();
      const crashed = (victim as SqliteJobStore).transaction((tx) => {
        if (statements > 0) tx.enqueueMany([0, 1, 2].map((n) => ({ kind: 'k', key: `${n}`, watermark: 99 })));
        if (statements > 1) tx.claimNext({ workerId: 'dead', leaseMs: 1, limit: 3 });
        if (statements > 2) tx.remove('k', '0');
        for (const suffix of ['', '-wal'])
          if (existsSync(from + suffix)) copyFileSync(from + suffix, to + suffix);
        throw new Error('crashed');
      });
      await expect(crashed).rejects.toThrow('crashed');
    },
  };
}

async function createTemplate(): Promise<string> {
  const path = join(tempDir(), 'template.db');
  await (await openJobStore({ path })).close();
  return path;
}

describe('model', () => {
  test('given any interleaving of workers, expiries and crashes, when it runs, the store does what the book says', async () => {
    const template = await createTemplate();
    const runs = makeDir();
    onTestFinished(() => removeDir(runs));
    let count = 0;

    const property = fc.asyncProperty(
      fc.array(command, { minLength: 1, maxLength: inject('soak') ? 30 : 20 }),
      async (commands) => {
        const dir = join(runs, `${(count += 1)}`);
        mkdirSync(dir);
        try {
          await runModel(sqliteRun(template, dir), commands);
        } finally {
          removeDir(dir);
        }
      },
    );
    const result = await fc.check(property, { numRuns: inject('soak') ? 200_000 : 2000 });

    // Undefined when every run passed; else the shrunk commands and the seed.
    expect(fc.defaultReportMessage(result)).toBeUndefined();
  }, 3_600_000);
});
