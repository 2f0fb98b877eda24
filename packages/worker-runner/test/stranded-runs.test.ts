/** Runs that wait for another try: later each time, and not for ever when nothing depends on it. */
import { createManualClock } from '@conductor-run/clock';
import { describe, expect, test } from 'vitest';

import { createStrandedRuns, type LeaseCare } from '../src/stranded-runs.ts';

/** Everything a run is tried at, in ms, when each try fails, within an hour. */
async function triesOf(
  care: LeaseCare,
): Promise<{ readonly triedAtMs: readonly number[]; readonly left: number }> {
  const clock = createManualClock();
  const stranded = createStrandedRuns(clock);
  const startMs = clock.monotonicMs();
  const triedAtMs: number[] = [];
  const fail = (): void =>
    stranded.add('task/run', care, () => {
      triedAtMs.push(clock.monotonicMs() - startMs);
      fail();
    });
  fail();
  await clock.advance(3_600_000);
  const left = [...stranded.keys()].length;
  stranded.delete('task/run');
  return { triedAtMs, left };
}

describe('createStrandedRuns', () => {
  test('given a run without a lease, when every try fails, it is given up', async () => {
    const { triedAtMs, left } = await triesOf({ keeper: undefined, held: undefined });

    expect(triedAtMs.slice(0, 4)).toEqual([100, 300, 700, 1500]);
    expect(triedAtMs).toHaveLength(10);
    expect(left).toBe(0);
  });

  test('given a run with a lease, when every try fails, it is tried twice a minute', async () => {
    const kept = { isHeld: true, release: () => undefined };
    const held = { kept, lease: { lease: {}, leaseMs: 5000, holdAfterEndMs: 0 } };

    const { triedAtMs, left } = await triesOf({ keeper: undefined, held });

    expect((triedAtMs.at(-1) ?? 0) - (triedAtMs.at(-2) ?? 0)).toBe(30_000);
    expect(left).toBe(1);
  });
});
