/**
 * A binary heap of pending timers, so that ten thousand of them cost a simulated year little.
 * Invariant: `timer.index` is the timer's place in `heap`, or -1 when it is not in it.
 */

/** @internal A callback waiting for its instant. */
export interface PendingTimer {
  readonly dueAtMs: number;
  /** Order of creation; breaks ties. */
  readonly sequence: number;
  readonly callback: () => void;
  index: number;
}

/** @internal */
export interface TimerHeap {
  push(timer: PendingTimer): void;
  peek(): PendingTimer | undefined;
  /** Removes the timer wherever it is; nothing happens when it is not in the heap. */
  remove(timer: PendingTimer): void;
  size(): number;
  clear(): void;
}

/** @internal */
export function createTimerHeap(): TimerHeap {
  const heap: PendingTimer[] = [];

  const place = (timer: PendingTimer, index: number): void => {
    heap[index] = timer;
    timer.index = index;
  };
  const siftUp = (timer: PendingTimer): void => {
    let index = timer.index;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = heap[parentIndex];
      if (parent === undefined || !isBefore(timer, parent)) break;
      place(parent, index);
      index = parentIndex;
    }
    place(timer, index);
  };
  const siftDown = (timer: PendingTimer): void => {
    let index = timer.index;
    for (;;) {
      const left = heap[2 * index + 1];
      const right = heap[2 * index + 2];
      const child = left !== undefined && right !== undefined && isBefore(right, left) ? right : left;
      if (child === undefined || !isBefore(child, timer)) break;
      const childIndex = child.index;
      place(child, index);
      index = childIndex;
    }
    place(timer, index);
  };

  return {
    push(timer) {
      timer.index = heap.length;
      heap.push(timer);
      siftUp(timer);
    },
    peek: () => heap[0],
    remove(timer) {
      if (heap[timer.index] !== timer) return;
      const index = timer.index;
      timer.index = -1;
      const last = heap.pop();
      if (last === undefined || last === timer) return;
      place(last, index);
      siftUp(last);
      siftDown(last);
    },
    size: () => heap.length,
    clear() {
      for (const timer of heap.splice(0)) timer.index = -1;
    },
  };
}

function isBefore(a: PendingTimer, b: PendingTimer): boolean {
  return a.dueAtMs === b.dueAtMs ? a.sequence < b.sequence : a.dueAtMs < b.dueAtMs;
}
