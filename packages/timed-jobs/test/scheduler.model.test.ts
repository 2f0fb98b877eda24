/**
 * Random ticks, blocks, clock jumps, leader changes, pauses and crashes, and what must hold after any of them.
 */

import { createManualClock } from '@conductor-run/clock';
import * as fc from 'fast-check';
import { describe, expect, inject, test } from 'vitest';
import { createWorld, type StoreMood, type World } from './fixtures/world.ts';

type Action =
  | { readonly kind: 'advance' | 'block' | 'jump'; readonly ms: number }
  | { readonly kind: 'elect'; readonly node: number; readonly isTold: boolean }
  | { readonly kind: 'crash' | 'tick' | 'wake'; readonly node: number }
  | { readonly kind: 'mood'; readonly node: number; readonly mood: StoreMood }
  | { readonly kind: 'pause'; readonly isPaused: boolean }
  | { readonly kind: 'depose' };

const node = fc.integer({ min: 0, max: 2 });
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant('advance'), ms: fc.integer({ min: 1, max: 40_000 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('block'), ms: fc.integer({ min: 1, max: 60_000 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('jump'), ms: fc.integer({ min: -300_000, max: 300_000 }) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('elect'), node, isTold: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('crash'), node }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('tick'), node }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('wake'), node }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('mood'),
      node,
      mood: fc.constantFrom('fine', 'slow', 'fails-before', 'fails-after'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('pause'), isPaused: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('depose') }) },
);

async function perform(world: World, step: Action): Promise<void> {
  switch (step.kind) {
    case 'advance':
      return world.advance(step.ms);
    case 'block':
      return world.block(step.ms);
    case 'jump':
      return world.jumpWall(step.ms);
    case 'elect':
      return world.elect(step.node, step.isTold);
    case 'crash':
      return world.crash(step.node);
    case 'tick':
      return world.tick(step.node);
    case 'wake':
      return world.wake(step.node);
    case 'mood':
      return world.setMood(step.node, step.mood);
    case 'pause':
      return world.pause(step.isPaused);
    case 'depose':
      return world.depose();
  }
}

/** Every slot from the anchor to the cursor is in exactly one decision: none twice, none left out. */
function coverageErrors(world: World): readonly string[] {
  return world.schedules.flatMap((schedule) => {
    const requests = world.committed
      .map(({ request }) => request)
      .filter((request) => request.schedule === schedule.name);
    const [anchor, ...rest] = requests;
    if (anchor?.decision !== 'anchored') return [`${schedule.name} does not begin with its anchor`];
    let cursorMs = anchor.slotMs;
    const errors: string[] = [];
    for (const { firstSlotMs, slotMs, slotCount, decision } of rest) {
      if (firstSlotMs !== schedule.nextAfter(cursorMs))
        errors.push(`${schedule.name} gap or repetition at ${slotMs}`);
      for (let count = 0; count < slotCount; count++) cursorMs = schedule.nextAfter(cursorMs) ?? Infinity;
      if (cursorMs !== slotMs) errors.push(`${schedule.name} counts ${slotCount} slots up to ${slotMs}`);
      if (decision === 'anchored') errors.push(`${schedule.name} anchored twice`);
    }
    const nowMs = world.nowMs();
    const openMs = (schedule.nextAfter(cursorMs) ?? Infinity) + schedule.delayMs;
    if (openMs <= nowMs - CATCH_UP_SLACK_MS)
      errors.push(`${schedule.name} left open at ${openMs}, now ${nowMs}`);
    return errors;
  });
}

/** The last 20 s of the world are spent stopping. */
const CATCH_UP_SLACK_MS = 20_100;

describe('scheduler', () => {
  test('given any mixture of trouble, when it is over, every slot was decided exactly once, under a current term, with one effect per run', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { minLength: 5, maxLength: 60 }), async (actions) => {
        using clock = createManualClock();
        const world = createWorld(clock);
        await world.advance(1_000);
        for (const step of actions) await perform(world, step);
        const stops = await world.finish();

        expect(world.violations).toEqual([]);
        expect(coverageErrors(world)).toEqual([]);
        const ran = world.committed.flatMap(({ request }) => (request.decision === 'ran' ? [request] : []));
        expect(world.effects).toEqual(ran);
        expect(stops.flatMap(({ abandonedRunners }) => abandonedRunners)).toEqual([]);
        expect(clock.pendingTimers()).toBe(0);
      }),
      { numRuns: inject('soak') ? 30_000 : 150 },
    );
  });
});
