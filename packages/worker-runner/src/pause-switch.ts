/** Stopping and continuing a step whose output outruns the redactor. Invariant: a step is touched only when that changes something. */

/** Hands requests for a pause from the writer, which exists first, to the executor, which can grant them. */
export interface PauseSwitch {
  /** Asks for a pause, or its end. Remembered until somebody connects. */
  ask(isPaused: boolean): void;
  /** Connects the one who can. */
  connect(pause: (isPaused: boolean) => void): void;
}

/**
 * Makes an unconnected switch.
 *
 * @param isPaused - whether the step stands still; `undefined` for one whose former owner may have left it paused
 */
export function createPauseSwitch(isPaused: boolean | undefined): PauseSwitch {
  let asked = isPaused;
  let connected: ((isPaused: boolean) => void) | undefined;
  return {
    ask(wanted) {
      if (wanted === asked) return;
      asked = wanted;
      connected?.(wanted);
    },
    connect(pause) {
      connected = pause;
      if (asked !== undefined && asked !== isPaused) pause(asked);
    },
  };
}
