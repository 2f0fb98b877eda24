import { createManualClock } from '@conductor-run/clock';
import { describe, expect, test } from 'vitest';
import { createUnreadPace } from '../src/runtime/unread-pace.ts';

describe('pace of unread events', () => {
  test('given more takers than room, the rest waits for the next interval, in order, and nobody is forgotten', async () => {
    const clock = createManualClock();
    const pace = createUnreadPace(clock);
    const gone: number[] = [];
    const take = async (at: number): Promise<void> => {
      await pace.take();
      gone.push(at);
    };
    const takers = Array.from({ length: 150 }, (_, at) => at);

    const all = Promise.all(takers.map(take));
    const counts: number[] = [];
    for (let interval = 0; interval < 3; interval += 1) {
      await clock.advance(interval === 0 ? 9 : 10);
      counts.push(gone.length);
    }
    await all;

    expect(counts).toEqual([64, 128, 150]);
    expect(gone).toEqual(takers);
  });

  test('given an interval without takers, no timer is left, and the next one has all its room', async () => {
    const clock = createManualClock();
    const pace = createUnreadPace(clock);
    await pace.take();

    await clock.advance(1_000);
    const answers = Array.from({ length: 64 }, () => pace.take());

    expect(answers.every((answer) => answer === undefined)).toBe(true);
    expect(pace.take()).toBeInstanceOf(Promise);
  });
});
