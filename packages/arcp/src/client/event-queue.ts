/** Events between a connection and one consumer. Invariant: in order, each once, bounded. */

/** A queue that is iterated once. */
export interface EventQueue<T> {
  readonly events: AsyncIterable<T>;
  push(event: T): void;
  /** No more will come; what is queued is still delivered. */
  end(): void;
  /** How many were dropped. */
  dropped(): number;
}

/** Makes a queue that holds at most `maxQueued` events for a consumer that does not take them. */
export function createEventQueue<T>(maxQueued: number): EventQueue<T> {
  let waiting: T[] = [];
  let taken = 0;
  let dropped = 0;
  let isEnded = false;
  let wake: (() => void) | undefined;

  const next = async (): Promise<IteratorResult<T>> => {
    for (;;) {
      const value = waiting[taken];
      if (taken < waiting.length && value !== undefined) {
        taken += 1;
        if (taken > 1_024 && taken * 2 > waiting.length) {
          waiting = waiting.slice(taken);
          taken = 0;
        }
        return { done: false, value };
      }
      if (isEnded) return { done: true, value: undefined };
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  const rouse = (): void => {
    const resolve = wake;
    wake = undefined;
    resolve?.();
  };
  return {
    events: { [Symbol.asyncIterator]: () => ({ next }) },
    push(event) {
      if (isEnded) return;
      waiting.push(event);
      if (waiting.length - taken > maxQueued) {
        taken += 1;
        dropped += 1;
      }
      rouse();
    },
    end() {
      isEnded = true;
      rouse();
    },
    dropped: () => dropped,
  };
}
