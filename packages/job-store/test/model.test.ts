/** The eight invariants over random interleavings of workers, expiries, crashes and reopenings. */
import { text } from 'node:stream/consumers';
import { describe, expect, inject, test } from 'vitest';
import { checkModel, type ModelCheck } from './fixtures/model-runs.ts';
import { exitCode, startFixture } from './fixtures/processes.ts';
import { tempDir } from './fixtures/stores.ts';

/** A run opens stores some ten times, and better-sqlite3 keeps some memory of each: a soak takes many processes. */
const SHARES = 100;
const SOAK_RUNS_PER_SHARE = 2000;
const AT_ONCE = 2;

async function runShare(seed: number): Promise<ModelCheck> {
  const child = startFixture('model-share.ts', [`${seed}`, `${SOAK_RUNS_PER_SHARE}`, '30']);
  if (child.stdout === null) throw new Error('Share has no pipe');
  const [said, code] = await Promise.all([text(child.stdout), exitCode(child)]);
  if (code !== 0) throw new Error(`Share ${seed} ended with ${code}`);
  return JSON.parse(said) as ModelCheck;
}

async function soak(): Promise<ModelCheck[]> {
  const checks: ModelCheck[] = [];
  let seed = 0;
  const worker = async (): Promise<void> => {
    while (seed < SHARES) checks.push(await runShare((seed += 1)));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return checks;
}

describe('model', () => {
  test('given any interleaving of workers, expiries and crashes, when it runs, the store does what the book says', async () => {
    const runs = inject('soak') ? SHARES * SOAK_RUNS_PER_SHARE : 2000;

    const checks = inject('soak') ? await soak() : [await checkModel(tempDir(), { numRuns: runs }, 20)];

    expect(checks.map(({ failure }) => failure).filter((failure) => failure !== undefined)).toEqual([]);
    expect(checks.reduce((sum, check) => sum + check.runs, 0)).toBe(runs);
  }, 14_400_000);
});
