/** A step is stopped and continued only when that changes something; a step left paused by a dead owner goes on. */
import { describe, expect, test } from 'vitest';

import { createPauseSwitch } from '../src/pause-switch.ts';

describe('the pause switch', () => {
  test('given a new step, when it is asked to go on, nobody touches it: it may have stopped itself', () => {
    const pauses: boolean[] = [];
    const pausing = createPauseSwitch(false);
    pausing.connect((isPaused) => pauses.push(isPaused));

    pausing.ask(false);
    pausing.ask(true);
    pausing.ask(true);
    pausing.ask(false);

    expect(pauses).toEqual([true, false]);
  });

  test('given an adopted step, when it is first asked to go on, it is continued', () => {
    const pauses: boolean[] = [];
    const pausing = createPauseSwitch(undefined);
    pausing.connect((isPaused) => pauses.push(isPaused));

    pausing.ask(false);
    pausing.ask(false);

    expect(pauses).toEqual([false]);
  });

  test('given a request before anybody can grant it, when somebody can, it is granted', () => {
    for (const known of [false, undefined]) {
      const pauses: boolean[] = [];
      const pausing = createPauseSwitch(known);
      pausing.ask(true);
      pausing.connect((isPaused) => pauses.push(isPaused));
      expect(pauses).toEqual([true]);
    }
  });
});
